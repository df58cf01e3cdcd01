"""The whole path from requests to verdict, against a release that answers over real HTTP and can be broken."""

from dataclasses import replace
from typing import Any

import pytest
from fake_release import FakeTarget, Faults
from proving import QUICK, prove, run

from lmcache_kserve.errors import HarnessError
from lmcache_kserve.evidence import ExternalHits, Outage, ReplicaKill, Restart, ScaleOut, Unreadable
from lmcache_kserve.experiment.client import CompletionClient
from lmcache_kserve.experiment.measurement import Measurement


def baseline() -> FakeTarget:
    return FakeTarget(replicas=1, backend="none", lmcache=False)


def test_a_healthy_release_passes_every_check() -> None:
    with FakeTarget() as target, baseline() as plain:
        seen = prove(target, baseline=plain)

    assert seen.failed == {}
    assert seen.evidence.stopped is None
    assert len(seen.evidence.warmups) == 1
    assert len(seen.evidence.pairs) == 3


def test_replicas_swap_roles_and_the_order_rotates_from_pair_to_pair() -> None:
    with FakeTarget() as target, baseline() as plain:
        pairs = prove(target, baseline=plain, measurement=Measurement(pairs=6, traffic_interval_s=0.001)).evidence.pairs

    assert [pair.cold.replica for pair in pairs] == ["predictor-0", "predictor-1"] * 3
    assert [pair.warm.replica for pair in pairs] == ["predictor-1", "predictor-0"] * 3
    assert len({(pair.cold.replica, pair.order) for pair in pairs}) == 6
    assert all(pair.order.index("limit") == pair.order.index("no_cache") + 1 for pair in pairs)
    assert all(pair.order[-1] == "warm" for pair in pairs)


def test_every_prompt_is_fresh_and_all_are_of_one_length() -> None:
    with FakeTarget() as target, baseline() as plain:
        pairs = prove(target, baseline=plain).evidence.pairs

    assert len({pair.cold.text for pair in pairs}) == 3
    assert {pair.cold.prompt_tokens for pair in pairs} == {pairs[0].cold.prompt_tokens}
    assert {pair.no_cache_again.prompt_tokens for pair in pairs if pair.no_cache_again} == {pairs[0].cold.prompt_tokens}
    assert 2800 <= pairs[0].cold.prompt_tokens <= 3000


@pytest.mark.parametrize("context", [1500, None], ids=["told by the server", "told by its arguments"])
def test_prompts_stay_within_the_models_context(context: int | None) -> None:
    with FakeTarget(context=context) as target:
        target.replicas[0].arguments = [*target.replicas[0].arguments[:3], "--max_model_len", "1500"]
        pairs = prove(target).evidence.pairs

    assert pairs[0].cold.prompt_tokens + QUICK.kill_answer_tokens <= 1500


def test_long_answers_leave_less_of_the_context_to_the_prompts() -> None:
    with FakeTarget(context=1500) as target:
        pairs = prove(target, measurement=replace(QUICK, answer_tokens=600)).evidence.pairs
    assert pairs[0].cold.prompt_tokens + 600 <= 1500


def test_answers_that_fill_the_context_are_refused_by_the_option_to_change() -> None:
    with FakeTarget(context=1500) as target, pytest.raises(HarnessError, match=r"model\.maxModelLen.*--answer-tokens"):
        prove(target, measurement=replace(QUICK, answer_tokens=1000))


def test_a_killed_replica_is_really_cut_off_and_its_request_retried_on_the_other() -> None:
    kill = run().evidence.kill

    assert isinstance(kill, ReplicaKill)
    assert [attempt.replica for attempt in kill.attempts] == ["predictor-1", "predictor-0"]
    assert kill.attempts[0].error
    assert kill.attempts[1].text
    assert kill.survivors


def test_the_new_replica_is_asked_what_was_cached_before_it_existed() -> None:
    restart = run().evidence.restart

    assert isinstance(restart, Restart)
    assert restart.repeated.replica == "predictor-1"
    assert restart.repeated.hit_tokens == 2816


