"""What a comparison says: TTFT and throughput of every cell, ratios with intervals, and whether offloading pays.

A ratio compares the same request on two arms. Its interval has two parts. The bootstrap says how much the requests
differ. The noise floor says how much the machine differs between two passes over one cell; it comes from the same run.
"""

import itertools
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lmcache_kserve.evidence.comparison import (
    BELOW,
    LONG_DOCUMENT,
    NO_CACHE,
    PREFIX_CACHE,
    Arm,
    Cell,
    Comparison,
    Measured,
    Round,
)
from lmcache_kserve.verdict.statistics import MINIMUM_SAMPLES, lower_bound

_LOW, _HIGH = 0.05, 0.95
_PERCENT = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """A value, and between what it lies: nine of ten times by the bootstrap, widened by the noise floor."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """One cell on one arm. Times are seconds, ratios are medians over requests.

    Attributes:
        arm: its name.
        cell: the load.
        requests: measured requests.
        prompt_tokens: median length of their prompts.
        p50, p90, p99: TTFT; of few requests, the 99th percentile is the slowest.
        requests_per_s, tokens_per_s: throughput; tokens are those of prompts and answers.
        own_share: share of the prompts' tokens that the engine's own cache had.
        memory_share: share that LMCache had in memory; None where the two tiers cannot be told apart.
        remote_share: share that came from the remote backend; None as above.
        loaded_bytes: bytes that LMCache loaded, by tokens and the size of a token.
        stored_bytes: growth of the backend's contents, the filling round included; None without a backend.
        cpu_s, peak_bytes: by part of the release, over the measured rounds.
        noise: factor between two passes over this cell; 1 is none. The larger of the arm's own and of the arm's
            without a cache.
        gain: TTFT without a cache divided by the arm's.
        offload: TTFT of the engine's own prefix cache divided by the arm's, with the noise of both; None for the arms
            without LMCache.
    """

    arm: str
    cell: Cell
    requests: int
    prompt_tokens: float
    p50: Interval
    p90: float
    p99: float
    requests_per_s: float
    tokens_per_s: float
    own_share: float
    memory_share: float | None
    remote_share: float | None
    loaded_bytes: float
    stored_bytes: int | None
    cpu_s: Mapping[str, float]
    peak_bytes: Mapping[str, int]
    noise: float
    gain: Interval | None
    offload: Interval | None

    @property
    def verdict(self) -> str:
        """Whether LMCache answers sooner than the engine's own cache: `pays`, `costs` or `no difference`."""
        if self.offload is None:
            return ""
        if self.offload.low > 1:
            return "pays"
        return "costs" if self.offload.high < 1 else "no difference"


def summarize(seen: Comparison) -> tuple[Summary, ...]:
    """Every cell of every arm that has enough requests, in the order of the arms."""
    return tuple(
        _summary(seen, arm, measured)
        for arm in seen.arms
        for measured in arm.measured
        if len(measured.ttfts()) >= MINIMUM_SAMPLES
    )


def passed(seen: Comparison) -> bool:
    """Whether all was measured, and every arm answered as the one without a cache, LMCache having had a part."""
    return seen.complete and not any(fault_of_answers(arm) for arm in seen.arms)


def fault_of_answers(arm: Arm) -> str | None:
    """What is wrong with an arm's answers, in words; None where nothing is, or where nobody asked."""
    if arm.answers is None:
        return None
    if arm.answers.different:
        return f"{arm.answers.different} of {len(arm.answers.expected)} answers are not those without a cache"
    if arm.mode != "none" and not arm.answers.loaded_tokens:
        return "equal answers prove nothing: LMCache had no part in them"
    return None


def controls(summaries: Sequence[Summary]) -> tuple[Summary, ...]:
    """The arms with LMCache under low pressure, where offloading should not pay."""
    return tuple(one for one in summaries if one.cell.pressure == BELOW and one.offload)


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakEven:
    """From which length of a prompt on an arm's hit beats computing.

    Attributes:
        arm: its name.
        lengths: measured lengths in tokens, ascending, with the gain at each.
        tokens: the length at which the gain is 1, between two measured lengths; None where no measured length is
            on the other side.
    """

    arm: str
    lengths: tuple[tuple[float, float], ...]
    tokens: float | None

    def __str__(self) -> str:
        """In words."""
        if self.tokens is not None:
            return f"{self.tokens:.0f} tokens"
        shortest, longest = self.lengths[0], self.lengths[-1]
        return f"below {shortest[0]:.0f} tokens" if longest[1] > 1 else f"above {longest[0]:.0f} tokens"


def break_even(summaries: Sequence[Summary]) -> tuple[BreakEven, ...]:
    """The break-even length of every arm with LMCache, from its cells that differ in nothing but the length."""
    found = []
    for name in dict.fromkeys(one.arm for one in summaries):
        cells = [one for one in by_length(summaries, name) if one.offload and one.gain]
        lengths = tuple((one.prompt_tokens, one.gain.value) for one in cells if one.gain)
        if lengths:
            found.append(BreakEven(arm=name, lengths=lengths, tokens=_crossing(lengths)))
    return tuple(found)


def by_length(summaries: Sequence[Summary], arm: str) -> list[Summary]:
    """An arm's cells of long documents at the lowest concurrency under the highest pressure, the shortest first."""
    cells = [one for one in summaries if one.arm == arm and one.cell.workload == LONG_DOCUMENT]
    lowest = min((one.cell.concurrency for one in cells), default=0.0)
    pressed = [one for one in cells if one.cell.concurrency == lowest and one.cell.pressure != BELOW]
    return sorted(pressed, key=lambda one: one.cell.prompt_tokens)


