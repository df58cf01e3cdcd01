"""What `helm test` proves, and what it says of a release that does not share its cache."""

import re
from types import ModuleType
from typing import Any

import pytest
from fake_replicas import CHUNK, Cluster, Run
from fake_server import Handler

ACCEPTED_S = 180
"""How long a broken release may take to be told, once its replicas are ready."""


def test_a_healthy_release_passes_and_shows_the_times(cluster: Cluster, run: Run) -> None:
    cluster.start("a", "b")
    outcome = run()
    assert outcome.code == 0
    assert outcome.verdict == (
        "PASSED: every replica found what another one had computed: 2 prompts, 2 replicas, through redis"
    )
    a, b = (re.escape(cluster.address(name)) for name in "ab")
    cold, warm = (
        r"TTFT \d+\.\d{3} s  \d+ tokens, 128 of them in whole chunks",
        r"TTFT \d+\.\d{3} s  128 found by LMCache",
    )
    for first, second in ((a, b), (b, a)):
        assert re.search(rf"  {first}  cold  {cold}\n  {second}  warm  {warm}, cold/warm \d+\.\d\n", outcome.text)
    assert re.search(r"\nmedian TTFT: cold \d+\.\d{3} s, warm \d+\.\d{3} s, cold/warm \d+\.\d\n", outcome.text)


SLOW_HIT = "\nWARNING: a hit loads slower than the same tokens compute."


@pytest.mark.parametrize(("computes_s", "loads_s", "warns"), [(0.2, 0.1, False), (0.0, 0.1, True)])
def test_a_hit_that_costs_more_than_it_saves_is_told(
    cluster: Cluster, run: Run, computes_s: float, loads_s: float, *, warns: bool
) -> None:
    cluster.release.computes_s, cluster.release.loads_s = computes_s, loads_s
    cluster.start("a", "b")
    outcome = run(kv_bytes=131072)
    assert outcome.code == 0, "a slow backend is no broken one"
    assert re.search(
        r"\na token that LMCache found took \d\.\d{3} ms, \d+\.\d\d GB/s; to compute one took \d\.\d{3} ms\n",
        outcome.text,
    )
    assert (SLOW_HIT in outcome.text) is warns


def test_the_cost_of_a_token_leaves_out_what_was_computed_and_what_vllm_had(
    measurement: ModuleType, replica: ModuleType
) -> None:
    def one(ttft: float, *, lmcache: int, own: int = 0) -> Any:
        return measurement.Pass(None, replica.Answer("", 1000, ttft), lmcache, own)

    cold, warm = one(2.0, lmcache=0), one(0.6, lmcache=800)  # 2 ms to compute a token, 200 were computed again
    assert measurement.costs([[cold, warm]], 100_000) == [
        "a token that LMCache found took 0.250 ms, 0.40 GB/s; to compute one took 2.000 ms"
    ]
    assert measurement.costs([[cold, warm]], None) == [
        "a token that LMCache found took 0.250 ms; to compute one took 2.000 ms"
    ]
    assert measurement.costs([[cold, one(0.1, lmcache=0, own=900)]], 100_000) == []


def test_each_prompt_goes_to_one_replica_and_then_to_all_others(cluster: Cluster, run: Run) -> None:
    cluster.start("a", "b", "c")
    assert run(replicas=3, pairs=3).code == 0
    measured = [(name, tuple(prompt)) for name, prompt in cluster.release.prompts[6:]]
    assert [name for name, _ in measured] == ["a", "b", "c", "b", "a", "c", "c", "a", "b"]
    assert len({prompt for _, prompt in measured}) == 3