def test_traffic_in_the_outage_reaches_every_replica_and_asks_for_what_another_computed() -> None:
    outage = run().evidence.outage

    assert isinstance(outage, Outage)
    during = {answer.replica for answer in outage.answers if answer.phase == "during"}
    assert during == {"predictor-0", "predictor-1"}
    first = outage.answers[0]
    assert first.phase == "before"
    assert first.hit_tokens


def test_no_hit_in_the_first_pair_ends_the_experiment_at_once() -> None:
    seen = run(Faults(no_hits=True))

    assert seen.evidence.stopped == "no cross-replica hit"
    assert len(seen.evidence.warmups) == 1
    assert not seen.evidence.pairs
    assert "predictor-1 hit 0 of 2816 tokens" in seen.failed["cross-replica-hit"]
    assert seen.failed["backend-outage"] == "Not run: no cross-replica hit."


def test_a_release_without_lmcache_says_that_nothing_was_logged() -> None:
    seen = run(Faults(no_lines=True))

    assert "no log line of LMCache names any of the requests" in seen.failed["cross-replica-hit"]


def test_a_chunk_larger_than_the_prompt_is_named() -> None:
    seen = run(chunk_size=4096)

    assert "lmcache.chunkSize is 4096" in seen.failed["cross-replica-hit"]


def test_a_missing_hash_seed_fails_although_prompts_hit() -> None:
    with FakeTarget() as target:
        target.replicas[1].environment = {}
        seen = prove(target)

    assert set(seen.failed) == {"cross-replica-hit"}
    assert "PYTHONHASHSEED is not set on predictor-1" in seen.failed["cross-replica-hit"]


def test_an_answer_that_changes_when_it_comes_from_the_cache_is_found() -> None:
    seen = run(Faults(wrong_text_when_warm=True))

    assert "warm gave 'wrong" in seen.failed["identical-output"]


def test_a_hit_that_was_never_loaded_is_found() -> None:
    assert "Retrieved" in run(Faults(no_retrieval=True)).failed["cross-replica-hit"]


def test_a_backend_that_never_comes_back_is_found_and_every_answer_counted() -> None:
    seen = run(Faults(backend_stays_dead=True))

    assert set(seen.failed) == {"backend-outage"}
    assert "Hits did not return" in seen.failed["backend-outage"]


def test_a_client_that_never_reconnects_only_has_to_answer() -> None:
    seen = run(Faults(connection_error_logged=True), client_reconnects=False)

    assert seen.failed == {}
    assert seen.evidence.faults[-1].end is None
    assert "does not reconnect" in seen.checks["backend-outage"].summary


def test_a_release_that_hangs_without_its_backend_is_found_and_gets_the_backend_back() -> None:
    with FakeTarget(faults=Faults(silent_in_outage=True)) as target:
        seen = prove(target, measurement=replace(QUICK, outage_timeout_s=60))
        is_up = target.store.up

    assert "waited 60 s for 3 answers from every replica during the outage" in seen.failed["backend-outage"]
    assert is_up


def test_wrong_answers_without_the_backend_are_found() -> None:
    assert "the fault was answered wrongly" in run(Faults(wrong_text_in_outage=True)).failed["backend-outage"]


def test_connection_errors_of_a_provoked_outage_are_excused() -> None:
    seen = run(Faults(connection_error_logged=True))

    assert seen.failed == {}
    assert seen.checks["clean-logs"].evidence["provoked"] > 0


def test_unreadable_metrics_fail_their_check_alone() -> None:
    seen = run(Faults(metrics_unreadable=True))

    assert set(seen.failed) == {"external-hits-metric"}
    assert "the metrics of predictor-0" in seen.failed["external-hits-metric"]


def test_unreadable_contents_fail_their_check_alone() -> None:
    seen = run(Faults(contents_unreadable=True))

    assert seen.failed == {"backend-grew": "The evidence cannot be read: NOAUTH Authentication required"}


def test_unreadable_logs_fail_every_check_that_rests_on_them() -> None:
    seen = run(Faults(logs_unreadable=True))

    assert "permission denied: pods/log" in seen.failed["cross-replica-hit"]
    assert "permission denied: pods/log" in seen.failed["clean-logs"]