def by_load(summaries: Sequence[Summary], arm: str) -> list[Summary]:
    """An arm's cells of long documents of the length that has most loads, the lowest concurrency first."""
    cells = [one for one in summaries if one.arm == arm and one.cell.workload == LONG_DOCUMENT]
    cells = [one for one in cells if one.cell.pressure != BELOW]
    if not cells:
        return []
    length = statistics.mode(one.cell.prompt_tokens for one in cells)
    return sorted((one for one in cells if one.cell.prompt_tokens == length), key=lambda one: one.cell.concurrency)


def _crossing(lengths: Sequence[tuple[float, float]]) -> float | None:
    for (shorter, below), (longer, above) in itertools.pairwise(lengths):
        if below < 1 <= above:
            return shorter + (1 - below) / (above - below) * (longer - shorter)
    return None


def _summary(seen: Comparison, arm: Arm, measured: Measured) -> Summary:
    cell, rounds = measured.cell, measured.measured
    requests = [request for one in rounds for request in one.requests]
    ttfts = [request.ttft_s for request in requests]
    control, own = (found.cell(cell) if (found := seen.arm(name)) else None for name in (NO_CACHE, PREFIX_CACHE))
    noise = max(_noise(measured), _noise(control) if control else 1.0)
    seconds = sum(one.seconds for one in rounds)
    prompts = sum(one.counts.prompt_tokens for one in rounds)
    external = sum(one.counts.external_tokens for one in rounds)
    memory, remote = _tiers(arm, rounds, external)
    cuts = statistics.quantiles(ttfts, n=_PERCENT, method="inclusive")
    stored = [one.counts.stored_bytes for one in measured.rounds if one.counts.stored_bytes is not None]
    return Summary(
        arm=arm.name,
        cell=cell,
        requests=len(requests),
        prompt_tokens=statistics.median(request.prompt_tokens for request in requests),
        p50=_interval(ttfts, noise),
        p90=cuts[89],
        p99=cuts[98],
        requests_per_s=len(requests) / seconds,
        tokens_per_s=sum(one.tokens for one in rounds) / seconds,
        own_share=_share(sum(one.counts.own_tokens for one in rounds), prompts),
        memory_share=None if memory is None else _share(memory, prompts),
        remote_share=None if remote is None else _share(remote, prompts),
        loaded_bytes=external * seen.token_bytes,
        stored_bytes=sum(stored) if stored else None,
        cpu_s={part: sum(one.use[part].cpu_s for one in rounds if part in one.use) for part in rounds[0].use},
        peak_bytes={part: max(one.use[part].peak_bytes for one in rounds if part in one.use) for part in rounds[0].use},
        noise=noise,
        gain=None if control is None or arm.name == NO_CACHE else _paired(control, measured, noise),
        offload=None if own is None or arm.mode == "none" else _paired(own, measured, max(noise, _noise(own))),
    )


def _tiers(arm: Arm, rounds: Sequence[Round], external: float) -> tuple[float | None, float | None]:
    """Tokens that LMCache had in memory, and in the backend."""
    if arm.backend == "none":
        return external, 0.0
    if arm.mode == "in-process":
        return 0.0, external  # it was told to keep nothing in memory
    memory = [one.counts.l1_tokens for one in rounds if one.counts.l1_tokens is not None]
    remote = [one.counts.l2_tokens for one in rounds if one.counts.l2_tokens is not None]
    found = sum(memory) + sum(remote)
    if not found:
        return (None, None) if external else (0.0, 0.0)
    # A lookup also counts what the engine then need not load.
    return external * sum(memory) / found, external * sum(remote) / found


def _share(tokens: float, of: float) -> float:
    return tokens / of if of else 0.0


def _interval(samples: Sequence[float], noise: float) -> Interval:
    return Interval(
        value=statistics.median(samples),
        low=lower_bound(samples, quantile=_LOW) / noise,
        high=lower_bound(samples, quantile=_HIGH) * noise,
    )


def _paired(first: Measured, second: Measured, noise: float) -> Interval | None:
    """TTFT of the first divided by that of the second, request by request; None where too few have a partner."""
    ratios = _ratios(_medians(first), _medians(second))
    return _interval(ratios, noise) if len(ratios) >= MINIMUM_SAMPLES else None


def _medians(measured: Measured) -> dict[str, float]:
    """Median TTFT of each request over the rounds."""
    found: dict[str, list[float]] = {}
    for (_, name), ttft in measured.ttfts().items():
        found.setdefault(name, []).append(ttft)
    return {name: statistics.median(values) for name, values in found.items()}


def _noise(measured: Measured) -> float:
    """The largest factor between the medians of two rounds, request by request."""
    rounds = [{name: ttft for (_, name), ttft in measured.ttfts([one]).items()} for one in measured.measured]
    factors = [1.0]
    for number, first in enumerate(rounds):
        for second in rounds[number + 1 :]:
            if ratios := _ratios(first, second):
                ratio = statistics.median(ratios)
                factors.append(max(ratio, 1 / ratio))
    return max(factors)


def _ratios(first: Mapping[str, float], second: Mapping[str, float]) -> list[float]:
    return [ttft / second[name] for name, ttft in first.items() if second.get(name, 0.0) > 0 and ttft > 0]
