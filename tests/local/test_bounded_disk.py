"""The chart's adapter for a disk in LMCache's own classes, in a real folder; each trip is a server's process."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rendering import CHART, REPOSITORY, Render, option, pod

from lmcache_kserve.chart.manifests import sidecars
from lmcache_kserve.engine.find import ensure_engine
from lmcache_kserve.progress import untold

pytestmark = pytest.mark.local

SCRIPT = Path(__file__).parent / "disk_trip.py"
CHUNK_BYTES = 64 << 10
"""As in `disk_trip.py`."""

BOUND = 20
"""Chunks."""

DISK = {"lmcache": {"mode": "multiprocess", "localDisk": {"enabled": True, "sizeGB": BOUND * CHUNK_BYTES / 2**30}}}
Trip = Callable[..., list[dict[str, Any]]]


@pytest.fixture
def trip(render: Render, tmp_path: Path) -> Trip:
    """A process with the adapter that the chart renders, of a number of chunks; what each step answered."""
    python = ensure_engine(untold).python
    (server,) = sidecars(pod(render(DISK, files=[REPOSITORY / "values" / "cpu.yaml"])).spec)
    rendered = json.loads(option(server["args"][: server["args"].index("--l2-adapter") + 2], "--l2-adapter") or "")
    assert rendered["adapter_params"]["max_bytes"] == BOUND * CHUNK_BYTES

    def trip(*steps: str, bound: int = BOUND) -> list[dict[str, Any]]:
        folder = {"base_path": str(tmp_path / "disk"), "max_bytes": bound * CHUNK_BYTES}
        words = [str(CHART / "files"), json.dumps(rendered | {"adapter_params": folder}), *steps]
        done = subprocess.run([python, SCRIPT, *words], stdout=subprocess.PIPE, check=True, text=True)
        answers: list[dict[str, Any]] = json.loads(done.stdout.splitlines()[-1])
        assert all(answer["held"] <= answer.get("counted", answer["held"]) <= bound * CHUNK_BYTES for answer in answers)
        return answers

    return trip


def test_twice_the_bound_stays_within_the_bound(trip: Trip) -> None:
    _, stored, found = trip("store:0-39", "find:0-39")
    assert stored["peak"] <= BOUND * CHUNK_BYTES
    assert all(stored["whole"])
    assert len(found["found"]) >= BOUND // 2
    assert {36, 37, 38, 39} <= set(found["found"])


def test_stores_that_are_under_way_together_stay_within_the_bound(trip: Trip) -> None:
    # A slow disk has no room for some of them; the next store finds room again.
    _, at_once, after, found = trip("store-at-once:0-39", "store:40-43", "find:0-43")
    assert at_once["peak"] <= BOUND * CHUNK_BYTES
    assert after["whole"] == [True]
    assert {40, 41, 42, 43} <= set(found["found"])


def test_what_was_not_used_for_longest_goes_and_what_was_loaded_stays(trip: Trip) -> None:
    _, _, loaded, _, found = trip("store:0-19", "load:0-3", "store:20-27", "find:0-27")
    assert loaded["loaded"] == [0, 1, 2, 3]
    assert loaded["right"] == [True] * 4
    assert found["found"][:4] == [0, 1, 2, 3]
    assert set(range(20, 28)) <= set(found["found"])
    assert not {4, 5, 6, 7} <= set(found["found"])


def test_the_beginning_of_a_prompt_goes_last(trip: Trip) -> None:
    found = trip("store:0-15", "load:0-15", "store:100-107", "find:0-15")[-1]["found"]
    assert 0 < len(found) < 16
    assert found == list(range(len(found)))


def test_a_new_server_finds_loads_counts_and_evicts_what_the_last_one_left(trip: Trip) -> None:
    first = trip("store:0-15", "load:0-3", "find:0-15")
    assert len(first[-1]["found"]) == 16
    start, found, stored, left = trip("load:4-15", "store:100-111", "find:0-15")
    assert start["held"] == 16 * CHUNK_BYTES
    assert found["right"] == [True] * 12
    assert stored["peak"] <= BOUND * CHUNK_BYTES
    assert not {0, 1, 2, 3} & set(left["found"])
    assert left["found"][0] == 4


def test_a_new_server_with_a_smaller_bound_deletes_down_to_it(trip: Trip) -> None:
    trip("store:0-15")
    start, found = trip("find:0-15", bound=8)
    assert 4 * CHUNK_BYTES <= start["held"] <= 8 * CHUNK_BYTES
    assert found["found"]


def test_unfinished_files_of_a_killed_server_are_gone(trip: Trip, tmp_path: Path) -> None:
    trip("store:0-3")
    (tmp_path / "disk" / "a@b.tmp").write_bytes(b"half")
    assert trip("find:0-3")[0]["held"] == 4 * CHUNK_BYTES


def test_a_broken_file_is_stored_again(trip: Trip) -> None:
    answers = trip("store:0-3", "tear:2", "load:0-3", "find:2", "store:2", "load:0-3")
    assert answers[3]["loaded"] == [0, 1, 3]
    assert answers[4]["found"] == []
    assert answers[6]["right"] == [True] * 4


def test_chunks_for_which_the_folder_is_too_small_are_left_out_from_the_end(trip: Trip) -> None:
    _, stored, found = trip("store:0-3", "find:0-3", bound=3)
    assert stored["whole"] == [False]
    assert found["found"] == [0, 1, 2]
