"""The experiment: the same sequence of requests and faults for a laptop and for a GPU cluster.

The measured pairs come first, then requests at the same time, then a new replica where the user asked for one. The
killed replica and the LMCache server of mode multiprocess follow. The outage of the backend comes last: some clients
never reconnect, and would spoil the stages after it.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import datetime

from lmcache_kserve.errors import HarnessError
from lmcache_kserve.evidence import (
    BackendGrowth,
    Evidence,
    ExternalHits,
    Pair,
    Pass,
    ReplicaLog,
    Subject,
    Unreadable,
)
from lmcache_kserve.experiment.at_once import ask_at_once
from lmcache_kserve.experiment.bench import Bench
from lmcache_kserve.experiment.client import RequestError
from lmcache_kserve.experiment.faults import interrupt_backend, interrupt_cache_server, kill_replica
from lmcache_kserve.experiment.journal import Journal
from lmcache_kserve.experiment.measurement import Measurement
from lmcache_kserve.experiment.scale_out import scale_out
from lmcache_kserve.lmcache.logs import plain
from lmcache_kserve.lmcache.metrics import counter
from lmcache_kserve.progress import Progress, untold
from lmcache_kserve.secrets import redact
from lmcache_kserve.target import Contents, LogLine, Target
from lmcache_kserve.waiting import Clock, WaitTimeoutError, wait_for

EXTERNAL_HITS = "vllm:external_prefix_cache_hits_total"
_METRIC_TIMEOUT_S = 10.0


def run_experiment(  # noqa: PLR0913 - the clock and the wall clock are for tests
    target: Target,
    *,
    baseline: Target | None = None,
    measurement: Measurement | None = None,
    progress: Progress = untold,
    clock: Clock | None = None,
    now: Callable[[], datetime] | None = None,
) -> Evidence:
    """Drive a release through all measurements and faults, and return what was seen.

    Args:
        target: the release to prove.
        baseline: the same engine without LMCache and with its own prefix cache; without it neither overhead nor limit
            is known.
        measurement: how much to measure.
        progress: called as things go on.
        clock: the clock of all waits.
        now: the wall clock of the timeline.

    Raises:
        HarnessError: the release cannot be measured at all (no replica, wrong model name, not reachable).
    """
    journal = Journal(progress=progress, now=now)
    bench = Bench(target, baseline, measurement=measurement or Measurement(), journal=journal, clock=clock)
    with bench.opened():
        return _Experiment(bench).run()


class _Experiment:
    """One run; collects what becomes `Evidence`."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        self._journal = bench.journal
        self._warmups: list[Pair] = []
        self._pairs: list[Pair] = []
        self._stopped: str | None = None

    def run(self) -> Evidence:
        bench, measurement = self._bench, self._bench.measurement
        started = self._journal.now()
        self._journal.progress("calibrate", 0, 1, "how many words make the wanted prompt")
        bench.calibrate()
        self._journal.progress("calibrate", 1, 1)
        growth: BackendGrowth | Unreadable | None = None
        external: ExternalHits | Unreadable | None = None
        at_once = new_replica = kill = restart = server_outage = outage = None
        self._measure("warm-up", measurement.warmup_pairs, self._warmups)
        if not self._stopped:
            contents, hits = self._contents(), self._external_hits()
            self._measure("pairs", measurement.pairs, self._pairs)
            growth = self._growth(contents)
            external = self._external_growth(hits)
        if not self._stopped:
            at_once = ask_at_once(bench)
        if not self._stopped and measurement.scale_out_requests:
            new_replica = scale_out(bench)
        if not self._stopped and measurement.faults:
            kill, restart = kill_replica(bench)
        if not self._stopped and measurement.faults and (server := bench.target.cache_server):
            server_outage = interrupt_cache_server(bench, server)
        subject = _subject(bench.target)
        # A backend that should be there and is missing has to show: the check of its outage then fails.
        interruptible = bench.has_backend and subject.backend_controllable is not False
        if not self._stopped and measurement.faults and interruptible:
            outage = interrupt_backend(bench)
        logs = self._logs()
        return Evidence(
            subject=subject,
            started=started,
            finished=self._journal.now(),
            seed=bench.seed,
            wanted_pairs=measurement.pairs,
            wanted_faults=measurement.faults,
            wanted_scale_out=measurement.scale_out_requests > 0,
            replicas=bench.facts(),
            warmups=tuple(self._warmups),
            pairs=tuple(self._pairs),
            growth=growth,
            external_hits=external,
            at_once=at_once,
            scale_out=new_replica,
            kill=kill,
            restart=restart,
            server_outage=server_outage,
            outage=outage,
            logs=logs,
            faults=self._journal.faults,
            timeline=self._journal.timeline,
            stopped=self._stopped,
        )

    def _measure(self, stage: str, count: int, pairs: list[Pair]) -> None:
        """Measure `count` pairs into `pairs`; a request without an answer or a first pair without a hit ends it."""
        self._journal.progress(stage, 0, count)
        for index in range(count):
            try:
                pair = self._pair(index)
            except RequestError as error:
                self._stop(f"a request of the measurement was not answered: {error}")
                return
            pairs.append(pair)
            ratio = pair.cold.ttft_s / pair.warm.ttft_s
            self._journal.progress(
                stage,
                index + 1,
                count,
                f"TTFT {pair.cold.ttft_s:.2f} s cold, {pair.warm.ttft_s:.2f} s warm ({ratio:.1f} times), "
                f"{pair.warm.hit_tokens} of {pair.warm.prompt_tokens} tokens hit",
            )
            if len(self._warmups) + len(self._pairs) == 1 and not pair.warm.hit_tokens:
                self._stop("no cross-replica hit" if self._bench.shared else "no hit of a repeated prompt")
                return

    def _stop(self, why: str) -> None:
        self._stopped = why
        self._journal.note("note", f"the experiment ends here: {why}")

    def _pair(self, index: int) -> Pair:
        """One fresh prompt, cold and warm; roles swap from pair to pair, the order of the cold passes rotates."""
        bench = self._bench
        tokens = bench.measurement.answer_tokens
        replicas = len(bench.probes)
        first = bench.probes[index % replicas]
        second = bench.probes[(index + 1) % replicas] if bench.shared else first
        prompt = bench.long_prompt()
        other = bench.long_prompt()
        seen: dict[str, Pass] = {}

        def cold() -> None:
            seen["cold"] = bench.store(first, prompt)

        def no_cache() -> None:
            if bench.baseline:
                seen["no_cache"] = bench.baseline.send(prompt, max_tokens=tokens)
                seen["limit"] = bench.baseline.send(prompt, max_tokens=tokens)

        def no_cache_again() -> None:
            if bench.baseline:
                seen["no_cache_again"] = bench.baseline.send(other, max_tokens=tokens)

        steps: Sequence[Callable[[], None]] = (cold, no_cache, no_cache_again) if bench.baseline else (cold,)
        # Halved, so that over six pairs each order meets each distribution of roles once.
        turn = index // 2 % len(steps)
        for step in (*steps[turn:], *steps[:turn]):
            step()
        seen["warm"] = second.load(prompt, max_tokens=tokens)
        return Pair(index=index, order=tuple(seen), **seen)

    def _contents(self) -> Contents | Unreadable | None:
        if not self._bench.has_backend:
            return None
        try:
            return self._bench.contents()
        except (HarnessError, OSError) as error:
            return Unreadable(str(error))

    def _growth(self, before: Contents | Unreadable | None) -> BackendGrowth | Unreadable | None:
        if before is None or isinstance(before, Unreadable):
            return before
        after = self._contents()
        if after is None or isinstance(after, Unreadable):
            return after
        return BackendGrowth(
            before=before,
            after=after,
            chunks=sum(self._bench.chunks(pair.cold.prompt_tokens) for pair in self._pairs),
            workers=self._bench.workers,
        )

    def _external_hits(self) -> float | Unreadable:
        """Tokens that came from outside by vLLM's own count, over all replicas."""
        total = 0.0
        for probe in self._bench.probes:
            try:
                value = counter(probe.replica.metrics(), EXTERNAL_HITS)
            except (HarnessError, OSError, ValueError) as error:
                return Unreadable(f"the metrics of {probe.name}: {error}")
            if value is None:
                return Unreadable(f"{probe.name} has no metric {EXTERNAL_HITS}")
            total += value
        return total

    def _external_growth(self, before: float | Unreadable) -> ExternalHits | Unreadable:
        if isinstance(before, Unreadable):
            return before
        logged = sum(pair.warm.hit_tokens for pair in self._pairs)
        last: float | Unreadable = before

        def counted() -> bool:
            nonlocal last
            last = self._external_hits()
            return isinstance(last, Unreadable) or last - before >= logged

        with suppress(WaitTimeoutError):  # the verdict compares what was counted
            wait_for(
                counted,
                timeout=_METRIC_TIMEOUT_S,
                delay=0.5,
                describe=f"{EXTERNAL_HITS} to count the hits",
                clock=self._bench.clock,
            )
        if isinstance(last, Unreadable):
            return last
        return ExternalHits(before=before, after=last, logged_hit_tokens=logged)

    def _logs(self) -> tuple[ReplicaLog, ...] | Unreadable:
        self._journal.progress("logs", 0, 1, "reading every replica's log")
        hidden = self._bench.target.secrets
        logs = []
        for probe in self._bench.probes:
            try:
                lines = probe.replica.logs()
            except (HarnessError, OSError) as error:
                return Unreadable(f"the log of {probe.name}: {error}")
            logs.append(_read_log(probe.name, lines, hidden))
        self._journal.progress("logs", 1, 1)
        return tuple(logs)


def _read_log(name: str, lines: Sequence[LogLine], hidden: Sequence[str]) -> ReplicaLog:
    safe = [LogLine(line.time, redact(plain(line.text), hidden)) for line in lines]
    leaked = [clean for line, clean in zip(lines, safe, strict=True) if clean.text != plain(line.text)]
    return ReplicaLog(replica=name, lines=tuple(safe), secret_lines=tuple(leaked))


def _subject(target: Target) -> Subject:
    return Subject(
        kind=target.kind,
        model_name=target.model_name,
        mode=target.mode,
        backend_type=target.backend_type,
        backend_controllable=target.backend.controllable if target.backend else None,
        chunk_size=target.chunk_size,
        versions=dict(target.versions),
    )
