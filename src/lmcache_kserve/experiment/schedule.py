"""Which faults happen when during a soak: a pure function of the seed, so that a run can be played again."""

import itertools
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from lmcache_kserve.evidence.soak import Disturbance


@dataclass(frozen=True, slots=True)
class Kind:
    """A fault that a release can be given.

    Attributes:
        name: what happens: `network cut`.
        part: what it breaks. Two faults of one part never happen at once: one would hide or undo the other.
        recovery_s: seconds that everything may need after its end until hits are back.
    """

    name: str
    part: str
    recovery_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How dense a schedule is, in seconds.

    Attributes:
        start_share: share of the run before the first disturbance, in which memory and backend fill.
        longest_start_s: the longest such start.
        shortest_s, longest_s: how long a fault lasts.
        quiet_s: the least time between the end of a disturbance with its recovery and the next one.
        recovery: how many times as long as its kind says a recovery may take.
    """

    start_share: float = 0.2
    longest_start_s: float = 150.0
    shortest_s: float = 4.0
    longest_s: float = 15.0
    quiet_s: float = 30.0
    recovery: float = 1.0

    def quiet_start_s(self, seconds: float) -> float:
        """Seconds of a run that lasts `seconds` before its first disturbance."""
        return min(self.longest_start_s, seconds * self.start_share)


def schedule(seed: int, seconds: float, kinds: Sequence[Kind], pace: Pace | None = None) -> tuple[Disturbance, ...]:
    """The disturbances of a run; equal arguments give equal schedules.

    One fault alone and two at once alternate. No kind comes alone again before each had its turn, and no pair does.

    Args:
        seed: any number.
        seconds: how long the run lasts. The first disturbance always fits.
        kinds: the faults to choose from, each by another name; at least one.
        pace: how dense.
    """
    pace = pace or Pace()
    source = random.Random(seed)  # noqa: S311 - repeatable on purpose
    decks = [_dealt(source, [(kind,) for kind in kinds])]
    if pairs := [pair for pair in itertools.combinations(kinds, 2) if pair[0].part != pair[1].part]:
        decks.append(_dealt(source, pairs))
    planned: list[Disturbance] = []
    at_s = pace.quiet_start_s(seconds)
    for deck in itertools.cycle(decks):
        cards = list(next(deck))
        source.shuffle(cards)  # which of two begins first
        lasts_s = round(source.uniform(pace.shortest_s, pace.longest_s), 1)
        over_s = at_s + lasts_s + pace.recovery * max(kind.recovery_s for kind in cards)
        if planned and over_s > seconds:
            break
        names = tuple(kind.name for kind in cards)
        planned.append(Disturbance(at_s=round(at_s, 1), lasts_s=lasts_s, faults=names))
        at_s = over_s + pace.quiet_s
    return tuple(planned)


def _dealt(source: random.Random, cards: Sequence[tuple[Kind, ...]]) -> Iterator[tuple[Kind, ...]]:
    """All cards in a random order, again and again."""
    while True:
        yield from source.sample(cards, k=len(cards))