def test_a_secret_in_a_log_is_found_and_never_kept() -> None:
    seen = run(Faults(extra_log_line="connecting to redis://user:hunter2%20secret@host"))

    assert set(seen.failed) == {"clean-logs"}
    assert "redis://user:***@host" in seen.failed["clean-logs"]
    assert "hunter2" not in repr(seen.evidence)


def test_a_replica_that_does_not_come_back_fails_both_its_checks_without_a_traceback() -> None:
    seen = run(Faults(restart_fails=True))

    assert "did not become ready in 300 s" in seen.failed["replica-kill"]
    assert "no replica was restarted" in seen.failed["restart-hit"]


def test_a_replica_that_dies_in_the_measurement_ends_it_with_a_reason() -> None:
    with FakeTarget() as target:
        answer = target.replicas[1].answer
        target.replicas[1]._server.behaviour = lambda handler, body: (  # noqa: SLF001 - breaks the fake on purpose
            handler.reply(500, b"engine died") if len(body["prompt"]) > 9000 else answer(handler, body)
        )
        seen = prove(target)

    assert seen.evidence.stopped is not None
    assert "HTTP 500" in seen.evidence.stopped
    assert "HTTP 500" in seen.failed["ttft"]


def test_without_a_shared_backend_the_same_replica_is_asked_again_and_the_rest_is_listed() -> None:
    seen = run(backend="none")

    assert seen.failed == {}
    assert all(pair.cold.replica == pair.warm.replica for pair in seen.evidence.pairs)
    nothing_shared = {"cross-replica-hit", "restart-hit", "backend-grew", "backend-outage"}
    assert set(seen.not_applicable) == nothing_shared | {"cache-server-outage", "scale-out"}
    assert isinstance(seen.evidence.external_hits, ExternalHits)


def test_a_single_replica_cannot_prove_sharing() -> None:
    seen = run(replicas=1)

    assert "the same replica" in seen.failed["cross-replica-hit"]
    assert "predictor.replicas" in seen.failed["cross-replica-hit"]


def test_a_backend_out_of_reach_fails_its_checks_with_the_reason() -> None:
    with FakeTarget() as target:
        target.backend = None
        seen = prove(target)

    assert isinstance(seen.evidence.growth, Unreadable)
    assert isinstance(seen.evidence.outage, Unreadable)
    assert set(seen.failed) == {"backend-grew", "backend-outage"}


def test_a_release_without_replicas_names_the_value_to_change() -> None:
    with FakeTarget(replicas=0) as target, pytest.raises(HarnessError, match=r"predictor\.replicas"):
        prove(target)


def test_a_wrong_model_name_names_the_value_to_change() -> None:
    with FakeTarget() as target:
        target.model_name = "other"
        with pytest.raises(HarnessError, match=r"does not serve the model 'other' but tiny: set model\.name"):
            prove(target)


def test_a_context_too_short_to_measure_names_the_value_to_change() -> None:
    with FakeTarget(context=200) as target, pytest.raises(HarnessError, match=r"raise model\.maxModelLen"):
        prove(target)


def test_progress_is_told_stage_by_stage() -> None:
    progress = run().progress
    stages = list(dict.fromkeys(stage for stage, *_ in progress))

    assert stages == ["calibrate", "warm-up", "pairs", "at once", "replica kill", "backend outage", "logs"]
    assert [done for stage, done, _, _ in progress if stage == "pairs"] == [0, 1, 2, 3]
    assert all(0 <= done <= total for _, done, total, _ in progress)


def test_every_client_is_closed_in_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[CompletionClient] = []
    closed: list[CompletionClient] = []
    open_client, close_client = CompletionClient.__init__, CompletionClient.close

    def opening(self: CompletionClient, *arguments: Any, **options: Any) -> None:
        opened.append(self)
        open_client(self, *arguments, **options)

    def closing(self: CompletionClient) -> None:
        closed.append(self)
        close_client(self)

    monkeypatch.setattr(CompletionClient, "__init__", opening)
    monkeypatch.setattr(CompletionClient, "close", closing)
    run()

    assert len(opened) == 3  # two replicas, and the one that was restarted
    assert {id(client) for client in closed} == {id(client) for client in opened}


