import random
from dataclasses import replace

import pytest
from made_evidence import pair, without_baseline

from lmcache_kserve.evidence import Pair
from lmcache_kserve.lmcache.logs import Load, RequestLog
from lmcache_kserve.verdict.statistics import TooFewPairsError, loads, lower_bound, summarize

RUNS = 120


def noisy(source: random.Random, speedup: float, sigma: float) -> list[float]:
    """Twelve ratios cold / warm with log-normal noise on both, and one slow measurement in twenty."""

    def measured(true: float) -> float:
        slow = 3 if source.random() < 0.05 else 1
        return true * slow * source.lognormvariate(0, sigma)

    return [measured(speedup) / measured(1.0) for _ in range(12)]


def passes(ratios: list[float]) -> bool:
    ordered = sorted(ratios)
    return (ordered[5] + ordered[6]) / 2 >= 1.3 and lower_bound(ratios, resamples=400) > 1


@pytest.mark.parametrize(
    ("speedup", "sigma", "least", "most"),
    [(1.0, 0.1, 0.0, 0.01), (1.0, 0.3, 0.0, 0.1), (2.0, 0.1, 0.97, 1.0), (2.0, 0.3, 0.9, 1.0), (3.0, 0.3, 0.97, 1.0)],
)
def test_the_rule_finds_real_gains_and_is_not_fooled_by_noise(
    speedup: float, sigma: float, least: float, most: float
) -> None:
    source = random.Random(11)  # noqa: S311 - a simulation
    share = sum(passes(noisy(source, speedup, sigma)) for _ in range(RUNS)) / RUNS

    assert least <= share <= most


def test_the_bound_is_the_same_each_time_and_below_the_median() -> None:
    ratios = [9.0, 10.0, 11.0, 8.0, 12.0, 10.5]

    assert lower_bound(ratios) == lower_bound(ratios)
    assert 8.0 <= lower_bound(ratios) <= 10.25


def test_equal_samples_leave_nothing_to_doubt() -> None:
    assert lower_bound([2.0] * 5) == 2.0


def test_a_single_slow_request_does_not_move_the_summary() -> None:
    pairs = [pair(index) for index in range(12)]
    slow = [*pairs[:11], pair(11, cold_s=400.0)]

    assert summarize(slow).median_ratio == pytest.approx(summarize(pairs).median_ratio, rel=0.02)


def test_ratios_are_taken_within_pairs() -> None:
    summary = summarize([pair(0, cold_s=4, warm_s=0.4), pair(0, cold_s=8, warm_s=0.8), pair(0, cold_s=2, warm_s=0.2)])

    assert summary.median_ratio == pytest.approx(10)
    assert summary.overhead_ratio == pytest.approx(4 / 3.9)
    assert summary.noise_ratio == pytest.approx(3.9 / 4.0)
    assert summary.gain_share == pytest.approx((4 - 0.4) / (4 - 0.2))
    assert summary.limit_s == 0.2


def test_without_a_baseline_there_is_neither_overhead_nor_limit() -> None:
    summary = summarize([without_baseline(pair(index)) for index in range(3)])

    assert summary.overhead_ratio is None
    assert summary.noise_ratio is None
    assert summary.overhead_quartiles is None
    assert summary.limit_s is None
    assert summary.gain_share is None


def test_a_share_of_nothing_is_no_number() -> None:
    assert summarize([pair(index, cold_s=0.1, limit_s=0.2) for index in range(3)]).gain_share is None


@pytest.mark.parametrize("count", [0, 1, 2])
def test_fewer_than_three_pairs_say_nothing(count: int) -> None:
    pairs = [pair(index) for index in range(count)]

    with pytest.raises(TooFewPairsError, match=f"{count} pairs are too few.*--pairs"):
        summarize(pairs)


def loaded(index: int, load: Load | None) -> Pair:
    one = pair(index)
    assert isinstance(one.warm.log, RequestLog)
    return replace(one, warm=replace(one.warm, log=replace(one.warm.log, load=load)))


def test_a_loads_rate_stands_beside_the_time_of_computing() -> None:
    tokens = pair(0).warm.hit_tokens
    pairs = [loaded(index, Load(seconds=0.001 * tokens, size_bytes=tokens * 2_000_000)) for index in range(4)]
    summary = loads(pairs)
    assert summary is not None
    assert summary.s_per_token == pytest.approx(0.001)
    assert summary.gigabytes_per_s == pytest.approx(2.0)
    assert summary.compute_s_per_token == pytest.approx(4.06 / pairs[0].cold.prompt_tokens, rel=0.01)
    assert not summary.slower_than_computing


def test_a_load_that_takes_longer_than_computing_is_slower() -> None:
    tokens = pair(0).warm.hit_tokens
    summary = loads([loaded(index, Load(seconds=0.002 * tokens)) for index in range(4)])
    assert summary is not None
    assert summary.slower_than_computing
    assert summary.gigabytes_per_s is None


def test_logs_that_tell_no_times_make_no_summary() -> None:
    assert loads([loaded(index, None) for index in range(4)]) is None
    assert loads([]) is None
