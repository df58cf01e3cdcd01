"""Requests at the same time, against a release that answers over real HTTP."""

from fake_release import Faults
from proving import run


def test_an_answer_from_the_cache_that_changes_beside_other_requests_is_found() -> None:
    seen = run(Faults(changes_when_busy="hits"))

    assert "among 8 requests at the same time it gave 'other" in seen.failed["identical-output"]


def test_an_engine_that_changes_answers_without_a_cache_too_is_not_blamed_on_the_cache() -> None:
    seen = run(Faults(changes_when_busy="all"))

    assert "identical-output" not in seen.failed
    assert "were not judged: the engine changed" in seen.checks["identical-output"].summary
