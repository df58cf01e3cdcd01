from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeVar

import pytest
from made_evidence import COLD, PROMPT_TOKENS, WARM, after, answer, evidence, facts, log, pair

from lmcache_kserve.evidence import (
    BackendGrowth,
    Evidence,
    ExternalHits,
    Outage,
    Pass,
    ReplicaKill,
    ReplicaLog,
    Restart,
    Unreadable,
)
from lmcache_kserve.lmcache.logs import Lookup, RequestLog, Tiers
from lmcache_kserve.target import Contents, LogLine
from lmcache_kserve.verdict import CHECKS, Check, Thresholds, judge

T = TypeVar("T")


def judged(seen: Evidence, **limits: Any) -> dict[str, Check]:
    return {check.id: check for check in judge(seen, Thresholds(**limits))}


def failed(seen: Evidence) -> dict[str, str]:
    return {name: check.summary for name, check in judged(seen).items() if not check.passed}


def with_pass(which: str, change: Callable[[Pass], Pass]) -> Evidence:
    """The good evidence with one pass of its fourth pair changed."""
    good = evidence()
    pairs = list(good.pairs)
    old = getattr(pairs[3], which)
    changed: dict[str, Any] = {which: change(old)}
    pairs[3] = replace(pairs[3], **changed)
    return replace(good, pairs=tuple(pairs))


def of(value: object, kind: type[T]) -> T:
    assert isinstance(value, kind)
    return value


def test_a_release_that_keeps_every_promise_passes_every_check_in_order() -> None:
    checks = judge(evidence())

    assert tuple(check.id for check in checks) == CHECKS
    assert [check.summary for check in checks if not check.passed] == []


def test_the_same_evidence_always_gives_the_same_verdict() -> None:
    assert judge(evidence()) == judge(evidence())


def in_servers(*servers: str, tiers: Tiers | None) -> Evidence:
    """Mode multiprocess with these servers; warm passes found what `tiers` says."""
    good = evidence()
    engines = [replace(one, cache_server=server) for one, server in zip(good.engines, servers, strict=True)]
    warm = replace(WARM, tiers=tiers)
    return replace(
        good,
        subject=replace(good.subject, mode="multiprocess"),
        replicas=(*engines, *(one for one in good.replicas if one.role != "replica")),
        pairs=tuple(replace(one, warm=replace(one.warm, log=warm)) for one in good.pairs),
    )


class TestCrossReplicaHit:
    def test_a_hit_between_servers_has_to_come_from_the_backend(self) -> None:
        assert "cross-replica-hit" not in failed(in_servers("a", "b", tiers=Tiers(0, 11)))
        assert "0 from the backend" in failed(in_servers("a", "b", tiers=Tiers(11, 0)))["cross-replica-hit"]
        assert "10 from the backend" in failed(in_servers("a", "b", tiers=Tiers(1, 10)))["cross-replica-hit"]

    def test_a_hit_between_servers_without_a_word_about_its_tier_fails(self) -> None:
        assert "logged no tier" in failed(in_servers("a", "b", tiers=None))["cross-replica-hit"]

    def test_replicas_of_one_server_may_hit_in_its_memory(self) -> None:
        assert "cross-replica-hit" not in failed(in_servers("a", "a", tiers=Tiers(11, 0)))

    def test_a_hit_of_less_than_its_share_of_the_full_chunks_fails(self) -> None:
        short = RequestLog(Lookup(PROMPT_TOKENS, 2560, 0, 2560), 0, 2560)

        assert "Prompt 4: predictor-0 hit 2560 of 2816 tokens" in failed(
            with_pass("warm", lambda one: replace(one, log=short))
        ).pop("cross-replica-hit")

    def test_a_lookup_without_a_retrieve_line_is_no_proof_of_loading(self) -> None:
        asked = replace(WARM, retrieved_tokens=None)

        assert (
            "no 'Retrieved' line" in failed(with_pass("warm", lambda one: replace(one, log=asked)))["cross-replica-hit"]
        )

    def test_a_cold_pass_that_already_hit_was_not_cold(self) -> None:
        hit = replace(COLD, lookup=Lookup(PROMPT_TOKENS, 256))

        assert (
            "cold pass already hit 256"
            in failed(with_pass("cold", lambda one: replace(one, log=hit)))["cross-replica-hit"]
        )

    def test_cold_and_warm_on_the_same_replica_prove_nothing(self) -> None:
        seen = with_pass("warm", lambda one: replace(one, replica="predictor-1"))

        assert "the same replica" in failed(seen)["cross-replica-hit"]

    def test_a_prompt_shorter_than_a_chunk_cannot_hit(self) -> None:
        good = evidence()
        seen = replace(good, subject=replace(good.subject, chunk_size=4096))

        assert "fill no chunk of 4096" in failed(seen)["cross-replica-hit"]

    def test_a_log_that_cannot_be_read_fails_with_the_reason(self) -> None:
        seen = with_pass("warm", lambda one: replace(one, log=Unreadable("the log of predictor-0: forbidden")))

        assert "forbidden cannot be read" in failed(seen)["cross-replica-hit"]

    @pytest.mark.parametrize(
        ("seed", "words"),
        [("", "predictor-1: not set"), ("random", "predictor-1: not set"), ("1", "PYTHONHASHSEED differs")],
    )
    def test_hits_without_a_common_explicit_hash_seed_are_luck(self, seed: str, words: str) -> None:
        good = evidence()
        engines = (facts("predictor-0"), facts("predictor-1", PYTHONHASHSEED=seed))

        assert words in failed(replace(good, replicas=engines))["cross-replica-hit"]


