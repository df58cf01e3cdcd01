"""Both checks of an outage: `backend-outage` and `cache-server-outage`."""

from dataclasses import replace
from typing import Any

import pytest
from judging import failed, judged, of
from made_evidence import answer, evidence

from lmcache_kserve.evidence import Evidence, Outage

PART = {"backend-outage": "outage", "cache-server-outage": "server_outage"}
"""Where the evidence of each check is."""

pytestmark = pytest.mark.parametrize("check", PART)


def with_outage(check: str, **changes: Any) -> Evidence:
    good = evidence()
    outage: dict[str, Any] = {PART[check]: replace(of(getattr(good, PART[check]), Outage), **changes)}
    return replace(good, **outage)


def test_an_unanswered_request_fails(check: str) -> None:
    answers = (answer("predictor-0", "during"), answer("predictor-1", "during", error="HTTP 500"))
    seen = failed(with_outage(check, answers=answers))

    assert set(seen) == {check}
    assert "to predictor-1 during the fault was not answered: HTTP 500" in seen[check]


def test_a_wrong_answer_fails(check: str) -> None:
    answers = (answer("predictor-0", "during"), answer("predictor-1", "during", correct=False))

    assert "during the fault was answered wrongly" in failed(with_outage(check, answers=answers))[check]


def test_a_replica_that_nobody_asked_during_the_outage_fails(check: str) -> None:
    answers = (answer("predictor-0", "during"), answer("predictor-1", "before"))

    assert "Predictor-1 got no request" in failed(with_outage(check, answers=answers))[check]


def test_hits_that_stay_away_fail_where_the_client_reconnects(check: str) -> None:
    assert "Hits did not return" in failed(with_outage(check, hits_returned_s=None))[check]


def test_hits_that_stay_away_are_told_where_the_client_does_not_reconnect(check: str) -> None:
    result = judged(with_outage(check, client_reconnects=False, hits_returned_s=None))[check]

    assert result.passed
    assert "does not reconnect" in result.summary
