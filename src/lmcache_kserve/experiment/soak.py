"""A soak: mixed traffic for a long time, faults by a schedule, and a look at the release every few seconds."""

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

from lmcache_kserve.errors import HarnessError
from lmcache_kserve.evidence.soak import Disturbance, Disturbed, Sample, Soak, Watched
from lmcache_kserve.experiment.bench import Bench
from lmcache_kserve.experiment.faults import Fault
from lmcache_kserve.experiment.mixed import Load, MixedTraffic, Rota
from lmcache_kserve.experiment.pool import Pool
from lmcache_kserve.experiment.probe import Probe
from lmcache_kserve.experiment.schedule import Kind, Pace, schedule
from lmcache_kserve.target import Contents

STAGE = "soak"
REPLICA_KILLED = Kind("replica killed", "replica", recovery_s=100.0)
"""The last replica: the first one lives as long as the soak, so that it shows what grows."""
SERVER_KILLED = Kind("LMCache server killed", "replica", recovery_s=20.0)
"""That of the last replica, which a killed replica may take along."""
_REPLICAS = 2
_TELL_S = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SoakPlan:
    """How long, how dense, how closely watched; times in seconds.

    Attributes:
        seconds: how long the traffic lasts, at least; a disturbance that began is awaited.
        seed: of the schedule and of the clients' choices.
        load: how much the clients ask.
        pace: how dense the schedule is.
        sample_s: time between two looks at the release.
        hits_timeout_s: how long to wait for hits after a disturbance.
        settle_s: how long the chunks of an answered request may be on their way to the backend.
    """

    seconds: float
    seed: int
    load: Load = field(default_factory=Load)
    pace: Pace = field(default_factory=Pace)
    sample_s: float = 2.0
    hits_timeout_s: float = 120.0
    settle_s: float = 0.5


def run_soak(
    bench: Bench, pool: Pool, plan: SoakPlan, *, faults: Mapping[Kind, Fault], watch: Callable[[], Watched]
) -> Soak:
    """Soak a release, and return what was seen.

    Args:
        bench: the release; calibrated.
        pool: what the clients ask, with the answers.
        plan: how long and how dense.
        faults: the faults of the backend. Those of the replicas and of their LMCache servers come on top.
        watch: says what the release takes of its machine.

    Raises:
        HarnessError: the release has one replica, or its replicas share nothing.
    """
    if len(bench.probes) < _REPLICAS:
        raise HarnessError("a soak kills a replica and asks another one: set predictor.replicas to 2 or more")
    if not bench.shared:
        raise HarnessError("a soak needs replicas that share a cache: set remoteBackend.type")
    return _Run(bench, pool, plan, faults, watch).run()


class _Kill:
    """Kills a replica, and starts it again at once, as a Deployment does."""

    def __init__(self, bench: Bench, rota: Rota, victim: Probe) -> None:
        self._bench = bench
        self._rota = rota
        self._victim = victim
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="restart")
        self._restart: Future[None] | None = None

    def begin(self) -> None:
        """Kill it; it starts again by itself."""
        self._rota.leave(self._victim)
        self._bench.target.kill_replica(self._victim.index)
        self._restart = self._thread.submit(self._bench.target.restart_replica, self._victim.index)

    def end(self) -> None:
        """Wait until it is back."""
        if self._restart:
            self._restart.result()
            self._victim.reopen()
        self._rota.join(self._victim)

    def close(self) -> None:
        """Wait for nothing more: the release may be ending."""
        self._thread.shutdown(wait=False)