def test_a_restarted_replica_that_hits_nothing_fails() -> None:
    good = evidence()
    restart = of(good.restart, Restart)
    seen = replace(good, restart=replace(restart, repeated=replace(restart.repeated, log=COLD)))

    assert set(failed(seen)) == {"restart-hit"}


def grown(entries: int | None, size: int) -> Evidence:
    good = evidence()
    growth = of(good.growth, BackendGrowth)
    before = growth.before if entries is not None else replace(growth.before, entries=None)
    return replace(good, growth=replace(growth, before=before, after=Contents(entries, size, 2)))


def test_a_backend_that_lost_chunks_fails_and_names_eviction() -> None:
    assert "evicting" in failed(grown(10 + 263, 9_000_000))["backend-grew"]


def test_a_backend_that_cannot_count_its_entries_is_judged_by_its_size() -> None:
    assert failed(grown(None, 9_000_000)) == {}
    assert set(failed(grown(None, 1_000))) == {"backend-grew"}


def test_every_worker_of_a_replica_stores_its_part() -> None:
    good = evidence()
    seen = replace(good, growth=replace(of(good.growth, BackendGrowth), workers=2))

    assert "make 528 entries" in failed(seen)["backend-grew"]


def test_a_metric_that_counts_fewer_hits_than_the_log_fails() -> None:
    good = evidence()
    hits = of(good.external_hits, ExternalHits)

    assert set(failed(replace(good, external_hits=replace(hits, after=hits.before)))) == {"external-hits-metric"}


def test_no_hits_at_all_are_not_proven_by_a_metric_that_did_not_move() -> None:
    seen = replace(evidence(), external_hits=ExternalHits(before=5, after=5, logged_hit_tokens=0))

    assert set(failed(seen)) == {"external-hits-metric"}


