"""Evidence of a release that keeps every promise, to be broken one value at a time with `dataclasses.replace`."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from fake_release import ARGUMENTS, ENVIRONMENT

from lmcache_kserve.evidence import (
    Answer,
    AtOnce,
    Attempt,
    BackendGrowth,
    Compared,
    Evidence,
    ExternalHits,
    FaultWindow,
    Moment,
    Outage,
    Pair,
    Pass,
    ReplicaFacts,
    ReplicaKill,
    ReplicaLog,
    Restart,
    ScaleOut,
    Subject,
)
from lmcache_kserve.lmcache.logs import Lookup, RequestLog, Tiers
from lmcache_kserve.target import Contents, LogLine

START = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
PROMPT_TOKENS = 3000
HIT_TOKENS = 2816
CHUNKS = 11


def after(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def one_pass(replica: str, number: int, ttft_s: float, log: RequestLog | None, text: str = "") -> Pass:
    return Pass(
        replica=replica,
        request_id=f"lmk-{number:06d}",
        at=after(number),
        prompt_tokens=PROMPT_TOKENS,
        ttft_s=ttft_s,
        total_s=ttft_s + 0.1,
        text=text or f"answer {number // 10}",
        log=log,
    )


COLD = RequestLog(Lookup(PROMPT_TOKENS, 0, 0, 0), HIT_TOKENS, None)
WARM = RequestLog(Lookup(PROMPT_TOKENS, HIT_TOKENS, 0, HIT_TOKENS), 0, HIT_TOKENS, Tiers(0, CHUNKS))


def pair(index: int, *, cold_s: float = 4.0, warm_s: float = 0.4, limit_s: float = 0.2) -> Pair:
    """A pair with a baseline; replicas swap roles, times vary a little from pair to pair."""
    replicas = ("predictor-0", "predictor-1")
    drift = 1 + 0.01 * (index % 5)
    number = 10 * index
    return Pair(
        index=index,
        order=("cold", "no_cache", "limit", "no_cache_again", "warm"),
        cold=one_pass(replicas[index % 2], number, cold_s * drift, COLD),
        warm=one_pass(replicas[(index + 1) % 2], number + 1, warm_s, WARM),
        no_cache=one_pass("baseline-0", number + 2, 3.9 * drift, None),
        limit=one_pass("baseline-0", number + 3, limit_s, None),
        no_cache_again=one_pass("baseline-0", number + 4, 4.0 * drift, None, text="another prompt's answer"),
    )


def without_baseline(one: Pair) -> Pair:
    return replace(one, no_cache=None, limit=None, no_cache_again=None, order=("cold", "warm"))


def answer(replica: str, phase: str, *, error: str | None = None, correct: bool | None = True) -> Answer:
    return Answer(
        replica=replica,
        request_id="lmk-000900",
        at=after(300),
        phase=phase,
        error=error,
        correct=None if error else correct,
        total_s=0.7,
        hit_tokens=512,
    )


def facts(name: str, role: str = "replica", **environment: str) -> ReplicaFacts:
    shown = {key: value for key, value in ENVIRONMENT.items() if "PASSWORD" not in key}
    server = f"{name}/server" if role == "replica" else None
    return ReplicaFacts(name=name, role=role, arguments=ARGUMENTS, environment=shown | environment, cache_server=server)


def log(replica: str, *texts: str, at: float = 1.0) -> ReplicaLog:
    return ReplicaLog(
        replica=replica, lines=tuple(LogLine(after(at), text) for text in texts or ("ready",)), secret_lines=()
    )


def outage() -> Outage:
    return Outage(
        answers=tuple(
            answer(replica, phase)
            for phase in ("before", "during", "after")
            for replica in ("predictor-0", "predictor-1")
        ),
        client_reconnects=True,
        down_s=6.0,
        hits_returned_s=1.2,
        probes=1,
    )


def scale_out(*, old_s: float = 0.4, shared_s: float = 0.5, alone_s: float = 4.0) -> ScaleOut:
    """A new replica's first requests; times vary a little from request to request."""
    drifts = [1 + 0.01 * (number % 7) for number in range(20)]
    return ScaleOut(
        old=tuple(one_pass("predictor-1", 700, old_s * drift, WARM) for drift in drifts),
        shared=tuple(one_pass("predictor-1", 730, shared_s * drift, WARM) for drift in drifts),
        alone=tuple(one_pass("predictor-1", 760, alone_s * drift, COLD) for drift in drifts),
        start_s=40.0,
    )


def evidence() -> Evidence:
    """Mode multiprocess with a backend that the release runs: every check applies, and every check passes."""
    pairs = tuple(pair(index) for index in range(12))
    chunks = CHUNKS * len(pairs)
    return Evidence(
        subject=Subject(
            kind="local",
            model_name="tiny",
            mode="multiprocess",
            backend_type="redis",
            backend_controllable=True,
            chunk_size=256,
            versions={"vllm": "0.32.0", "lmcache": "0.5.6"},
        ),
        started=START,
        finished=after(360),
        seed=7,
        wanted_pairs=12,
        wanted_scale_out=True,
        replicas=(facts("predictor-0"), facts("predictor-1"), facts("baseline-0", "baseline")),
        warmups=(pair(0),),
        pairs=pairs,
        growth=BackendGrowth(
            before=Contents(entries=10, size_bytes=1_000, entries_per_chunk=2),
            after=Contents(entries=10 + 2 * chunks, size_bytes=9_000_000, entries_per_chunk=2),
            chunks=chunks,
            workers=1,
        ),
        at_once=AtOnce(
            cached=(Compared(alone="four five", together="four five"),) * 8,
            control=(Compared(alone="six", together="six"),) * 8,
        ),
        scale_out=scale_out(),
        external_hits=ExternalHits(before=100, after=100 + HIT_TOKENS * 12, logged_hit_tokens=HIT_TOKENS * 12),
        kill=ReplicaKill(
            victim="predictor-1",
            interrupted=True,
            attempts=(
                Attempt(replica="predictor-1", request_id="lmk-000500", at=after(200), error="connection lost"),
                Attempt(replica="predictor-0", request_id="lmk-000501", at=after(201), text="one two three"),
            ),
            expected="one two",
            survivors=(answer("predictor-0", "during"),),
            restart_s=41.0,
        ),
        restart=Restart(
            repeated=one_pass("predictor-1", 600, 0.4, WARM, text="one two"),
            expected="one two",
        ),
        server_outage=outage(),
        outage=outage(),
        logs=(log("predictor-0"), log("predictor-1")),
        faults=(
            FaultWindow(after(200), after(245), "predictor-1 killed and restarted"),
            FaultWindow(after(300), after(310), "redis stopped"),
        ),
        timeline=(Moment(after(0), "stage", "pairs"), Moment(after(200), "fault", "predictor-1 is killed")),
    )