class _Run:
    """One soak."""

    def __init__(
        self, bench: Bench, pool: Pool, plan: SoakPlan, faults: Mapping[Kind, Fault], watch: Callable[[], Watched]
    ) -> None:
        self._bench = bench
        self._plan = plan
        self._watch = watch
        self._begin = time.monotonic()
        rota = Rota(bench.probes)
        self._pool = pool
        self._traffic = MixedTraffic(pool=pool, rota=rota, load=plan.load, seed=plan.seed, begin=self._begin)
        self._kill = _Kill(bench, rota, bench.probes[-1])
        self._kinds = {**faults, REPLICA_KILLED: _fault(REPLICA_KILLED, self._kill.begin, self._kill.end)}
        if server := bench.target.cache_server:
            self._kinds[SERVER_KILLED] = _fault(SERVER_KILLED, server.stop, server.start)
        self._faults = {kind.name: fault for kind, fault in self._kinds.items()}
        self._samples: list[Sample] = []
        self._note = "quiet start"

    def run(self) -> Soak:
        plan, target = self._plan, self._bench.target
        planned = schedule(plan.seed, plan.seconds, list(self._kinds), plan.pace)
        disturbed: list[Disturbed] = []
        with ExitStack() as stack:
            stack.callback(self._kill.close)
            stack.enter_context(self._sampled())
            stack.enter_context(self._traffic.running())
            for one in planned:
                self._wait_until(one.at_s)
                disturbed.append(self._disturb(one))
                if disturbed[-1].problem:
                    break
            else:
                self._wait_until(plan.seconds)
            lasted_s = self._now()
        self._tell()
        return Soak(
            mode=target.mode,
            backend_type=target.backend_type,
            versions=dict(target.versions),
            seed=plan.seed,
            wanted_s=plan.seconds,
            lasted_s=lasted_s,
            quiet_start_s=plan.pace.quiet_start_s(plan.seconds),
            pool_prompts=len(self._pool.known),
            pool_chunks=self._pool.chunks,
            unsteady_prompts=self._pool.unsteady,
            most_at_once=self._traffic.most_at_once,
            schedule=planned,
            disturbed=tuple(disturbed),
            asked=self._traffic.asked,
            samples=tuple(self._samples),
        )

    def _now(self) -> float:
        return time.monotonic() - self._begin

    def _wait_until(self, at_s: float) -> None:
        while (left := at_s - self._now()) > _TELL_S:
            time.sleep(_TELL_S)
            self._tell()
        time.sleep(max(left, 0))

    def _tell(self, note: str | None = None) -> None:
        self._note = note or self._note
        total = max(int(self._plan.seconds), 1)
        done = min(int(self._now()), total)
        counts = f"{self._traffic.count} requests, {self._traffic.bad} of them bad"
        self._bench.journal.progress(STAGE, done, total, f"{counts}; {self._note}")

    def _disturb(self, planned: Disturbance) -> Disturbed:
        began_s = over_s = self._now()
        hits_returned_s: float | None = None
        problem: str | None = None
        try:
            with ExitStack() as ends:
                try:
                    for name in planned.faults:
                        ends.callback(self._faults[name].end)
                        self._faults[name].begin()
                    self._tell(str(planned))
                    self._wait_until(self._now() + planned.lasts_s)
                except KeyboardInterrupt:
                    ends.pop_all()  # the release ends next
                    raise
            over_s = self._now()
            self._tell(f"{planned}: over after {over_s - began_s:.1f} s")
            hits_returned_s = self._await_hits(over_s)
            back = "hits stay away" if hits_returned_s is None else f"hits are back after {hits_returned_s:.1f} s"
            self._tell(f"{planned}: {back}")
        except (HarnessError, OSError) as error:
            problem = str(error)
            self._tell(f"{planned}: {problem}")
        return Disturbed(
            planned=planned, began_s=began_s, over_s=over_s, hits_returned_s=hits_returned_s, problem=problem
        )

    def _await_hits(self, over_s: float) -> float | None:
        """Seconds since `over_s` until every replica found a fresh prompt of its neighbour; None where one does not.

        Raises:
            RequestError: a replica did not answer.
        """
        for number, reader in enumerate(self._bench.probes):
            writer = self._bench.probes[number - 1]
            while not self._hits(writer, reader):
                if self._now() - over_s > self._plan.hits_timeout_s:
                    return None
        return self._now() - over_s

    def _hits(self, writer: Probe, reader: Probe) -> bool:
        prompt = self._bench.short_prompt()
        writer.send(prompt, max_tokens=1)
        time.sleep(self._plan.settle_s)
        return reader.look_up(prompt, max_tokens=1).hit_tokens > 0

    @contextmanager
    def _sampled(self) -> Iterator[None]:
        """Look at the release every few seconds inside."""
        ended = threading.Event()

        def look() -> None:
            while not ended.wait(self._plan.sample_s):
                self._samples.append(self._sample())

        with ThreadPoolExecutor(max_workers=1, thread_name_prefix="watch") as thread:
            watching = thread.submit(look)
            try:
                yield
            finally:
                ended.set()
            watching.result()

    def _sample(self) -> Sample:
        at_s, requests = self._now(), self._traffic.count
        watched = self._watch()
        return Sample(at_s=at_s, requests=requests, watched=watched, contents=self._contents())

    def _contents(self) -> Contents | None:
        try:
            return self._bench.contents()
        except (HarnessError, OSError):  # it may be down, or cut off
            return None


def _fault(kind: Kind, begin: Callable[[], None], end: Callable[[], None]) -> Fault:
    return Fault(name=kind.name, client_reconnects=True, begin=begin, end=end)
