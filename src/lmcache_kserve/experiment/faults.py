"""What the service does when something breaks: a replica is killed, or a part of the cache goes and comes back."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass

from lmcache_kserve.errors import HarnessError
from lmcache_kserve.evidence import Answer, Attempt, Outage, Pass, ReplicaKill, Restart, Unreadable
from lmcache_kserve.experiment.bench import Bench
from lmcache_kserve.experiment.client import RequestError
from lmcache_kserve.experiment.probe import Probe
from lmcache_kserve.experiment.traffic import Known, Traffic
from lmcache_kserve.target import Interruptible
from lmcache_kserve.waiting import WaitTimeoutError, wait_for

_KNOWN_PROMPTS = 4
_ANSWERS_BEFORE = 2
_ANSWERS_DURING = 3
_ANSWERS_AFTER = 2
_POLL_S = 0.25
_IN_FLIGHT_POLL_S = 0.05


def kill_replica(bench: Bench) -> tuple[ReplicaKill | Unreadable, Restart | Unreadable | None]:
    """Kill the last replica in mid-request, let the client retry, bring it back, and ask it the same again.

    One restart serves both questions: whether a client's retry is answered, and whether a new replica finds what was
    cached before it existed.
    """
    stage = "replica kill"
    bench.journal.progress(stage, 0, 3, "a long request is cut off")
    try:
        kill, prompt = _kill(bench, stage)
    except (HarnessError, OSError) as error:
        return Unreadable(str(error)), Unreadable(f"no replica was restarted: {error}")
    bench.journal.progress(stage, 2, 3, "the same prompt on the new replica")
    try:
        repeated = bench.probes[-1].load(prompt, max_tokens=bench.measurement.answer_tokens)
    except RequestError as error:
        return kill, Unreadable(str(error))
    bench.journal.progress(stage, 3, 3, f"{repeated.hit_tokens} of {repeated.prompt_tokens} tokens hit")
    return kill, Restart(repeated=repeated, expected=kill.expected)


def _kill(bench: Bench, stage: str) -> tuple[ReplicaKill, str]:
    victim, others = bench.probes[-1], bench.probes[:-1]
    measurement = bench.measurement
    prompt = bench.long_prompt()
    expected = bench.baseline.send(prompt, max_tokens=measurement.answer_tokens).text if bench.baseline else None
    traffic = _survivors(bench, others)
    attempts: list[Attempt] = []
    try:
        with bench.journal.fault(f"{victim.name} killed and restarted"):
            attempts.append(_cut_off(bench, victim, prompt))
            retry = None
            if others and attempts[0].error:
                retry = _retry(bench, others[0], prompt)
            bench.journal.progress(stage, 1, 3, f"{victim.name} starts again")
            begin = bench.clock.monotonic()
            bench.target.restart_replica(victim.index)
            restart_s = bench.clock.monotonic() - begin
            victim.reopen()
            bench.journal.note("recovery", f"{victim.name} is back after {restart_s:.0f} s")
            if not others and attempts[0].error:
                retry = _retry(bench, victim, prompt)
            attempts.extend([retry] if retry else [])
    finally:
        answers = traffic.stop() if traffic else ()
    if expected is None:
        survivor = others[0] if others else victim
        expected = survivor.send(prompt, max_tokens=measurement.answer_tokens).text
    kill = ReplicaKill(
        victim=victim.name,
        interrupted=attempts[0].error is not None,
        attempts=tuple(attempts),
        expected=expected,
        survivors=answers,
        restart_s=restart_s,
    )
    return kill, prompt


def _survivors(bench: Bench, others: list[Probe]) -> Traffic | None:
    """Start steady traffic on the replicas that stay; None where no replica stays."""
    if not others:
        return None
    work = [(probe, [_known(bench, probe, bench.short_prompt())]) for probe in others]
    traffic = _traffic(bench, work, bench.measurement.survivor_interval_s)
    traffic.phase = "during"
    traffic.start()
    return traffic


def _cut_off(bench: Bench, victim: Probe, prompt: str) -> Attempt:
    """Kill `victim` as soon as its scheduler has taken the request up, and say what the client saw."""
    request_id, at = victim.next_id(), bench.journal.now()
    name = victim.name
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="in-flight") as thread:
        sent: Future[Pass] = thread.submit(
            victim.send, prompt, max_tokens=bench.measurement.kill_answer_tokens, request_id=request_id
        )

        def taken_up() -> bool:
            return sent.done() or victim.request_log(request_id, since=at).lookup is not None

        with suppress(WaitTimeoutError):  # without that line the request is in flight all the same
            wait_for(
                taken_up,
                timeout=bench.measurement.log_timeout_s,
                delay=_IN_FLIGHT_POLL_S,
                describe=f"{name} to take up request {request_id}",
                clock=bench.clock,
            )
        bench.journal.note("fault", f"{name} is killed with a request in flight")
        bench.target.kill_replica(victim.index)
        try:
            answer = sent.result()
        except RequestError as error:
            return Attempt(replica=name, request_id=request_id, at=at, error=str(error))
    return Attempt(replica=name, request_id=request_id, at=at, text=answer.text, ttft_s=answer.ttft_s)


def _retry(bench: Bench, probe: Probe, prompt: str) -> Attempt:
    """The client's second try, on another replica where there is one."""
    request_id, at = probe.next_id(), bench.journal.now()
    try:
        answer = probe.send(prompt, max_tokens=bench.measurement.kill_answer_tokens, request_id=request_id)
    except RequestError as error:
        return Attempt(replica=probe.name, request_id=request_id, at=at, error=str(error))
    bench.journal.note("recovery", f"{probe.name} answers the request that was cut off")
    return Attempt(replica=probe.name, request_id=request_id, at=at, text=answer.text, ttft_s=answer.ttft_s)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """Something that keeps the replicas from their backend, and its end.

    Attributes:
        name: what happens, in words: `redis stopped`.
        client_reconnects: whether hits return after it.
        begin: makes it happen; returns when it has.
        end: ends it; returns when the backend can be used again. Called whatever happens in between.
    """

    name: str
    client_reconnects: bool
    begin: Callable[[], None]
    end: Callable[[], None]


