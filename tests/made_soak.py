"""Soaks that never happened, for tests of what is made of them."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from lmcache_kserve.evidence.soak import Asked, Container, Disturbance, Disturbed, Sample, Soak, Usage, Watched
from lmcache_kserve.target import Contents

MIB = 2**20
SECONDS = 1200
REQUESTS_PER_S = 1.5
KILL = Disturbance(at_s=400.0, lasts_s=5.0, faults=("replica killed",))
EMPTY = Disturbance(at_s=800.0, lasts_s=5.0, faults=("backend killed", "network cut"))
RESTARTED_S = 460.0
"""The second replica is back."""
EMPTIED_S = 805.0
FULL_S = 60.0
"""How long the backend takes to fill."""

Changes = Callable[[int, Sample], Sample]


def usage(**changes: Any) -> Usage:
    return replace(Usage(resident_bytes=1300 * MIB, descriptors=120, threads=60, connections=10), **changes)


def container(name: str, life: str, *, of_backend: bool = False, **changes: Any) -> Container:
    return Container(name=name, life=life, of_backend=of_backend, usage=usage(**changes))


def sample(at: int) -> Sample:
    """A healthy look: the load of the moment comes and goes, a started engine takes its memory bit by bit."""
    load = at * 7 % 11
    since = at - 400 if at >= 400 else at + 300
    starting = min(since / 100, 1.0)
    filled = min((at - EMPTIED_S if at >= EMPTIED_S else at) / FULL_S, 1.0)
    size = max(filled, 0.0)
    containers = (
        container("predictor-0/main", "10", descriptors=120 + load, connections=10 + load, threads=60 + load % 3),
        container(
            "predictor-1/main",
            "20" if at < 400 else "21",
            resident_bytes=int((300 + 1000 * starting) * MIB),
            descriptors=120 + load,
        ),
        container(
            "redis-0/redis", "30" if at < 800 else "31", of_backend=True, resident_bytes=int((20 + 120 * size) * MIB)
        ),
    )
    requests = int(REQUESTS_PER_S * at)
    return Sample(
        at_s=float(at),
        requests=requests,
        watched=Watched(
            containers=containers, files=300 + load, log_bytes=200_000 + 3000 * requests + (at >= 400) * 150_000
        ),
        contents=None if 800 <= at < EMPTIED_S else Contents(int(100 * size) + load, int(120 * size) * MIB, 2),
    )


def asked(number: int, **changes: Any) -> Asked:
    how = ("streamed", "whole", "cancelled")[number % 3]
    values: dict[str, Any] = {
        "request_id": f"lmk-{number}",
        "replica": "predictor-0",
        "how": how,
        "prompt": number % 36,
    }
    return Asked(**(values | {"at_s": number / REQUESTS_PER_S, "total_s": 0.5} | changes))


def soak(*, samples: Changes = lambda _, one: one, **changes: Any) -> Soak:
    """A soak that kept every promise, with `changes`; `samples` may change each look, told its second."""
    made = Soak(
        mode="in-process",
        backend_type="redis",
        versions={"lmcache": "0.5.6"},
        seed=22,
        wanted_s=float(SECONDS),
        lasted_s=1203.4,
        quiet_start_s=150.0,
        pool_prompts=36,
        pool_chunks=96,
        unsteady_prompts=0,
        most_at_once=8,
        schedule=(KILL, EMPTY),
        disturbed=(
            Disturbed(planned=KILL, began_s=400.0, over_s=RESTARTED_S, hits_returned_s=4.5),
            Disturbed(planned=EMPTY, began_s=800.0, over_s=EMPTIED_S, hits_returned_s=12.0),
        ),
        asked=tuple(asked(number) for number in range(int(SECONDS * REQUESTS_PER_S))),
        samples=tuple(samples(at, sample(at)) for at in range(2, SECONDS, 2)),
    )
    return replace(made, **changes)


def held(name: str, change: Callable[[int, Usage], Usage]) -> Changes:
    """Looks in which one container holds something else."""

    def changed(at: int, one: Sample) -> Sample:
        containers = tuple(
            replace(each, usage=change(at, each.usage)) if each.name == name else each
            for each in one.watched.containers
        )
        return replace(one, watched=replace(one.watched, containers=containers))

    return changed
