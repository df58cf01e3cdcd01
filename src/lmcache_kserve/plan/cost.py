"""What a cache costs, and what the GPU time that it saves is worth."""

from dataclasses import dataclass

HOURS_A_MONTH = 730.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Prices:
    """What hardware costs, in any one currency.

    Attributes:
        gpu_hour: one GPU for an hour.
        gib_month: one GiB of the cache's memory for a month.
    """

    gpu_hour: float
    gib_month: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """The balance of a cache.

    Attributes:
        cache_hour: what the cache costs in an hour.
        saved_per_thousand: what 1,000 requests save in GPU time; below zero where they lose.
    """

    cache_hour: float
    saved_per_thousand: float

    @property
    def break_even_requests(self) -> float | None:
        """Requests in an hour from which on the cache earns what it costs; None where it never does."""
        return self.cache_hour / self.saved_per_thousand * 1000 if self.saved_per_thousand > 0 else None


def cost(prices: Prices, *, cache_gib: float, gpus: int, saved_s: float) -> Cost:
    """The balance of a cache of `cache_gib`, where a request saves `saved_s` seconds of `gpus` GPUs on average."""
    return Cost(
        cache_hour=cache_gib * prices.gib_month / HOURS_A_MONTH,
        saved_per_thousand=saved_s * gpus * prices.gpu_hour / 3600 * 1000,
    )
