"""What a report of `verify` or `demo` measured: seconds for a computed token, for a loaded token, and for a hit."""

import json
import statistics
from dataclasses import dataclass
from pathlib import Path

from lmcache_kserve.errors import HarnessError


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
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise HarnessError(f"{option} is not a report.json of lmcache-kserve verify: {error!r}") from error
    if not load or not pairs:
        raise HarnessError(f"{option} says nothing of loads: make it anew with lmcache-kserve verify or demo")
    compute_s, load_s = float(load["compute_s_per_token"]), float(load["s_per_token"])
    beyond = [
        pair["warm_s"] - pair["hit_tokens"] * load_s - (pair["prompt_tokens"] - pair["hit_tokens"]) * compute_s
        for pair in pairs
        if pair["hit_tokens"]
    ]
    return Seen(
        compute_s=compute_s,
        load_s=load_s,
        per_hit_s=max(0.0, statistics.median(beyond)) if beyond else 0.0,
        tokens=statistics.median(pair["prompt_tokens"] for pair in pairs),
    )
