"""Comparisons that never happened, for tests of what is made of them."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from lmcache_kserve.evidence.comparison import (
    ABOVE,
    BELOW,
    LONG_DOCUMENT,
    NO_CACHE,
    PREFIX_CACHE,
    Answers,
    Arm,
    Cell,
    Comparison,
    Counts,
    Measured,
    Request,
    Round,
    Use,
)

MIB = 2**20
REQUESTS = 16
REDIS = "redis, in-process"


def cell(**changes: Any) -> Cell:
    return replace(
        Cell(workload=LONG_DOCUMENT, prompt_tokens=1024, concurrency=1, pressure=ABOVE, working_set_tokens=16 * 1024),
        **changes,
    )


PRESSED = cell()
CONTROL = cell(pressure=BELOW, working_set_tokens=4 * 1024)


def request(number: int, ttft_s: float) -> Request:
    return Request(
        name=f"doc{number}_q0",
        ttft_s=ttft_s,
        total_s=ttft_s + 0.1,
        prompt_tokens=1030,
        answer_tokens=8,
        sent_s=1000.0 + number * 2,
    )


def measured(of: Cell, ttfts: Sequence[float], *, external: float = 0.0, own: float = 0.0, **counts: Any) -> Measured:
    """Two rounds and a filling one; `ttfts` are the TTFT of each round, in which the requests differ a little."""
    rounds = []
    for number, ttft in enumerate((9.9, *ttfts)):
        requests = tuple(request(one, ttft * (1 + one / 100)) for one in range(REQUESTS))
        rounds.append(
            Round(
                number=number,
                requests=requests,
                counts=Counts(
                    prompt_tokens=1030.0 * REQUESTS,
                    own_tokens=own * 1030 * REQUESTS,
                    external_tokens=external * 1030 * REQUESTS,
                    **counts,
                ),
                use={"engine": Use(cpu_s=5.0, peak_bytes=900 * MIB)},
            )
        )
    return Measured(cell=of, rounds=tuple(rounds))


def answers(**changes: Any) -> Answers:
    return replace(Answers(expected=("a", "b"), cold=("a", "b"), warm=("a", "b"), loaded_tokens=2048.0), **changes)


def comparison(**changes: Any) -> Comparison:
    """Redis pays four times under pressure, and costs a half without."""
    no_cache = Arm(
        name=NO_CACHE,
        backend="none",
        mode="none",
        measured=(measured(PRESSED, (1.0, 1.05)), measured(CONTROL, (1.0, 1.05))),
    )
    prefix = Arm(
        name=PREFIX_CACHE,
        backend="none",
        mode="none",
        measured=(measured(PRESSED, (1.0, 1.0)), measured(CONTROL, (0.1, 0.1), own=0.9)),
        answers=answers(loaded_tokens=0.0),
    )
    redis = Arm(
        name=REDIS,
        backend="redis",
        mode="in-process",
        measured=(
            measured(PRESSED, (0.25, 0.25), external=0.9, stored_bytes=8 * MIB),
            measured(CONTROL, (0.15, 0.15), own=0.9, stored_bytes=0),
        ),
        answers=answers(),
    )
    whole = Comparison(
        cells=(PRESSED, CONTROL),
        arms=(no_cache, prefix, redis),
        planned=(NO_CACHE, PREFIX_CACHE, REDIS),
        engine_cache_tokens=8192,
        token_bytes=8192.0,
        rounds=2,
        versions={"lmcache": "0.5.6"},
    )
    return replace(whole, **changes)