def interrupt_backend(bench: Bench) -> Outage | Unreadable:
    """Stop the backend during steady traffic on every replica, start it again, and see when hits return."""
    backend = bench.target.backend
    if backend is None:
        return Unreadable(f"a backend of type {bench.target.backend_type} cannot be stopped from here")
    return disturb(bench, _interruption(backend), stage="backend outage")


def disturb(bench: Bench, fault: Fault, *, stage: str) -> Outage | Unreadable:
    """Let a fault happen during steady traffic on every replica, end it, and see when hits return.

    Args:
        bench: the replicas.
        fault: what happens.
        stage: its name in the progress and on the timeline.
    """
    bench.journal.progress(stage, 0, 4, "steady traffic")
    try:
        return _disturb(bench, fault, stage)
    except (HarnessError, OSError) as error:
        return Unreadable(str(error))


def interrupt_cache_server(bench: Bench, server: Interruptible) -> Outage | Unreadable:
    """Stop the LMCache server of the last replica in the same way."""
    return disturb(bench, _interruption(server), stage="cache server outage")


def _interruption(part: Interruptible) -> Fault:
    return Fault(name=f"{part.type} stopped", client_reconnects=part.client_reconnects, begin=part.stop, end=part.start)


def _disturb(bench: Bench, fault: Fault, stage: str) -> Outage:
    # Each replica is asked what another one computed: its own memory cannot answer, it has to ask the backend.
    work = [
        (probe, [_known(bench, bench.probes[number - 1], bench.short_prompt()) for _ in range(_KNOWN_PROMPTS)])
        for number, probe in enumerate(bench.probes)
    ]
    traffic = _traffic(bench, work, bench.measurement.traffic_interval_s)
    traffic.start()
    answers: tuple[Answer, ...] = ()
    try:
        _wait_for_answers(bench, traffic, "before", _ANSWERS_BEFORE)
        with bench.journal.fault(fault.name, stays_open=not fault.client_reconnects):
            bench.journal.note("fault", fault.name)
            begin = bench.clock.monotonic()
            traffic.phase = "during"
            try:
                fault.begin()
                bench.journal.progress(stage, 1, 4, f"{fault.name}, traffic goes on")
                _wait_for_answers(bench, traffic, "during", _ANSWERS_DURING)
            finally:  # a release is never left without its cache, whatever ends this
                fault.end()
            back = bench.clock.monotonic()
            traffic.phase = "after"
            bench.journal.note("recovery", f"it is over after {back - begin:.1f} s")
            bench.journal.progress(stage, 2, 4, f"{fault.name}: it is over")
            hits_returned_s, probes = _await_hits(bench, back) if fault.client_reconnects else (None, 0)
            if hits_returned_s is not None:
                bench.journal.note("recovery", f"hits are back {hits_returned_s:.1f} s later")
        bench.journal.progress(stage, 3, 4, "traffic ends")
        _wait_for_answers(bench, traffic, "after", _ANSWERS_AFTER)
    finally:
        answers = traffic.stop()
    bench.journal.progress(stage, 4, 4)
    return Outage(
        answers=answers,
        client_reconnects=fault.client_reconnects,
        down_s=back - begin,
        hits_returned_s=hits_returned_s,
        probes=probes,
    )


def _await_hits(bench: Bench, back: float) -> tuple[float | None, int]:
    """Try fresh prompts until what one replica stores is found by another; seconds since `back`, and the tries.

    Where replicas share nothing, the replica that stores is asked.
    """
    tries = 0
    reader = bench.probes[-1]
    writer = bench.probes[0] if bench.shared else reader

    def hit() -> bool:
        nonlocal tries
        tries += 1
        prompt = bench.short_prompt()
        bench.store(writer, prompt)
        return reader.load(prompt, max_tokens=bench.measurement.answer_tokens).hit_tokens > 0

    if len(bench.probes) == 1 and bench.shared:
        return None, 0
    try:
        wait_for(
            hit,
            timeout=bench.measurement.recovery_timeout_s,
            delay=_POLL_S,
            describe="hits to return",
            clock=bench.clock,
        )
    except (WaitTimeoutError, RequestError):
        return None, tries
    return bench.clock.monotonic() - back, tries


def _traffic(bench: Bench, work: list[tuple[Probe, list[Known]]], interval: float) -> Traffic:
    return Traffic(work, max_tokens=bench.measurement.answer_tokens, interval=interval, journal=bench.journal)


def _known(bench: Bench, probe: Probe, prompt: str) -> Known:
    return Known(prompt, bench.store(probe, prompt).text)


def _wait_for_answers(bench: Bench, traffic: Traffic, phase: str, count: int) -> None:
    wait_for(
        lambda: traffic.least(phase) >= count,
        timeout=bench.measurement.outage_timeout_s,
        delay=_POLL_S,
        describe=f"{count} answers from every replica {phase} the outage",
        clock=bench.clock,
    )
