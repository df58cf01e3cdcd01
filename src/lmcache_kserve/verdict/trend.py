"""Whether a noisy series grows: robust against load, against steps that end, and against single odd values.

A release under load takes more memory and more connections at one moment than at the next. So a series is cut into
blocks, and the least value of each block stands for it: what is still held when the load is lowest. Theil and Sen's
slope (the median of the slopes between all pairs of blocks) says how much the blocks grow. Mann and Kendall's test says
how surely. Sources: H. Theil, 1950; P. K. Sen, 1968; M. G. Kendall, "Rank Correlation Methods", 4th edition.
"""

import itertools
import math
import statistics
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

BLOCKS = 10
"""Enough for a test at one percent, and few enough that the load is low once in each."""
FEWEST_BLOCKS = 6
"""With fewer, not even a series that rises from block to block is certain at one percent."""
SURE_Z = 2.326
"""One-sided, one percent of the series without a trend reach it."""

Point = tuple[float, float]
"""A moment in seconds, and a value."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trend:
    """How a series goes, over the time from its first block to its last.

    Attributes:
        median: of the blocks.
        growth: Theil and Sen's slope times the length of the series: how much it grew.
        late_growth: the same by the slope of the second half: how much it would have grown at its latest pace.
        z: of Mann and Kendall's test, corrected for ties; positive for growth.
        blocks: the blocks' values.
    """

    median: float
    growth: float
    late_growth: float
    z: float
    blocks: tuple[float, ...]

    def grows(self, limit: float) -> bool:
        """Whether the series surely grew by more than `limit`, and did not stop.

        What fills up grows at first and stops: memory that is taken once, threads of a pool, a cache. A leak goes on.
        """
        return self.z > SURE_Z and self.growth > limit and self.late_growth > limit / 2


def minima(points: Sequence[Point]) -> list[Point]:
    """The least value of each block, at the block's middle; none where there are too few points for blocks."""
    count = min(BLOCKS, len(points) // 2)
    if count < FEWEST_BLOCKS:
        return []
    begin, end = points[0][0], points[-1][0]
    length = (end - begin) / count
    blocks: list[list[float]] = [[] for _ in range(count)]
    for at, value in points:
        blocks[min(int((at - begin) / length), count - 1)].append(value)
    return [(begin + (number + 0.5) * length, min(block)) for number, block in enumerate(blocks) if block]


def trend(blocks: Sequence[Point]) -> Trend | None:
    """The trend over blocks, oldest first; None for too few blocks."""
    if len(blocks) < FEWEST_BLOCKS:
        return None
    values = [value for _, value in blocks]
    seconds = blocks[-1][0] - blocks[0][0]
    return Trend(
        median=statistics.median(values),
        growth=_slope(blocks) * seconds,
        late_growth=_slope(blocks[len(blocks) // 2 :]) * seconds,
        z=_z(values),
        blocks=tuple(values),
    )


def _slope(blocks: Sequence[Point]) -> float:
    return statistics.median(
        (later - earlier) / (after - before) for (before, earlier), (after, later) in itertools.combinations(blocks, 2)
    )


def _z(values: Sequence[float]) -> float:
    score = sum((later > earlier) - (later < earlier) for earlier, later in itertools.combinations(values, 2))
    variance = (_term(len(values)) - sum(_term(ties) for ties in Counter(values).values())) / 18
    if score == 0 or variance <= 0:
        return 0.0
    return (score - math.copysign(1, score)) / math.sqrt(variance)


def _term(count: int) -> int:
    return count * (count - 1) * (2 * count + 5)