@pytest.mark.parametrize(
    ("which", "words"), [("warm", "warm gave"), ("no_cache", "without LMCache gave"), ("limit", "at the limit gave")]
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


def test_a_gain_below_the_threshold_fails() -> None:
    seen = replace(evidence(), pairs=tuple(pair(index, warm_s=3.5) for index in range(12)))

    assert "needed are 1.3" in failed(seen)["ttft"]


def test_too_few_pairs_fail_and_name_the_option() -> None:
    seen = replace(evidence(), pairs=tuple(pair(index) for index in range(8)))

    assert failed(seen)["ttft"] == "8 pairs were measured; the rule needs 12: raise --pairs."
    assert judged(seen, pairs=8)["ttft"].passed


class TestBackendOutage:
    def outage(self, **changes: Any) -> dict[str, str]:
        good = evidence()
        return failed(replace(good, outage=replace(of(good.outage, Outage), **changes)))

    def test_an_unanswered_request_fails(self) -> None:
        answers = (answer("predictor-0", "during"), answer("predictor-1", "during", error="HTTP 500"))

        assert "not answered: HTTP 500" in self.outage(answers=answers)["backend-outage"]

    def test_a_wrong_answer_fails(self) -> None:
        answers = (answer("predictor-0", "during"), answer("predictor-1", "during", correct=False))

        assert "during the fault wrongly" in self.outage(answers=answers)["backend-outage"]

    def test_a_replica_that_nobody_asked_during_the_outage_fails(self) -> None:
        answers = (answer("predictor-0", "during"), answer("predictor-1", "before"))

        assert "Predictor-1 was not asked" in self.outage(answers=answers)["backend-outage"]

    def test_hits_that_stay_away_fail_where_the_client_reconnects(self) -> None:
        assert "hits did not return" in self.outage(hits_returned_s=None)["backend-outage"].lower()

    def test_hits_that_stay_away_are_told_where_the_client_does_not_reconnect(self) -> None:
        good = evidence()
        seen = replace(good, outage=replace(of(good.outage, Outage), client_reconnects=False, hits_returned_s=None))
        check = judged(seen)["backend-outage"]

        assert check.passed
        assert "does not reconnect" in check.summary


class TestReplicaKill:
    def kill(self, **changes: Any) -> dict[str, str]:
        good = evidence()
        return failed(replace(good, kill=replace(of(good.kill, ReplicaKill), **changes)))

    def test_a_request_that_was_never_answered_fails(self) -> None:
        kill = of(evidence().kill, ReplicaKill)

        assert "never answered: connection lost" in self.kill(attempts=kill.attempts[:1])["replica-kill"]

    def test_a_retry_with_another_text_fails(self) -> None:
        assert "does not begin with 'two'" in self.kill(expected="two")["replica-kill"]

    def test_a_character_cut_in_half_is_no_difference(self) -> None:
        assert self.kill(expected="one tw\ufffd") == {}

    def test_a_request_that_ended_before_the_kill_proves_nothing(self) -> None:
        assert "before the kill" in self.kill(interrupted=False)["replica-kill"]

    def test_an_unanswered_request_to_the_other_replica_fails(self) -> None:
        survivors = (answer("predictor-0", "during", error="refused"),)

        assert "not answered: refused" in self.kill(survivors=survivors)["replica-kill"]


class TestCleanLogs:
    @pytest.mark.parametrize(
        "text",
        [
            "LMCache WARNING: Centralized cache sharing detected but PYTHONHASHSEED not set.",
            "LMCache WARNING: Using builtin hash without PYTHONHASHSEED set.",
            "LMCache WARNING: Unknown configuration key: chunk_sise (source: file)",
            "ValueError: No adapter found for URL: rediss+x://host",
            "LMCache ERROR: Failed to initialize LMCacheManager components: boom",
            "RuntimeError: No supported cpu connector found.",
        ],
    )
    @pytest.mark.parametrize("at", [1.0, 220.0], ids=["in peace", "in a fault window"])
    def test_a_line_that_is_never_allowed_fails_at_any_time(self, text: str, at: float) -> None:
        seen = replace(evidence(), logs=(log("predictor-0", text, at=at),))

        assert text in failed(seen)["clean-logs"]

    @pytest.mark.parametrize(
        "text",
        [
            "redis.exceptions.ConnectionError: Error 111 connecting to 10.0.0.7:6379. Connection refused.",
            "BrokenPipeError: [Errno 32] Broken pipe",
            "LMCache WARNING: Failed to initialize/re-establish remote connection: timed out",
            "LMCache WARNING: Remote connection failed in contains: closed",
            "LMCache WARNING: batched put error: Timeout reading from 10.0.0.7:6379",
            "Traceback (most recent call last):",
        ],
    )
    def test_an_error_is_excused_only_while_a_fault_is_provoked(self, text: str) -> None:
        inside = replace(evidence(), logs=(log("predictor-0", text, at=305),))
        outside = replace(evidence(), logs=(log("predictor-0", text, at=280),))

        assert failed(inside) == {}
        assert set(failed(outside)) == {"clean-logs"}

    def test_errors_are_excused_to_the_end_where_the_client_never_reconnects(self) -> None:
        good = evidence()
        forever = replace(good.faults[1], end=None)
        seen = replace(good, faults=(forever,), logs=(log("predictor-0", "Broken pipe", at=350),))

        assert failed(seen) == {}

    def test_what_runs_on_a_cluster_may_have_a_history_of_errors_but_not_of_wrong_settings(self) -> None:
        good = evidence()
        cluster = replace(good, subject=replace(good.subject, kind="cluster"))
        earlier = replace(cluster, logs=(log("predictor-0", "Connection refused", at=-3600), log("predictor-1", at=1)))
        unset = replace(cluster, logs=(log("predictor-0", "PYTHONHASHSEED is not set", at=-3600),))

        assert failed(earlier) == {}
        assert set(failed(unset)) == {"clean-logs"}
        assert set(failed(replace(good, logs=earlier.logs))) == {"clean-logs"}

    def test_a_secret_fails_even_in_a_fault_window(self) -> None:
        line = LogLine(after(305), "url redis://:***@host")
        seen = replace(evidence(), logs=(ReplicaLog(replica="predictor-0", lines=(line,), secret_lines=(line,)),))

        assert "secret" in failed(seen)["clean-logs"]

    def test_empty_logs_prove_nothing(self) -> None:
        assert "empty" in failed(replace(evidence(), logs=()))["clean-logs"]


@pytest.mark.parametrize(
    ("field", "check"),
    [
        ("growth", "backend-grew"),
        ("external_hits", "external-hits-metric"),
        ("kill", "replica-kill"),
        ("restart", "restart-hit"),
        ("outage", "backend-outage"),
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
        kill=None,
        restart=None,
        outage=None,
    )
    reasons = failed(seen)

    assert set(CHECKS) - set(reasons) == {"cross-replica-hit", "clean-logs", "cache-server-outage"}
    assert {reasons[name] for name in reasons} == {"Not run: no cross-replica hit."}


def test_a_check_that_does_not_apply_is_not_judged() -> None:
    seen = replace(evidence(), not_applicable={"backend-grew": "no backend"})

    assert "backend-grew" not in judged(seen)
