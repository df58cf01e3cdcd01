"""What a report of `verify` or `demo` measured: seconds for a computed token, for a loaded token, and for a hit."""

import json
import statistics
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lmcache_kserve.errors import HarnessError
from lmcache_kserve.plan import reading

_SHORTEST_S, _LONGEST_S = 1e-9, 1e6
"""Nothing that a clock measured is shorter or longer: not a token, nor a request."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What was measured.

    Attributes:
        compute_s: seconds for a computed token: cold TTFT divided by the length of the prompt.
        load_s: seconds for a loaded token, by LMCache's own log.
        per_hit_s: seconds of a warm request beyond what it loaded and computed.
        tokens: length of the prompts.
    """

    compute_s: float
    load_s: float
    per_hit_s: float
    tokens: float


def read(path: Path) -> Seen:
    """Read `report.json` (`lmcache-kserve/report/v1`, docs/report.md).

    Raises:
        HarnessError: the file is no such report, or its run measured no load; the message names the option.
    """
    option = f"--verify-report {path}"
    try:
        report = json.loads(path.read_text(encoding="utf-8"))
        load, pairs = report.get("load"), report["ttft"]["pairs"]
    except (OSError, ValueError, RecursionError, KeyError, TypeError, AttributeError) as error:
        raise HarnessError(f"{option} is not a report.json of lmcache-kserve verify: {error!r}") from error
    if not load or not pairs:
        raise HarnessError(f"{option} says nothing of loads: make it anew with lmcache-kserve verify or demo")
    loads = reading.section(load, f"{option}: load")
    compute_s, load_s = (_seconds(loads, name, f"{option}: load") for name in ("compute_s_per_token", "s_per_token"))
    found = [
        _pair(pair, f"{option}: ttft.pairs[{at}]")
        for at, pair in enumerate(reading.listed(pairs, f"{option}: ttft.pairs"))
    ]
    beyond = [
        pair.warm_s - pair.hit_tokens * load_s - (pair.prompt_tokens - pair.hit_tokens) * compute_s
        for pair in found
        if pair.hit_tokens
    ]
    return Seen(
        compute_s=compute_s,
        load_s=load_s,
        per_hit_s=max(0.0, statistics.median(beyond)) if beyond else 0.0,
        tokens=statistics.median(pair.prompt_tokens for pair in found),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Pair:
    """A prompt that was sent twice: its tokens, those that the second request found, and the TTFT of that request."""

    prompt_tokens: int
    hit_tokens: int
    warm_s: float


def _pair(value: object, where: str) -> _Pair:
    pair = reading.section(value, where)
    prompt = reading.whole(pair.get("prompt_tokens"), f"{where}.prompt_tokens")
    return _Pair(
        prompt_tokens=prompt,
        hit_tokens=reading.whole(pair.get("hit_tokens"), f"{where}.hit_tokens", least=0, most=prompt),
        warm_s=_seconds(pair, "warm_s", where),
    )


def _seconds(fields: Mapping[str, Any], name: str, where: str) -> float:
    return reading.number(fields.get(name), f"{where}.{name}", least=_SHORTEST_S, most=_LONGEST_S)
