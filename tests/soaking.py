"""Soaks a fake release for seconds, over real HTTP."""

from collections.abc import Callable
from typing import Any

from fake_release import FakeTarget

from lmcache_kserve.evidence.soak import Soak
from lmcache_kserve.experiment.bench import Bench
from lmcache_kserve.experiment.faults import Fault
from lmcache_kserve.experiment.journal import Journal
from lmcache_kserve.experiment.measurement import Measurement
from lmcache_kserve.experiment.mixed import Load
from lmcache_kserve.experiment.pool import Pool, PoolSize, ask_baseline
from lmcache_kserve.experiment.schedule import Kind, Pace
from lmcache_kserve.experiment.soak import SoakPlan, run_soak

SECONDS = 4.0
SIZE = PoolSize(short=2, fresh=6, shortest=300, longest=1500, answer_tokens=8)
PACE = Pace(shortest_s=0.1, longest_s=0.2, quiet_s=0.1, recovery=0.003)
LOAD = Load(clients=4, pause_s=0.05, burst_s=0.5)
BACKEND_KILLED = Kind("backend killed", "backend", recovery_s=0.3)
ROOM = 20
"""Chunks in the fake backend: fewer than in the prompts."""


def bench(target: FakeTarget, seed: int, steps: list[tuple[str, int, int, str]] | None = None) -> Bench:
    journal = Journal(progress=lambda *step: (steps if steps is not None else []).append(step))
    return Bench(target, None, measurement=Measurement(seed=seed, log_timeout_s=2), journal=journal)


def pool_of(**baseline: Any) -> Pool:
    with FakeTarget(lmcache=False, replicas=1, backend="none", **baseline) as target, bench(target, 5).opened() as it:
        return ask_baseline(it, SIZE, chunk_size=target.chunk_size)


def soak(  # noqa: PLR0913 - each says one thing about the soak
    target: FakeTarget,
    *,
    seconds: float = SECONDS,
    seed: int = 5,
    faults: Callable[[FakeTarget], dict[Kind, Fault]] | None = None,
    pool: Pool | None = None,
    steps: list[tuple[str, int, int, str]] | None = None,
    **plan: Any,
) -> Soak:
    target.holds = False
    target.store.room = ROOM
    options: dict[str, Any] = {
        "load": LOAD,
        "pace": PACE,
        "sample_s": 0.05,
        "hits_timeout_s": 5.0,
        "settle_s": 0.01,
    } | plan
    with bench(target, seed + 1, steps).opened() as it:
        it.calibrate()
        return run_soak(
            it,
            pool or pool_of(),
            SoakPlan(seconds=seconds, seed=seed, **options),
            faults=(faults or backend_faults)(target),
            watch=target.watch,
        )


def backend_faults(target: FakeTarget) -> dict[Kind, Fault]:
    assert target.backend
    stop, start = target.backend.stop, target.backend.start
    return {BACKEND_KILLED: Fault(name=BACKEND_KILLED.name, client_reconnects=True, begin=stop, end=start)}
