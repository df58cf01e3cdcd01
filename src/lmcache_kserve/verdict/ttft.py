"""Check `ttft`: the cache makes the time to first token (TTFT) shorter, by more than chance."""

from lmcache_kserve.evidence import Evidence
from lmcache_kserve.verdict import diagnosis, statistics
from lmcache_kserve.verdict.check import Check, Judgement
from lmcache_kserve.verdict.promises import TTFT_RATIO as _MEDIAN_RATIO
from lmcache_kserve.verdict.wording import unread

_PAIRS = 12
"""Least number of measured pairs, unless the user asked for fewer."""

_LOWER_BOUND = 1
"""The 5 % bound of that median has to be above this number."""


def _judge(evidence: Evidence) -> Judgement:
    count = len(evidence.pairs)
    needed = max(min(_PAIRS, evidence.wanted_pairs), statistics.MINIMUM_SAMPLES)
    if count < needed:
        if evidence.stopped:
            return unread(evidence, None)
        why = f"{count} pairs were measured, and the check needs {needed}: raise --pairs."
        return Judgement(passed=False, seen=why, evidence={"pairs": count})
    summary = statistics.summarize(evidence.pairs)
    passed = summary.median_ratio >= _MEDIAN_RATIO and summary.lower_bound_5pct > _LOWER_BOUND
    short = f" The check needs {_MEDIAN_RATIO} times, and a bound above {_LOWER_BOUND}."
    return Judgement(
        passed=passed,
        seen=f"The median TTFT of {count} pairs is {summary.cold_s:.2f} s cold and {summary.warm_s:.2f} s warm: "
        f"{summary.median_ratio:.1f} times sooner, 5 % bound {summary.lower_bound_5pct:.1f}.{'' if passed else short}",
        evidence={
            "pairs": count,
            "median_ratio": summary.median_ratio,
            "lower_bound_5pct": summary.lower_bound_5pct,
            "needed_median_ratio": _MEDIAN_RATIO,
            "needed_lower_bound": _LOWER_BOUND,
        },
    )


CHECK = Check(
    id="ttft",
    title="The first token comes sooner",
    rule=f"At least {_PAIRS} pairs are measured, or as many as `--pairs` asks for, but never fewer than "
    f"{statistics.MINIMUM_SAMPLES}. The median of cold / warm is at least {_MEDIAN_RATIO}, and the 5 % bound of that "
    f"median is above {_LOWER_BOUND}.",
    judge=_judge,
    causes=diagnosis.NO_HITS,
)
