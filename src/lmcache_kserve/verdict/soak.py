"""Judges a soak: no request failed, no answer was wrong, hits came back, and nothing grew."""

from collections.abc import Sequence
from dataclasses import dataclass

from lmcache_kserve.evidence.soak import Sample, Soak
from lmcache_kserve.verdict.growth import MEASURES, Measure, Slope, slopes

HITS_RETURN_S = 60.0
"""On two busy processors, one try for a hit takes up to ten seconds, and Mooncake's client joins a new master late."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Invariant:
    """One promise of a soak.

    Attributes:
        name: what has to hold, for people.
        value: what was seen.
        limit: what is allowed.
        passed: whether it held.
        why: the first request or series that broke it; empty where it held.
    """

    name: str
    value: str
    limit: str
    passed: bool
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SoakVerdict:
    """All invariants, and the slopes that some of them rest on."""

    invariants: tuple[Invariant, ...]
    slopes: tuple[Slope, ...]

    @property
    def passed(self) -> bool:
        """Whether all hold."""
        return all(one.passed for one in self.invariants)

    @property
    def first_broken(self) -> Invariant | None:
        """The first that does not hold."""
        return next((one for one in self.invariants if not one.passed), None)


def judge_soak(soak: Soak) -> SoakVerdict:
    """Judge a soak: a pure function of what was seen."""
    series = tuple(slopes(soak))
    invariants = (
        _answered(soak),
        _correct(soak),
        _disturbed(soak),
        _hits_returned(soak),
        _evicted(soak),
        *(_steady(measure, [slope for slope in series if slope.measure is measure]) for measure in MEASURES),
    )
    return SoakVerdict(invariants=invariants, slopes=series)


def _answered(soak: Soak) -> Invariant:
    failed = [one for one in soak.asked if one.error is not None]
    retried = sum(one.cut_off is not None for one in soak.asked)
    why = ""
    if failed:
        first = failed[0]
        why = f"request {first.request_id} ({first.how}) at {first.at_s:.0f} s on {first.replica}: {first.error}"
    elif not soak.asked:
        why = "no request was sent"
    return Invariant(
        name="requests without an answer, beyond the one retry after a kill",
        value=f"{len(failed)} of {len(soak.asked)}; {retried} sent again",
        limit="0",
        passed=bool(soak.asked) and not failed,
        why=why,
    )


def _correct(soak: Soak) -> Invariant:
    wrong = [one for one in soak.asked if one.wrong is not None]
    why = ""
    if wrong:
        first = wrong[0]
        why = (
            f"request {first.request_id} ({first.how}) at {first.at_s:.0f} s on {first.replica}: prompt {first.prompt} "
            f"was answered with {first.wrong!r}"
        )
    return Invariant(
        name="answers other than those of the engine without a cache",
        value=f"{len(wrong)} of {len(soak.asked)}",
        limit="0",
        passed=not wrong,
        why=why,
    )


def _disturbed(soak: Soak) -> Invariant:
    broken = next((one for one in soak.disturbed if one.problem), None)
    why = ""
    if broken:
        why = f"{broken.planned} at {broken.began_s:.0f} s: {broken.problem}"
    elif not soak.schedule:
        why = "nothing was planned"
    return Invariant(
        name="planned disturbances that took place",
        value=f"{sum(one.problem is None for one in soak.disturbed)} of {len(soak.schedule)}",
        limit="all",
        passed=bool(soak.schedule) and not broken and len(soak.disturbed) == len(soak.schedule),
        why=why,
    )


def _hits_returned(soak: Soak) -> Invariant:
    late = [
        one
        for one in soak.disturbed
        if one.problem is None and (one.hits_returned_s is None or one.hits_returned_s > HITS_RETURN_S)
    ]
    times = [one.hits_returned_s for one in soak.disturbed if one.hits_returned_s is not None]
    why = ""
    if late:
        seconds = late[0].hits_returned_s
        took = "no hit came back" if seconds is None else f"hits took {seconds:.0f} s"
        why = f"{late[0].planned} at {late[0].began_s:.0f} s: {took}"
    elif not times:
        why = "no hit was seen after any disturbance"
    return Invariant(
        name="seconds until every replica has hits again",
        value=f"{max(times):.1f}" if times else "never",
        limit=f"{HITS_RETURN_S:.0f}",
        passed=bool(times) and not late,
        why=why,
    )


def _evicted(soak: Soak) -> Invariant:
    held = max((_chunks(sample) for sample in soak.samples), default=0)
    passed = 0 < held < soak.pool_chunks
    return Invariant(
        name="most chunks in the backend, out of those that the clients ask for",
        value=f"{held} of {soak.pool_chunks}",
        limit="fewer, and not none",
        passed=passed,
        why="" if passed else "the backend never had to evict, or never held anything: give it another size",
    )


def _chunks(sample: Sample) -> int:
    contents = sample.contents
    return (contents.entries or 0) // contents.entries_per_chunk if contents else 0


def _steady(measure: Measure, slopes: Sequence[Slope]) -> Invariant:
    judged = [(slope, slope.trend) for slope in slopes if slope.trend]
    growing = [slope for slope in slopes if not slope.passed]
    why = value = ""
    limit = f"{measure.floor:g} {measure.unit} or {measure.share:.0%}"
    if judged:
        worst, most = max(judged, key=lambda one: one[1].growth / one[0].limit)
        value = f"{most.growth:+.1f} {measure.unit} in {worst.to_s - worst.from_s:.0f} s ({worst.of})"
    if growing:
        why = f"{measure.name} of {growing[0].of} grows: {_told(growing[0])}"
    elif not judged:
        value, why = "not seen long enough", f"no series of {measure.name} was long enough: give more --minutes"
    return Invariant(
        name=f"growth of {measure.name}", value=value, limit=limit, passed=bool(judged) and not growing, why=why
    )


def _told(slope: Slope) -> str:
    blocks = " ".join(f"{value:.4g}" for value in slope.trend.blocks) if slope.trend else ""
    return f"{blocks} {slope.measure.unit}, from {slope.from_s:.0f} to {slope.to_s:.0f} s"
