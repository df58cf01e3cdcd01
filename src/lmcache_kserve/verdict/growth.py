"""What must not grow during a soak, how much of it is noise, and which stretch of each series shows it."""

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from lmcache_kserve.evidence.soak import Container, Sample, Soak, Usage
from lmcache_kserve.verdict.trend import BLOCKS, Point, Trend, minima, trend

FULL_SHARE = 0.9
"""A backend counts as full from this share of the most bytes that it held."""
SHORTEST_STRETCH_S = 60.0
"""In less time, the requests of the moment outweigh any trend; of a short soak, a tenth of its length."""
_SHORTEST_SHARE = 0.1
_SETTLING_SHARE = 1 / 3
_MIB = 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """Something that must not grow.

    Attributes:
        name: for people.
        unit: of the numbers in the report.
        scale: what one of that unit is.
        floor: growth over a stretch that is allowed whatever the size, in that unit.
        share: growth that is allowed as a share of the median; the larger allowance counts.
        reason: why so much.
    """

    name: str
    unit: str
    scale: float = 1.0
    floor: float
    share: float
    reason: str

    def limit(self, median: float) -> float:
        """The growth that is allowed for a series with this median."""
        return max(self.floor, self.share * median)


MEMORY = Measure(
    name="memory",
    unit="MiB",
    scale=_MIB,
    floor=64,
    share=0.03,
    reason="an allocator keeps what a peak of load took; 64 MiB are 32 chunks of the test model",
)
DESCRIPTORS = Measure(
    name="file descriptors",
    unit="descriptors",
    floor=16,
    share=0.05,
    reason="eight clients with a connection each, twice: the old one may wait to be closed",
)
THREADS = Measure(
    name="threads",
    unit="threads",
    floor=8,
    share=0.05,
    reason="a pool of threads grows by one for each of eight clients",
)
CONNECTIONS = Measure(name="connections", unit="connections", floor=16, share=0.05, reason="as for file descriptors")
KEYS = Measure(
    name="backend keys",
    unit="keys",
    floor=32,
    share=0.15,
    reason="eviction frees several chunks at once, and a chunk may have two keys",
)
BYTES = Measure(
    name="backend bytes",
    unit="MiB",
    scale=_MIB,
    floor=16,
    share=0.15,
    reason="eviction works in steps of several chunks",
)
FILES = Measure(name="files", unit="files", floor=20, share=0.1, reason="an engine that starts makes files for a while")
LOG = Measure(
    name="log per request",
    unit="KiB a request",
    scale=1024,
    floor=0.75,
    share=0.5,
    reason="faults and starts write lines of their own, and the schedule spreads them unevenly",
)
MEASURES = (MEMORY, DESCRIPTORS, THREADS, CONNECTIONS, KEYS, BYTES, FILES, LOG)

