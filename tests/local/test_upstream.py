"""Functions of the engine's LMCache in which a fault was reported. docs/correctness.md names the threads."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from lmcache_kserve.engine.find import ensure_engine

pytestmark = pytest.mark.local

FUNCTIONS = Path(__file__).parent / "upstream_functions.py"


@pytest.fixture(scope="module")
def seen() -> dict[str, Any]:
    """What the functions did."""
    engine = ensure_engine(lambda *_: None)
    done = subprocess.run([engine.python, FUNCTIONS], stdout=subprocess.PIPE, check=True, text=True)
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return answer


def test_keys_and_values_apart_arrive_as_they_were_stored(seen: dict[str, Any]) -> None:
    assert seen["apart"]


def test_lmcache_in_process_mixes_up_keys_and_values_in_one_tensor(seen: dict[str, Any]) -> None:
    """LMCache/LMCache#4463, in the stand-in that LMCache has for its GPU kernel.

    When this fails, LMCache has mended it: the row in unproven.yaml gets `fixedIn`.
    """
    assert not seen["in one tensor"]


def test_lmcaches_server_sees_the_blocks_that_vllm_schedules_for_a_hybrid_model(seen: dict[str, Any]) -> None:
    """LMCache/LMCache#4247: with the kernel's 16 tokens the server stores and loads other blocks."""
    assert seen["tokens per block"] == 64


def test_chunks_that_travel_naively_are_the_same_at_the_other_end(seen: dict[str, Any]) -> None:
    """LMCache/LMCache#717."""
    assert seen["naive"]
