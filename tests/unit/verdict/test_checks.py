"""What is true of every check, and when a check applies."""

from dataclasses import replace
from typing import Any

import pytest
from judging import failed, judged
from made_evidence import evidence

from lmcache_kserve.evidence import Evidence, Unreadable
from lmcache_kserve.verdict import CHECKS, judge, not_applicable

ALONE = frozenset({"cross-replica-hit", "restart-hit", "scale-out"})
"""Checks of what replicas share."""

PROVOKED = frozenset({"restart-hit", "backend-outage", "cache-server-outage", "replica-kill"})
"""Checks of what the experiment breaks."""


def subject(**facts: Any) -> Evidence:
    good = evidence()
    return replace(good, subject=replace(good.subject, **facts))


def on_one_server(seen: Evidence) -> Evidence:
    return replace(seen, replicas=tuple(replace(one, cache_server="node/server") for one in seen.engines))


def test_a_release_that_keeps_every_promise_passes_every_check_in_order() -> None:
    results = judge(evidence())

    assert [result.id for result in results] == [check.id for check in CHECKS]
    assert [result.summary for result in results if not result.passed] == []
    assert not_applicable(evidence()) == {}


def test_the_same_evidence_always_gives_the_same_verdict() -> None:
    assert judge(evidence()) == judge(evidence())


def test_every_check_has_an_id_and_a_title_of_its_own() -> None:
    assert len({check.id for check in CHECKS}) == len({check.title for check in CHECKS}) == len(CHECKS)


@pytest.mark.parametrize(
    ("seen", "reasons"),
    [
        (replace(evidence(), wanted_faults=False), dict.fromkeys(PROVOKED, "--no-faults")),
        (subject(mode="in-process"), {"cache-server-outage": "lmcache.mode is in-process"}),
        (subject(backend_controllable=False), {"backend-outage": "the release does not run its backend"}),
        (subject(backend_controllable=None), {}),
        (
            subject(backend_type="none", backend_controllable=None),
            dict.fromkeys(ALONE, "replicas share no chunks")
            | dict.fromkeys(("backend-grew", "backend-outage"), "remoteBackend.type is none"),
        ),
        (
            on_one_server(subject(backend_type="none", backend_controllable=None)),
            dict.fromkeys(("backend-grew", "backend-outage"), "remoteBackend.type is none"),
        ),
    ],
    ids=["no faults", "in-process", "a backend of others", "a backend out of reach", "no backend", "one server"],
)
def test_a_check_that_does_not_apply_is_not_judged_and_says_why(seen: Evidence, reasons: dict[str, str]) -> None:
    told = not_applicable(seen)

    assert set(told) == set(reasons)
    assert {name for name in reasons if reasons[name] not in told[name]} == set()
    assert {result.id for result in judge(seen)} == {check.id for check in CHECKS} - set(reasons)


@pytest.mark.parametrize(
    ("field", "check"),
    [
        ("growth", "backend-grew"),
        ("external_hits", "external-hits-metric"),
        ("kill", "replica-kill"),
        ("restart", "restart-hit"),
        ("scale_out", "scale-out"),
        ("outage", "backend-outage"),
        ("server_outage", "cache-server-outage"),
        ("logs", "clean-logs"),
    ],
)
def test_evidence_that_cannot_be_read_fails_its_check_with_the_reason(field: str, check: str) -> None:
    changes: dict[str, Any] = {field: Unreadable("permission denied")}

    assert "permission denied" in failed(replace(evidence(), **changes))[check]


def test_an_experiment_that_ended_early_fails_what_was_not_run() -> None:
    seen = replace(
        evidence(),
        stopped="no cross-replica hit",
        pairs=(),
        growth=None,
        external_hits=None,
        scale_out=None,
        kill=None,
        restart=None,
        server_outage=None,
        outage=None,
    )
    reasons = failed(seen)

    assert PROVOKED | {"backend-grew", "external-hits-metric", "identical-output", "ttft"} <= set(reasons)
    assert set(reasons.values()) == {"Not run: no cross-replica hit."}


def test_only_a_failed_check_names_its_causes() -> None:
    alone = replace(evidence(), replicas=evidence().replicas[:1])
    passed = judged(alone)["backend-outage"]
    broken = judged(replace(alone, outage=Unreadable("permission denied")))["backend-outage"]

    assert passed.passed
    assert passed.causes == ()
    assert ["predictor.replicas" in cause for cause in broken.causes] == [True]
