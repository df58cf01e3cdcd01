"""What is made of a comparison: percentiles, ratios with intervals, the noise, and whether offloading pays."""

from dataclasses import replace
from typing import Any

import pytest
from made_comparison import CONTROL, PRESSED, REDIS, answers, cell, comparison, measured

from lmcache_kserve.evidence.comparison import NO_CACHE, PREFIX_CACHE, Arm, Comparison
from lmcache_kserve.verdict.comparison import (
    Summary,
    break_even,
    by_load,
    controls,
    fault_of_answers,
    passed,
    summarize,
)


def of(seen: Comparison, arm: str, load: Any = PRESSED) -> Summary:
    return next(one for one in summarize(seen) if one.arm == arm and one.cell == load)


def changed(seen: Comparison, name: str, **changes: Any) -> Comparison:
    return replace(seen, arms=tuple(replace(arm, **changes) if arm.name == name else arm for arm in seen.arms))


def test_the_filling_round_counts_for_nothing_but_what_was_stored() -> None:
    one = of(comparison(), REDIS)
    assert one.requests == 32
    assert one.p99 < 0.3
    assert one.stored_bytes == 3 * 8 * 2**20
    assert one.cpu_s == {"engine": 10.0}


def test_percentiles_throughput_and_shares_are_those_of_the_measured_requests() -> None:
    one = of(comparison(), REDIS)
    assert one.p50.value == pytest.approx(0.25 * 1.075)
    assert one.p50.value < one.p90 < one.p99
    assert one.remote_share == pytest.approx(0.9)
    assert (one.own_share, one.memory_share) == (0.0, 0.0)
    assert one.loaded_bytes == pytest.approx(2 * 0.9 * 1030 * 16 * 8192)
    assert one.requests_per_s == pytest.approx(16 / (30 + 0.25 * 1.15 + 0.1))
    assert one.tokens_per_s == pytest.approx(one.requests_per_s * 1038)


def test_a_ratio_compares_request_with_request_and_its_interval_holds_the_noise_of_the_same_run() -> None:
    one = of(comparison(), REDIS)
    assert one.noise == pytest.approx(1.05)
    assert one.gain is not None
    assert one.gain.value == pytest.approx(4.1)
    assert one.gain.low == pytest.approx(4.1 / 1.05)
    assert one.gain.high == pytest.approx(4.1 * 1.05)


def test_offloading_is_held_against_the_engines_own_cache() -> None:
    seen = comparison()
    assert of(seen, REDIS).verdict == "pays"
    assert of(seen, REDIS, CONTROL).verdict == "costs"
    assert of(seen, PREFIX_CACHE).verdict == of(seen, NO_CACHE).verdict == ""
    assert [one.cell for one in controls(summarize(seen))] == [CONTROL]


def test_a_difference_within_the_noise_is_no_difference() -> None:
    loads = (measured(PRESSED, (0.97, 0.97), external=0.9),)
    assert of(changed(comparison(), REDIS, measured=loads), REDIS).verdict == "no difference"


def test_the_noise_of_the_engines_own_cache_counts_where_offloading_is_held_against_it() -> None:
    restless = (measured(PRESSED, (1.0, 1.0)), measured(CONTROL, (0.1, 0.4), own=0.9))
    seen = changed(comparison(), PREFIX_CACHE, measured=restless)
    one = of(seen, REDIS, CONTROL)
    assert one.offload is not None
    assert one.offload.value == pytest.approx(0.25 / 0.15)
    assert one.verdict == "no difference"


def test_the_arms_own_noise_counts_where_it_is_larger() -> None:
    loads = (measured(PRESSED, (0.2, 0.3), external=0.9),)
    assert of(changed(comparison(), REDIS, measured=loads), REDIS).noise == pytest.approx(1.5)


