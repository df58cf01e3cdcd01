from dataclasses import replace
from typing import Any

from judging import failed, judged, of
from made_evidence import answer, evidence

from lmcache_kserve.evidence import ReplicaKill


def kill(**changes: Any) -> dict[str, str]:
    """What fails after these changes to the kill."""
    good = evidence()
    return failed(replace(good, kill=replace(of(good.kill, ReplicaKill), **changes)))


def test_a_request_that_was_never_answered_fails() -> None:
    attempts = of(evidence().kill, ReplicaKill).attempts[:1]

    assert "never answered: connection lost" in kill(attempts=attempts)["replica-kill"]


def test_a_retry_with_another_text_fails() -> None:
    assert "does not begin with 'two'" in kill(expected="two")["replica-kill"]


def test_a_character_cut_in_half_is_no_difference() -> None:
    assert kill(expected="one tw\ufffd") == {}


def test_a_request_that_ended_before_the_kill_proves_nothing() -> None:
    assert "before the kill" in kill(interrupted=False)["replica-kill"]


def test_an_unanswered_request_to_the_other_replica_fails() -> None:
    survivors = (answer("predictor-0", "during", error="refused"),)

    assert "not answered: refused" in kill(survivors=survivors)["replica-kill"]


def test_who_answered_the_retry_is_told() -> None:
    assert "predictor-0 answered the client's retry" in judged(evidence())["replica-kill"].summary
