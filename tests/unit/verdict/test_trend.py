"""Whether a noisy series grows."""

import random
from collections.abc import Callable

import pytest

from lmcache_kserve.verdict.trend import Point, Trend, minima, trend

SECONDS = 1200
EVERY_S = 2
LIMIT = 16.0


def series(value: Callable[[float, random.Random], float], seed: int = 1) -> list[Point]:
    source = random.Random(seed)  # noqa: S311 - noise
    return [(float(at), value(float(at), source)) for at in range(0, SECONDS, EVERY_S)]


def trend_of(points: list[Point]) -> Trend:
    found = trend(minima(points))
    assert found
    return found


def under_load(base: float) -> Callable[[float, random.Random], float]:
    """What is held at all times, and up to thirty more for the requests of the moment."""
    return lambda _, source: base + source.randrange(30)


@pytest.mark.parametrize("seed", range(50))
def test_a_flat_series_under_load_does_not_grow(seed: int) -> None:
    assert not trend_of(series(under_load(100), seed)).grows(LIMIT)


@pytest.mark.parametrize("seed", range(50))
def test_noise_that_never_goes_back_to_the_same_value_does_not_grow(seed: int) -> None:
    assert not trend_of(series(lambda _, source: source.gauss(1000, 50), seed)).grows(LIMIT)


@pytest.mark.parametrize("seed", range(20))
def test_a_slow_leak_below_the_noise_grows(seed: int) -> None:
    leak_per_s = 24 / SECONDS
    assert trend_of(series(lambda at, source: 100 + leak_per_s * at + source.randrange(30), seed)).grows(LIMIT)


def test_a_leak_is_told_by_how_much_it_grew() -> None:
    found = trend_of(series(lambda at, _: 100 + at))
    assert found.growth == pytest.approx(SECONDS * 0.9, rel=0.01)
    assert found.median == pytest.approx(100 + SECONDS / 2, rel=0.1)


@pytest.mark.parametrize("full_after_s", [200, 400, 550])
def test_what_fills_up_and_stops_does_not_grow(full_after_s: float) -> None:
    assert not trend_of(series(lambda at, _: 1000 * min(at, full_after_s) / full_after_s)).grows(LIMIT)


@pytest.mark.parametrize("at_s", [100, 600, 1100])
def test_one_step_does_not_grow(at_s: float) -> None:
    assert not trend_of(series(lambda at, source: (500 if at > at_s else 100) + source.randrange(30))).grows(LIMIT)


def test_steps_that_do_not_end_grow() -> None:
    assert trend_of(series(lambda at, source: 100 + 20 * (at // 150) + source.randrange(30))).grows(LIMIT)


def test_growth_within_the_limit_is_noise() -> None:
    found = trend_of(series(lambda at, _: 100 + 10 * at / SECONDS))
    assert found.z > 3
    assert not found.grows(LIMIT)
    assert found.grows(5.0)


def test_a_single_peak_in_each_block_does_not_hide_what_is_held_at_all_times() -> None:
    points = series(lambda at, _: 10_000 if at % 100 == 0 else 5)
    assert {value for _, value in minima(points)} == {5}


def test_a_series_that_shrinks_does_not_grow() -> None:
    assert not trend_of(series(lambda at, _: 5000 - at)).grows(LIMIT)


def test_too_few_points_have_no_trend() -> None:
    assert minima([(float(at), 1.0) for at in range(11)]) == []
    assert trend(minima([(float(at), 1.0) for at in range(11)])) is None
    assert trend(minima([(float(at), 1.0) for at in range(12)])) is not None


def test_kendalls_test_is_corrected_for_ties() -> None:
    # By hand: S = 21; variance = (10 * 9 * 25 - 7 * 6 * 19 - 3 * 2 * 11) / 18 = 77; z = 20 / 77 ** 0.5.
    blocks = [(float(at), 5.0 if at > 6 else 0.0) for at in range(10)]
    found = trend(blocks)
    assert found
    assert found.z == pytest.approx(20 / 77**0.5)