_OF_USAGE: dict[str, Callable[[Usage], float]] = {
    MEMORY.name: lambda usage: usage.resident_bytes,
    DESCRIPTORS.name: lambda usage: usage.descriptors,
    THREADS.name: lambda usage: usage.threads,
    CONNECTIONS.name: lambda usage: usage.connections,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Slope:
    """One series, judged; numbers in the measure's unit.

    Attributes:
        measure: what was measured.
        of: what it was measured of: a container and its life, the backend, or the release.
        from_s, to_s: the stretch of the soak that was judged.
        trend: how it goes; None where the stretch was too short to tell.
        limit: the growth that is allowed.
    """

    measure: Measure
    of: str
    from_s: float
    to_s: float
    trend: Trend | None
    limit: float

    @property
    def passed(self) -> bool:
        """Whether it does not grow."""
        return self.trend is None or not self.trend.grows(self.limit)


def slopes(soak: Soak) -> Iterator[Slope]:
    """Every series of a soak, judged, measure by measure."""
    lives = list(_lives(soak))
    for name, values in _OF_USAGE.items():
        measure = next(one for one in MEASURES if one.name == name)
        for life in lives:
            points = [(at, values(container.usage)) for at, container in life.looks]
            yield _judged(soak, measure, life.of, points)
    for of, looks in _full_stretches(soak):
        entries = [(one.at_s, one.contents.entries) for one in looks if one.contents]
        yield _judged(soak, KEYS, of, [(at, float(value)) for at, value in entries if value is not None])
        yield _judged(soak, BYTES, of, [(one.at_s, float(one.contents.size_bytes)) for one in looks if one.contents])
    later = [one for one in soak.samples if one.at_s >= soak.quiet_start_s]
    yield _judged(soak, FILES, "the release", [(one.at_s, float(one.watched.files)) for one in later])
    yield _log_slope(later)


@dataclass(frozen=True, slots=True)
class _Life:
    """A container from the moment at which it has settled to its end."""

    of: str
    looks: Sequence[tuple[float, Container]]


def _lives(soak: Soak) -> Iterator[_Life]:
    """Every life of every container.

    A container has settled some time after the disturbance in which it started is over; one of the backend when the
    backend is full.
    """
    seen: dict[str, dict[str, list[tuple[float, Container]]]] = {}
    for sample in soak.samples:
        for container in sample.watched.containers:
            seen.setdefault(container.name, {}).setdefault(container.life, []).append((sample.at_s, container))
    full = [looks for _, looks in _full_stretches(soak)]
    for name, lives in seen.items():
        for number, looks in enumerate(lives.values(), start=1):
            first, last = looks[0][0], looks[-1][0]
            begin = max((one.over_s for one in soak.disturbed if one.began_s <= first <= one.over_s), default=first)
            settled = begin + min(soak.quiet_start_s, (last - begin) * _SETTLING_SHARE)
            if looks[0][1].of_backend:
                settled = min((one[0].at_s for one in full if first <= one[0].at_s <= last), default=last)
            yield _Life(f"{name}, life {number}", [look for look in looks if look[0] >= settled])


def _full_stretches(soak: Soak) -> Iterator[tuple[str, Sequence[Sample]]]:
    """For each life of the backend, what was seen of it once it was full."""
    most = max((one.contents.size_bytes for one in soak.samples if one.contents), default=0)
    lives: dict[tuple[str, ...], list[Sample]] = {}
    for sample in soak.samples:
        life = tuple(container.life for container in sample.watched.containers if container.of_backend)
        if sample.contents:
            lives.setdefault(life, []).append(sample)
    for number, looks in enumerate(lives.values(), start=1):
        full = next((place for place, one in enumerate(looks) if _is_full(one, most)), None)
        if full is not None:
            yield f"the backend, life {number}", looks[full:]


def _is_full(sample: Sample, most: int) -> bool:
    return sample.contents is not None and sample.contents.size_bytes >= FULL_SHARE * most > 0


def _judged(soak: Soak, measure: Measure, of: str, points: Sequence[Point]) -> Slope:
    scaled = [(at, value / measure.scale) for at, value in points]
    shortest = min(SHORTEST_STRETCH_S, _SHORTEST_SHARE * soak.wanted_s)
    long_enough = bool(scaled) and scaled[-1][0] - scaled[0][0] >= shortest
    return _slope(measure, of, scaled, trend(minima(scaled)) if long_enough else None)


def _log_slope(samples: Sequence[Sample]) -> Slope:
    """How many bytes of log a request makes, block by block: the volume itself grows with the requests."""
    count = min(BLOCKS, len(samples) // 2)
    ends = [samples[(len(samples) - 1) * number // count] for number in range(count + 1)] if count else []
    rates = []
    for begin, end in itertools.pairwise(ends):
        if requests := end.requests - begin.requests:
            size = (end.watched.log_bytes - begin.watched.log_bytes) / LOG.scale
            rates.append(((begin.at_s + end.at_s) / 2, size / requests))
    return _slope(LOG, "the release", [(one.at_s, 0.0) for one in samples], trend(rates))


def _slope(measure: Measure, of: str, points: Sequence[Point], found: Trend | None) -> Slope:
    return Slope(
        measure=measure,
        of=of,
        from_s=points[0][0] if points else 0.0,
        to_s=points[-1][0] if points else 0.0,
        trend=found,
        limit=measure.limit(found.median) if found else measure.floor,
    )