def test_without_a_measured_partner_nothing_is_compared() -> None:
    seen = comparison()
    alone = replace(seen, arms=(seen.arms[2],))
    one = of(alone, REDIS)
    assert one.gain is None
    assert one.offload is None


def test_tiers_of_the_server_are_told_apart_by_its_own_counters() -> None:
    loads = (measured(PRESSED, (0.25, 0.25), external=0.8, l1_tokens=1.0, l2_tokens=3.0),)
    one = of(changed(comparison(), REDIS, mode="multiprocess", measured=loads), REDIS)
    assert one.memory_share == pytest.approx(0.2)
    assert one.remote_share == pytest.approx(0.6)
    silent = (measured(PRESSED, (0.25, 0.25), external=0.8),)
    assert of(changed(comparison(), REDIS, mode="multiprocess", measured=silent), REDIS).remote_share is None


def test_a_comparison_with_a_missing_arm_cell_or_a_problem_never_passes() -> None:
    seen = comparison()
    assert passed(seen)
    assert not passed(replace(seen, arms=seen.arms[:2]))
    assert not passed(changed(seen, REDIS, measured=seen.arms[2].measured[:1]))
    assert not passed(changed(seen, REDIS, problem="it ended"))


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        pytest.param({"warm": ("a", "x")}, "1 of 2 answers", id="another answer from the cache"),
        pytest.param({"cold": ("x", "b")}, "1 of 2 answers", id="another answer at first"),
        pytest.param({"loaded_tokens": 0.0}, "had no part", id="nothing was loaded"),
    ],
)
def test_answers_that_differ_or_prove_nothing_fail(changes: dict[str, Any], says: str) -> None:
    seen = changed(comparison(), REDIS, answers=answers(**changes))
    assert says in str(fault_of_answers(seen.arms[2]))
    assert not passed(seen)


def test_an_engine_without_lmcache_has_nothing_to_load() -> None:
    assert fault_of_answers(comparison().arms[1]) is None


def arm(name: str, ttfts: dict[int, float], mode: str) -> Arm:
    loads = tuple(measured(cell(prompt_tokens=length), (ttft, ttft)) for length, ttft in ttfts.items())
    return Arm(name=name, backend="redis", mode=mode, measured=loads)


def lengths(**ttfts: dict[int, float]) -> Comparison:
    arms = (
        arm(NO_CACHE, {512: 1.0, 1024: 1.0, 2048: 1.0}, "none"),
        arm(PREFIX_CACHE, {512: 1.0, 1024: 1.0, 2048: 1.0}, "none"),
        *(arm(name, of_arm, "in-process") for name, of_arm in ttfts.items()),
    )
    return replace(comparison(), arms=arms, planned=tuple(one.name for one in arms))


def test_the_break_even_length_lies_where_the_gain_crosses_one() -> None:
    seen = lengths(late={512: 2.0, 1024: 2.0, 2048: 0.5}, soon={512: 0.5, 1024: 0.4, 2048: 0.3}, never={512: 2.0})
    summaries = tuple(replace(one, prompt_tokens=float(one.cell.prompt_tokens)) for one in summarize(seen))
    found = {one.arm: one for one in break_even(summaries)}
    assert found.keys() == {"late", "soon", "never"}
    assert found["late"].tokens == pytest.approx(1024 + (1 - 0.5) / (2 - 0.5) * 1024)
    assert str(found["late"]) == "1365 tokens"
    assert str(found["soon"]) == "below 512 tokens"
    assert str(found["never"]) == "above 512 tokens"


def test_loads_are_those_of_the_length_that_has_most_of_them() -> None:
    loads = [cell(), cell(concurrency=4), cell(concurrency=8), cell(prompt_tokens=512), CONTROL]
    seen = changed(comparison(), REDIS, measured=tuple(measured(one, (0.2, 0.2)) for one in reversed(loads)))
    assert [one.cell.concurrency for one in by_load(summarize(seen), REDIS)] == [1, 4, 8]
