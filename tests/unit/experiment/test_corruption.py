"""Changed chunks are asked for once, by a replica that has never seen them."""

from collections.abc import Callable
from typing import Any

import pytest
from fake_release import FakeClock, FakeTarget, Faults
from proving import QUICK

from lmcache_kserve.errors import HarnessError
from lmcache_kserve.experiment.bench import Bench
from lmcache_kserve.experiment.corruption import Loads, load_corrupted
from lmcache_kserve.experiment.journal import Journal


class Changer:
    """Stands for what changes a backend's chunks: counts those that it has not seen before."""

    def __init__(self, target: FakeTarget) -> None:
        self._target = target
        self.seen: set[str] = set()

    def __call__(self) -> int:
        fresh = set(self._target.store.keys) - self.seen
        self.seen |= fresh
        return len(fresh)


def load(target: FakeTarget, corrupt: Callable[[], int], *, chunks: int) -> tuple[Loads, list[int]]:
    told: list[int] = []
    bench = Bench(target, None, measurement=QUICK, journal=Journal(), clock=FakeClock())
    with bench.opened() as opened:
        opened.calibrate()
        return load_corrupted(opened, corrupt, chunks=chunks, told=told.append), told


def answered_by(loads: Loads) -> list[str]:
    return [answer.replica for answer in loads.answers]


def test_each_changed_chunk_is_counted_and_asked_for_until_there_are_enough() -> None:
    with FakeTarget() as target:
        loads, told = load(target, Changer(target), chunks=30)
    # A prompt has 11 chunks, and each of two replicas stores one in a round.
    assert (loads.chunks, told) == (44, [22, 44])
    assert answered_by(loads) == ["predictor-1", "predictor-0"] * 2
    assert all(answer.correct for answer in loads.answers)


def test_a_wrong_answer_is_seen() -> None:
    with FakeTarget(faults=Faults(wrong_text_when_warm=True)) as target:
        loads, _ = load(target, Changer(target), chunks=1)
    assert [answer.correct for answer in loads.answers] == [False, False]


def test_a_chunk_that_was_not_changed_does_not_count() -> None:
    with FakeTarget() as target:
        changer = Changer(target)
        loads, _ = load(target, lambda: min(changer(), 5), chunks=5)
    assert loads.chunks == 5


def test_a_backend_whose_chunks_nobody_can_change_ends_the_fault() -> None:
    def nothing(*_: Any) -> int:
        return 0

    with FakeTarget() as target, pytest.raises(HarnessError, match="none of 22 chunks that were just stored"):
        load(target, nothing, chunks=1)