def test_prompts_are_as_long_as_asked_and_alike_in_nothing(cluster: Cluster, run: Run) -> None:
    cluster.start("a", "b")
    assert run(chunks=5, pairs=4).code == 0
    prompts = {tuple(prompt) for _, prompt in cluster.release.prompts[4:]}
    assert {len(prompt) // CHUNK for prompt in prompts} == {5}
    assert len({len(prompt) for prompt in prompts}) == 1
    assert len({prompt[:CHUNK] for prompt in prompts}) == len(prompts) == 4


@pytest.mark.parametrize(("options", "context"), [({"context": 60}, 10_000), ({}, 60), ({"context": 10_000}, 60)])
def test_prompts_fit_what_the_model_takes(cluster: Cluster, run: Run, options: dict[str, int], context: int) -> None:
    cluster.release.context = context
    cluster.start("a", "b")
    assert run(**options).code == 0
    assert {len(prompt) // CHUNK for _, prompt in cluster.release.prompts[4:]} == {3}
    assert max(len(prompt) for _, prompt in cluster.release.prompts[4:]) <= 60 - 8


def test_a_model_whose_context_nobody_tells_gets_what_was_asked(cluster: Cluster, run: Run) -> None:
    cluster.release.context = None
    cluster.start("a", "b")
    assert run().code == 0


def test_a_model_too_short_for_a_chunk_fails_with_the_value_to_change(cluster: Cluster, run: Run) -> None:
    cluster.start("a", "b")
    outcome = run(chunk_size=64, context=60)
    assert outcome.code == 1
    assert "has no whole chunk of 64 (lmcache.chunkSize)" in outcome.verdict
    assert "model.maxModelLen" in outcome.verdict


@pytest.mark.parametrize("fault", [{"seeds_differ": True}, {"backend_up": False}], ids=["hash seeds", "backend"])
def test_replicas_that_do_not_share_fail_in_time_with_both_causes(
    cluster: Cluster, run: Run, fault: dict[str, bool]
) -> None:
    for name, value in fault.items():
        setattr(cluster.release, name, value)
    cluster.start("a", "b")
    outcome = run()
    assert outcome.code == 1
    assert outcome.verdict.startswith(
        f"FAILED: replica {cluster.address('b')} found 0 of 128 tokens that {cluster.address('a')} had computed, "
        "at attempt 5, after "
    )
    assert "cannot reach the remote backend redis (llm-redis.models.svc:6379)" in outcome.verdict
    assert "PYTHONHASHSEED" in outcome.verdict
    assert cluster.clock.now < ACCEPTED_S


def test_a_failure_shows_the_commands_that_tell_the_causes_apart(cluster: Cluster, run: Run) -> None:
    cluster.release.seeds_differ = True
    cluster.start("a", "b")
    logs, seeds = run().lines[-3:-1]
    selector = "-n models -l serving.kserve.io/inferenceservice=llm,component=predictor"
    assert logs.startswith(f"look at: kubectl logs {selector} -c kserve-container")
    assert seeds.startswith(f"look at: kubectl get pods {selector} -o jsonpath='{{range .items[*]}}{{.metadata.name}}")
    assert '"\\t"' in seeds
    assert 'env[?(@.name=="PYTHONHASHSEED")].value' in seeds


def test_slow_replicas_that_do_not_share_get_no_more_attempts_than_there_is_time(cluster: Cluster, run: Run) -> None:
    cluster.release.seeds_differ = True
    cluster.start("a", "b")
    cold = cluster.replicas["a"].answer

    def slow(handler: Handler, body: dict[str, Any]) -> None:
        cluster.clock.now += 40
        cold(handler, body)

    cluster.servers["a"].behaviour = slow
    outcome = run()
    assert "at attempt 3, after 12" in outcome.verdict
    assert cluster.clock.now < ACCEPTED_S + 80  # the two prompts that measure the tokenizer come before


def test_a_store_that_takes_a_while_is_waited_for_with_fresh_prompts(cluster: Cluster, run: Run) -> None:
    cluster.release.backend_up = False
    cluster.clock.events = [(1.0, lambda: setattr(cluster.release, "backend_up", True))]
    cluster.start("a", "b")
    outcome = run(pairs=1)
    assert outcome.code == 0
    assert "attempt 1: replica" in outcome.text
    cold = [tuple(prompt) for name, prompt in cluster.release.prompts[4:] if name == "a"]
    assert len(set(cold)) == len(cold) == 3


def test_a_test_that_runs_out_of_time_says_so(cluster: Cluster, run: Run) -> None:
    cluster.release.seeds_differ = True
    cluster.start("a", "b")
    assert run(timeout=3).verdict.endswith(": tests.timeoutSeconds (3) are over")


def test_an_answer_that_a_cached_prefix_changes_fails(cluster: Cluster, run: Run) -> None:
    cluster.release.wrong_when_warm = True
    cluster.start("a", "b")
    outcome = run()
    assert outcome.code == 1
    assert "answered 'wrong " in outcome.verdict
    assert "a cached prefix changes the answer" in outcome.verdict


def test_lossy_chunks_may_change_the_answer(cluster: Cluster, run: Run) -> None:
    cluster.release.wrong_when_warm = True
    cluster.start("a", "b")
    assert run("--lossy").code == 0


def test_one_replica_passes_and_says_what_it_does_not_prove(cluster: Cluster, run: Run) -> None:
    cluster.start("a")
    outcome = run(replicas=1)
    assert outcome.code == 0
    assert "128 found by LMCache" in outcome.text
    assert outcome.verdict == (
        "PASSED: one replica found what it had computed before. Whether replicas share through redis "
        "(llm-redis.models.svc:6379) was not tested: that takes a second replica"
    )


def test_one_replica_whose_own_cache_answers_does_not_claim_a_test_of_lmcache(cluster: Cluster, run: Run) -> None:
    cluster.release.own_cache = True
    cluster.start("a")
    outcome = run(replicas=1)
    assert outcome.code == 0
    assert "0 found by LMCache, 128 by vLLM's own prefix cache" in outcome.text
    assert "LMCache was not tested either" in outcome.verdict


def test_one_replica_that_keeps_nothing_fails(cluster: Cluster, run: Run) -> None:
    cluster.release.lmcache = False
    cluster.start("a")
    outcome = run(replicas=1)
    assert outcome.code == 1
    assert "found 0 of 128 tokens that it had computed itself" in outcome.verdict


def test_vllms_own_cache_does_not_spoil_the_proof_between_replicas(cluster: Cluster, run: Run) -> None:
    cluster.release.own_cache = True
    cluster.start("a", "b")
    assert run().code == 0


def test_without_a_backend_each_replica_has_to_find_its_own(cluster: Cluster, run: Run) -> None:
    cluster.release.backend_up = False
    cluster.start("a", "b")
    outcome = run(reuse="own", backend="none", endpoint="")
    assert outcome.code == 0
    assert {name for name, _ in cluster.release.prompts[4:]} == {"a", "b"}
    assert "Nothing is shared between replicas without a remote backend" in outcome.verdict


def test_without_lmcache_answers_are_all_there_is(cluster: Cluster, run: Run) -> None:
    cluster.release.lmcache = cluster.release.counts = False
    cluster.start("a", "b")
    outcome = run(reuse="none", backend="none", endpoint="")
    assert outcome.code == 0
    assert outcome.text.count("TTFT") == 2
    assert "Reuse was not tested" in outcome.verdict
