"""Check `ttft`: the cache makes the time to first token (TTFT) shorter, by more than chance."""

from lmcache_kserve.evidence import Evidence
from lmcache_kserve.verdict import diagnosis, statistics
from lmcache_kserve.verdict.check import Check, Judgement, Thresholds
from lmcache_kserve.verdict.wording import unread


def _judge(evidence: Evidence, limits: Thresholds) -> Judgement:
    count = len(evidence.pairs)
    needed = max(min(limits.pairs, evidence.wanted_pairs), statistics.MINIMUM_SAMPLES)
    if count < needed:
        if evidence.stopped:
            return unread(evidence, None)
        why = f"{count} pairs were measured, and the check needs {needed}: raise --pairs."
        return Judgement(passed=False, seen=why, evidence={"pairs": count})
    summary = statistics.summarize(evidence.pairs)
    passed = summary.median_ratio >= limits.median_ratio and summary.lower_bound_5pct > limits.lower_bound
    short = f" The check needs {limits.median_ratio:g} times, and a bound above {limits.lower_bound:g}."
    return Judgement(
        passed=passed,
        seen=f"The median TTFT of {count} pairs is {summary.cold_s:.2f} s cold and {summary.warm_s:.2f} s warm: "
        f"{summary.median_ratio:.1f} times sooner, 5 % bound {summary.lower_bound_5pct:.1f}.{'' if passed else short}",
        evidence={
            "pairs": count,
            "median_ratio": summary.median_ratio,
            "lower_bound_5pct": summary.lower_bound_5pct,
            "needed_median_ratio": limits.median_ratio,
            "needed_lower_bound": limits.lower_bound,
        },
    )


CHECK = Check(
    id="ttft",
    title="The first token comes sooner",
    rule=f"At least {Thresholds().pairs} pairs are measured, or as many as `--pairs` asks for. The median of cold / "
    f"warm is at least {Thresholds().median_ratio:g}, and the 5 % bound of that median is above "
    f"{Thresholds().lower_bound:g}.",
    judge=_judge,
    causes=(
        diagnosis.no_connector,
        diagnosis.chunk_size,
        diagnosis.hash_seed,
        *diagnosis.BACKEND,
        diagnosis.world_size,
        diagnosis.nothing_logged,
    ),
)
