"""Prompts with a common beginning that are asked at the same time: LMCache's server hands out no memory unwritten."""

import json
import subprocess
from pathlib import Path

import pytest
import yaml
from rendering import CHART

from lmcache_kserve.engine.catalog import pairs
from lmcache_kserve.engine.find import ensure_engine
from lmcache_kserve.progress import untold

pytestmark = pytest.mark.local

SCRIPT = Path(__file__).parent / "prefixes_at_once.py"
ANNOTATIONS = yaml.safe_load((CHART / "Chart.yaml").read_text(encoding="utf-8"))["annotations"]


def asked(*arguments: Path) -> dict[str, int]:
    """How many chunks were wrong in the server of the default image's LMCache."""
    (pair,) = [name for name, one in pairs().items() if ANNOTATIONS["lmcache-kserve/image-vllm"] in one.images]
    engine = ensure_engine(untold, pair)
    done = subprocess.run([engine.python, SCRIPT, *arguments], stdout=subprocess.PIPE, check=True, text=True)
    answer: dict[str, int] = json.loads(done.stdout.splitlines()[-1])
    return answer


def test_no_chunk_is_wrong_in_the_server_or_in_the_backend() -> None:
    assert asked(CHART / "files") == {"found wrong": 0, "changed in the backend": 0, "found unfinished": 0}


def test_lmcaches_own_server_stores_memory_that_nobody_has_written() -> None:
    """LMCache/LMCache#5032. When this fails, the default image has an LMCache that mended it."""
    own = asked()
    assert own["changed in the backend"] > 0
    assert own["found unfinished"] > 0
