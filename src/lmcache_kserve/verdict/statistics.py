"""What the measured pairs say about the time to first token (TTFT).

A ratio compares the passes of one pair, so slow moments of the machine cancel out. The summary takes the median of the
ratios. A ratio of means would pass one time in five without any gain, once a few requests are slow.
"""

import random
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from lmcache_kserve.errors import HarnessError
from lmcache_kserve.evidence import Pair, Pass, ScaleOut
from lmcache_kserve.lmcache.logs import RequestLog

MINIMUM_SAMPLES = 3
_RESAMPLES = 2000
_SEED = 20480
_LOWER_BOUND = 0.05
_GIGABYTE = 10**9


class TooFewPairsError(HarnessError):
    """Too few pairs for a statement about TTFT."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TtftSummary:
    """TTFT over the measured pairs.

    Durations are medians in seconds. Ratios are medians of the ratios within pairs. The baseline is the engine without
    LMCache. Everything from `no_cache_cold_s` on is None without a baseline.

    Attributes:
        pairs: number of measured pairs.
        median_ratio: cold / warm.
        lower_bound_5pct: 5 % bound of that median, by bootstrap.
        cold_s: first pass with LMCache.
        warm_s: second pass with LMCache.
        no_cache_cold_s: first pass on the baseline.
        limit_s: second pass on the baseline, whose own prefix cache then holds the whole prompt.
        overhead_ratio: cold with LMCache / cold on the baseline.
        overhead_quartiles: first and third quartile of that ratio over the pairs.
        noise_ratio: cold on the baseline / cold on the baseline for another prompt of the same length; 1 without noise.
        noise_quartiles: first and third quartile of that ratio; no overhead within these quartiles is visible.
        gain_share: (cold - warm) / (cold - limit), the share of a perfect cache's gain that LMCache brings.
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


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadSummary:
    """How fast hits were loaded, by LMCache's own log, beside how fast the same tokens were computed.

    Attributes:
        s_per_token: median over the warm passes, in seconds for one loaded token.
        compute_s_per_token: median over the cold passes, TTFT divided by the length of the prompt.
        gigabytes_per_s: median, 10^9 bytes a second; None where the log does not say how much was loaded.
    """

    s_per_token: float
    compute_s_per_token: float
    gigabytes_per_s: float | None = None

    @property
    def slower_than_computing(self) -> bool:
        """Whether a token takes longer to load than to compute."""
        return self.s_per_token > self.compute_s_per_token


@dataclass(frozen=True, slots=True, kw_only=True)
class ScaleOutSummary:
    """The 90th percentile of TTFT over the first requests of a new replica, in seconds.

    Attributes:
        old_s: the replica that has served for a while.
        shared_s: the new replica, of prompts that the shared cache holds.
        alone_s: the new replica, of prompts that nobody computed.
    """

    old_s: float
    shared_s: float
    alone_s: float

    @property
    def shared_ratio(self) -> float:
        """How many times as long as the old replica the new one takes with the shared cache."""
        return self.shared_s / self.old_s

    @property
    def alone_ratio(self) -> float:
        """How many times as long as the old replica the new one takes without it."""
        return self.alone_s / self.old_s


def scaled_out(seen: ScaleOut) -> ScaleOutSummary:
    """The percentiles of what was measured.

    Raises:
        TooFewPairsError: there are fewer than three requests.
    """
    return ScaleOutSummary(old_s=_p90(seen.old), shared_s=_p90(seen.shared), alone_s=_p90(seen.alone))


def _p90(passes: Sequence[Pass]) -> float:
    _enough(passes)
    return statistics.quantiles((one.ttft_s for one in passes), n=10, method="inclusive")[-1]


def loads(pairs: Sequence[Pair]) -> LoadSummary | None:
    """The rates of the warm passes; None where no log tells them."""
    logs = [pair.warm.log for pair in pairs if isinstance(pair.warm.log, RequestLog)]
    told = [(log.load, log.retrieved_tokens) for log in logs if log.load and log.retrieved_tokens and log.load.seconds]
    if not told:
        return None
    return LoadSummary(
        s_per_token=statistics.median(load.seconds / tokens for load, tokens in told),
        compute_s_per_token=statistics.median(pair.cold.ttft_s / pair.cold.prompt_tokens for pair in pairs),
        gigabytes_per_s=_median(load.size_bytes / load.seconds / _GIGABYTE for load, _ in told if load.size_bytes),
    )


def summarize(pairs: Sequence[Pair]) -> TtftSummary:
    """The medians over measured pairs.

    Raises:
        TooFewPairsError: there are fewer than three pairs.
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
    """The percentile-bootstrap bound of the median. The median is below the bound with a probability of `quantile`.

    The resamples come from a fixed seed: the same samples always give the same bound.

    Raises:
        TooFewPairsError: there are fewer than three samples.
    """
    _enough(samples)
    source = random.Random(_SEED)  # noqa: S311 - a bootstrap, not a secret
    medians = sorted(statistics.median(source.choices(samples, k=len(samples))) for _ in range(resamples))
    return medians[int(quantile * resamples)]


def _gain_share(pair: Pair) -> float | None:
    """The share of the possible gain; None where a perfect cache gains nothing."""
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
        raise TooFewPairsError(f"{len(samples)} pairs are too few: measure {MINIMUM_SAMPLES} or more (--pairs)")
