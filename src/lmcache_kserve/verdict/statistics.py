"""What the measured pairs say about the time to first token (TTFT).

Ratios are taken within a pair, so that slow moments of the machine cancel out, and summarised by their median. A ratio
of means would pass one time in five without any gain as soon as a few slow requests are among the samples.
"""

import random
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from lmcache_kserve.errors import HarnessError
from lmcache_kserve.evidence import Pair

MINIMUM_SAMPLES = 3
_RESAMPLES = 2000
_SEED = 20480
_LOWER_BOUND = 0.05


class TooFewPairsError(HarnessError):
    """Not enough pairs to say anything."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TtftSummary:
    """TTFT over the measured pairs; durations are medians in seconds, ratios are medians of ratios within pairs.

    Attributes:
        pairs: how many.
        median_ratio: cold / warm.
        lower_bound_5pct: 5 % bound of that median, by bootstrap.
        cold_s: first pass with LMCache.
        warm_s: second pass with LMCache.
        no_cache_cold_s: first pass without LMCache; this and all below are None without a baseline.
        limit_s: second pass without LMCache, everything in the engine's own prefix cache.
        overhead_ratio: cold with LMCache / cold without.
        overhead_quartiles: quartiles of that ratio over the pairs.
        noise_ratio: cold without LMCache / the same for another prompt of the same length: 1 but for noise.
        noise_quartiles: quartiles of that ratio over the pairs; an overhead within them is not visible.
        gain_share: (cold - warm) / (cold - limit): the part that LMCache realises of what any cache could.
    """

    pairs: int
    median_ratio: float
    lower_bound_5pct: float
    cold_s: float
    warm_s: float
    no_cache_cold_s: float | None = None
    limit_s: float | None = None
    overhead_ratio: float | None = None
    overhead_quartiles: tuple[float, float] | None = None
    noise_ratio: float | None = None
    noise_quartiles: tuple[float, float] | None = None
    gain_share: float | None = None


def summarize(pairs: Sequence[Pair]) -> TtftSummary:
    """Summarise measured pairs.

    Raises:
        TooFewPairsError: fewer than three pairs.
    """
    _enough(pairs)
    ratios = [pair.cold.ttft_s / pair.warm.ttft_s for pair in pairs]
    overheads = [pair.cold.ttft_s / pair.no_cache.ttft_s for pair in pairs if pair.no_cache]
    noises = [
        pair.no_cache.ttft_s / pair.no_cache_again.ttft_s for pair in pairs if pair.no_cache and pair.no_cache_again
    ]
    limits = [pair.limit.ttft_s for pair in pairs if pair.limit]
    shares = [share for share in map(_gain_share, pairs) if share is not None]
    return TtftSummary(
        pairs=len(pairs),
        median_ratio=statistics.median(ratios),
        lower_bound_5pct=lower_bound(ratios),
        cold_s=statistics.median(pair.cold.ttft_s for pair in pairs),
        warm_s=statistics.median(pair.warm.ttft_s for pair in pairs),
        no_cache_cold_s=_median(pair.no_cache.ttft_s for pair in pairs if pair.no_cache),
        limit_s=_median(limits),
        overhead_ratio=_median(overheads),
        overhead_quartiles=_quartiles(overheads),
        noise_ratio=_median(noises),
        noise_quartiles=_quartiles(noises),
        gain_share=_median(shares),
    )


def lower_bound(samples: Sequence[float], *, quantile: float = _LOWER_BOUND, resamples: int = _RESAMPLES) -> float:
    """The percentile-bootstrap bound of the median: below it with a probability of `quantile`. Repeatable.

    Raises:
        TooFewPairsError: fewer than three samples.
    """
    _enough(samples)
    # A fixed seed: the same samples always give the same verdict.
    source = random.Random(_SEED)  # noqa: S311 - a bootstrap, not a secret
    medians = sorted(statistics.median(source.choices(samples, k=len(samples))) for _ in range(resamples))
    return medians[int(quantile * resamples)]


def _gain_share(pair: Pair) -> float | None:
    """None where there was nothing to gain: a share of nothing is no number."""
    if pair.limit is None or pair.cold.ttft_s <= pair.limit.ttft_s:
        return None
    return (pair.cold.ttft_s - pair.warm.ttft_s) / (pair.cold.ttft_s - pair.limit.ttft_s)


def _median(samples: Iterable[float]) -> float | None:
    values = list(samples)
    return statistics.median(values) if values else None


def _quartiles(samples: Sequence[float]) -> tuple[float, float] | None:
    if len(samples) < MINIMUM_SAMPLES:
        return None
    first, _, third = statistics.quantiles(samples, n=4, method="inclusive")
    return first, third


def _enough(samples: Sequence[object]) -> None:
    if len(samples) < MINIMUM_SAMPLES:
        raise TooFewPairsError(f"{len(samples)} pairs say nothing: measure {MINIMUM_SAMPLES} or more (--pairs)")
