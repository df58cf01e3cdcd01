from dataclasses import replace

import pytest
from judging import failed, judged, of, with_pass
from made_evidence import evidence

from lmcache_kserve.evidence import AtOnce, Compared, Restart, Unreadable


@pytest.mark.parametrize(
    ("which", "words"),
    [
        ("warm", "warm gave 'something else'"),
        ("no_cache", "without LMCache gave 'something else'"),
        ("limit", "vLLM's own prefix cache gave 'something else'"),
    ],
)
def test_an_answer_that_differs_from_the_cold_one_fails(which: str, words: str) -> None:
    summary = failed(with_pass(which, lambda one: replace(one, text="something else")))["identical-output"]

    assert summary.startswith("Prompt 4: cold gave 'answer 3'")
    assert words in summary


def test_a_wrong_answer_after_the_restart_fails() -> None:
    good = evidence()
    restart = of(good.restart, Restart)
    seen = replace(good, restart=replace(restart, repeated=replace(restart.repeated, text="two one")))

    assert set(failed(seen)) == {"identical-output"}


def test_how_many_different_answers_were_compared_is_told() -> None:
    assert "12 prompts gave 12 different answers" in judged(evidence())["identical-output"].summary


SAME = Compared(alone="four five", together="four five")
OTHER = Compared(alone="four five", together="nine")


def test_an_answer_that_changes_beside_other_requests_fails() -> None:
    seen = replace(evidence(), at_once=AtOnce(cached=(SAME, OTHER), control=(SAME,)))

    assert failed(seen) == {
        "identical-output": ("Alone a prompt gave 'four five', among 2 requests at the same time it gave 'nine'.")
    }


def test_an_engine_that_changes_answers_by_itself_is_not_judged_at_the_same_time() -> None:
    result = judged(replace(evidence(), at_once=AtOnce(cached=(OTHER,), control=(SAME, OTHER))))["identical-output"]

    assert result.passed
    assert "not judged: the engine changed 1 of 2 answers to prompts that LMCache does not touch" in result.summary


def test_requests_at_the_same_time_without_an_answer_fail() -> None:
    seen = replace(evidence(), at_once=Unreadable("a request was not answered: lost"))

    assert failed(seen)["identical-output"].startswith("Requests at the same time: a request was not answered")


def test_how_many_requests_ran_at_the_same_time_is_told() -> None:
    assert (
        "8 requests at the same time gave the same answers as alone" in judged(evidence())["identical-output"].summary
    )
