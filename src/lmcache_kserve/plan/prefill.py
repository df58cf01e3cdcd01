"""How long the engine computes a prompt: stated, measured by `verify`, or estimated from published rates."""

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from lmcache_kserve.plan.hardware import Gpu, Measured, measured
from lmcache_kserve.plan.work import Work


@dataclass(frozen=True, slots=True, kw_only=True)
class Prefill:
    """How long a prompt computes.

    Attributes:
        seconds: of a prompt of so many tokens, alone on the engine.
        source: where that is from.
        error: how wrong it may be, in words.
    """

    seconds: Callable[[int], float]
    source: str
    error: str

    def rate(self, tokens: int) -> float:
        """Tokens a second in a prompt of `tokens`."""
        return tokens / self.seconds(tokens)


def stated(rate: float, *, source: str, error: str) -> Prefill:
    """A prefill of the same rate, in tokens a second, at every length."""
    return Prefill(seconds=lambda tokens: tokens / rate, source=source, error=error)


def estimated(gpu: Gpu, gpus: int, weights: str, work: Work) -> Prefill:
    """An estimate: the operations of the prompt, divided by what such GPUs were seen to reach of their peak.

    Args:
        gpu: type of the GPUs.
        gpus: how many share the prompt.
        weights: data type of the weights.
        work: what the model computes.
    """
    rows = [row for row in measured() if row.experts == work.experts]
    same = [row for row in rows if row.gpu == gpu.name]
    exact = [row for row in same if row.weights == weights]
    chosen = exact or same or rows
    share = statistics.median(row.efficiency for row in chosen)
    reached = gpu.peak_for(weights) * gpus * share
    shares = [row.efficiency for row in measured()]
    error = f"from {share / max(shares):.1f} to {share / min(shares):.1f} times as long"
    if exact:
        error = "a fifth either way on 1 to 8 GPUs; more GPUs reach less"
    source = f"{share:.0%} of the peak, {_published(chosen)}"
    return Prefill(seconds=lambda tokens: work.operations(tokens) / reached, source=source, error=error)


def _published(rows: Sequence[Measured]) -> str:
    if len(rows) == 1:
        (row,) = rows
        return f"as published for {row.model} in {row.weights} on {row.gpus} {row.gpu} ({row.source})"
    return f"the median of {len(rows)} published rates: {', '.join(sorted({row.gpu for row in rows}))}"
