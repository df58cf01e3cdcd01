from dataclasses import replace

from judging import failed, judged
from made_evidence import evidence, pair


def test_a_gain_below_the_threshold_fails() -> None:
    seen = replace(evidence(), pairs=tuple(pair(index, warm_s=3.5) for index in range(12)))

    assert "The check needs 1.3 times, and a bound above 1." in failed(seen)["ttft"]


def test_a_gain_that_may_be_chance_fails() -> None:
    lucky = tuple(pair(index, warm_s=2 if index < 7 else 8) for index in range(12))
    result = judged(replace(evidence(), pairs=lucky))["ttft"]

    assert result.evidence["median_ratio"] > 1.3
    assert result.evidence["lower_bound_5pct"] < 1
    assert not result.passed


def test_the_medians_are_told() -> None:
    summary = judged(evidence())["ttft"].summary

    assert summary.startswith("The median TTFT of 12 pairs is 4.06 s cold and 0.40 s warm: 10.1 times sooner")


def test_too_few_pairs_fail_and_name_the_option() -> None:
    seen = replace(evidence(), pairs=tuple(pair(index) for index in range(8)))

    assert failed(seen)["ttft"] == "8 pairs were measured, and the check needs 12: raise --pairs."


def test_as_many_pairs_as_the_user_asked_for_are_enough() -> None:
    seen = replace(evidence(), wanted_pairs=8, pairs=tuple(pair(index) for index in range(8)))

    assert judged(seen)["ttft"].passed
    assert "8 pairs were measured" in failed(replace(seen, wanted_pairs=9))["ttft"]


def test_two_pairs_say_nothing_whatever_the_user_asked_for() -> None:
    seen = replace(evidence(), wanted_pairs=2, pairs=tuple(pair(index) for index in range(2)))

    assert failed(seen)["ttft"] == "2 pairs were measured, and the check needs 3: raise --pairs."
