from dataclasses import replace

import pytest
from judging import failed, judged, of, with_pass
from made_evidence import evidence

from lmcache_kserve.evidence import Restart


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