def test_secrets_are_hidden_in_what_is_told_about_the_engines() -> None:
    with FakeTarget() as target:
        target.replicas[0].environment = {
            **target.replicas[0].environment,
            "LMCACHE_REMOTE_URL": "redis://:hunter2%20secret@host",
        }
        engines = prove(target).evidence.replicas

    assert engines[0].environment["LMCACHE_REMOTE_URL"] == "redis://:***@host"
    assert "REMOTE_BACKEND_PASSWORD" not in engines[0].environment


def test_without_faults_the_service_is_left_alone_and_the_reasons_are_given() -> None:
    with FakeTarget() as target:
        ports = [replica.port for replica in target.replicas]
        seen = prove(target, measurement=replace(QUICK, faults=False))
        assert ports == [replica.port for replica in target.replicas]
        assert target.store.keys
    assert seen.failed == {}
    provoked = {"restart-hit", "backend-outage", "cache-server-outage", "replica-kill"}
    assert set(seen.not_applicable) == provoked | {"scale-out"}
    assert "--no-faults" in seen.not_applicable["replica-kill"]


def test_a_new_replica_is_asked_what_the_cache_holds_and_then_what_nobody_computed() -> None:
    with FakeTarget() as target:
        seen = prove(target, measurement=replace(QUICK, scale_out_requests=4)).evidence.scale_out

    assert isinstance(seen, ScaleOut)
    assert {one.replica for one in (*seen.old, *seen.shared, *seen.alone)} == {"predictor-1"}
    assert [one.text for one in seen.old] == [one.text for one in seen.shared]
    assert [one.hit_tokens for one in seen.shared] == [2816] * 4
    assert [one.hit_tokens for one in seen.alone] == [0] * 4


def test_a_new_replica_that_does_not_start_is_told() -> None:
    with FakeTarget(faults=Faults(restart_fails=True)) as target:
        seen = prove(target, measurement=replace(QUICK, scale_out_requests=4))

    assert "did not become ready in 300 s" in seen.failed["scale-out"]


def test_a_backend_that_others_run_is_not_interrupted() -> None:
    seen = run(runs_backend=False)
    assert seen.failed == {}
    assert set(seen.not_applicable) == {"backend-outage", "cache-server-outage", "scale-out"}
    assert seen.evidence.outage is None


class TestMultiprocess:
    def test_replicas_with_servers_of_their_own_pass_every_check(self) -> None:
        seen = run(mode="multiprocess")

        assert seen.failed == {}
        assert set(seen.not_applicable) == {"scale-out"}
        assert isinstance(seen.evidence.server_outage, Outage)
        assert seen.checks["cross-replica-hit"].evidence["passes"][0]["warm_tiers"]["l1_objects"] == 0

    def test_a_hit_from_the_memory_of_a_server_that_did_not_store_it_is_no_proof(self) -> None:
        seen = run(Faults(tiers_swapped=True), mode="multiprocess")

        assert "objects came from the memory of predictor-1's own server" in seen.failed["cross-replica-hit"]

    def test_replicas_of_one_server_share_its_memory_without_a_backend(self) -> None:
        seen = run(mode="multiprocess", shares_server=True, backend="none")

        assert seen.failed == {}
        assert set(seen.not_applicable) == {"backend-grew", "backend-outage", "scale-out"}
        assert all(pair.cold.replica != pair.warm.replica for pair in seen.evidence.pairs)

    def test_servers_without_a_backend_share_nothing(self) -> None:
        seen = run(mode="multiprocess", backend="none")

        assert seen.failed == {}
        nothing_shared = {"cross-replica-hit", "restart-hit", "backend-grew", "backend-outage"}
        assert set(seen.not_applicable) == nothing_shared | {"scale-out"}
        assert isinstance(seen.evidence.server_outage, Outage)

    def test_a_server_whose_engine_does_not_come_back_fails(self) -> None:
        seen = run(Faults(server_stays_dead=True), mode="multiprocess")

        assert "Hits did not return after an LMCache server was back" in seen.failed["cache-server-outage"]

    def test_a_server_that_logs_no_requests_is_named_as_the_cause(self) -> None:
        seen = run(Faults(no_lines=True), mode="multiprocess")

        assert "lmcache.multiprocess.logRequests" in seen.failed["cross-replica-hit"]
