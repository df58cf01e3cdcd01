from dataclasses import replace

import pytest
from made_evidence import evidence, facts, log, pair

from lmcache_kserve.evidence import Evidence, ReplicaFacts
from lmcache_kserve.lmcache.logs import Lookup, RequestLog
from lmcache_kserve.verdict import CHECKS

ROWS = {check.id: check for check in CHECKS}


def causes(seen: Evidence, check: str = "cross-replica-hit") -> str:
    """What may explain a failure of the check, passed or not."""
    return " | ".join(text for cause in ROWS[check].causes if (text := cause(seen)))


def test_a_healthy_release_has_nothing_to_explain() -> None:
    assert causes(evidence()) == ""


def test_a_missing_hash_seed_is_named_with_its_replica_and_value() -> None:
    bare = ReplicaFacts(name="predictor-1", role="replica", arguments=facts("x").arguments, environment={})
    seen = replace(evidence(), replicas=(facts("predictor-0"), bare))

    assert "PYTHONHASHSEED is not set on predictor-1" in causes(seen)


def test_different_hash_seeds_are_named() -> None:
    seen = replace(evidence(), replicas=(facts("predictor-0"), facts("predictor-1", PYTHONHASHSEED="1")))

    assert "predictor-0 has 0, predictor-1 has 1" in causes(seen)


@pytest.mark.parametrize("given", ["1", "", "random"])
def test_the_advice_about_hash_seeds_is_to_leave_them_to_the_chart(given: str) -> None:
    seen = replace(evidence(), replicas=(facts("predictor-0"), facts("predictor-1", PYTHONHASHSEED=given)))

    assert "leave lmcache.hashSeed empty" in causes(seen)
    assert "predictor.env" in causes(seen)
    assert '"0"' not in causes(seen)


def test_a_chunk_larger_than_the_prompt_names_the_value_to_change() -> None:
    good = evidence()
    seen = replace(good, subject=replace(good.subject, chunk_size=4096))

    assert "lmcache.chunkSize is 4096 tokens and the prompt only has 3000" in causes(seen)


def test_a_missing_connector_argument_is_named() -> None:
    bare = replace(facts("predictor-0"), arguments=("vllm", "serve"))

    assert "predictor-0 runs without --kv-transfer-config" in causes(replace(evidence(), replicas=(bare,)))


def test_a_connector_other_than_lmcaches_is_named() -> None:
    other = replace(facts("predictor-0"), arguments=("--kv-transfer-config", '{"kv_connector":"NixlConnector"}'))

    assert "a KV connector other than LMCache's" in causes(replace(evidence(), replicas=(other,)))


def test_a_backend_that_refuses_connections_is_named_with_its_address() -> None:
    text = "LMCache WARNING: Remote connection failed in contains: Error 111 connecting to 127.0.0.1:1. Refused."
    seen = replace(evidence(), logs=(log("predictor-0", text),))

    for check in ("cross-replica-hit", "clean-logs", "backend-grew"):
        assert "predictor-0 cannot reach 127.0.0.1:1" in causes(seen, check)
        assert "remoteBackend.redis" in causes(seen, check)


def test_the_values_of_a_backend_are_named_as_the_chart_spells_them() -> None:
    good = evidence()
    refused = log("predictor-0", "LMCache WARNING: Error 111 connecting to 127.0.0.1:1. Refused.")
    seen = replace(good, subject=replace(good.subject, backend_type="lmcache-server"), logs=(refused,))

    assert "(remoteBackend.lmcacheServer)" in causes(seen)


def test_a_refusal_of_asyncio_is_understood_too() -> None:
    text = "ConnectionRefusedError: [Errno 111] Connect call failed ('10.0.0.7', 65432)"

    assert "cannot reach 10.0.0.7:65432" in causes(replace(evidence(), logs=(log("predictor-0", text),)))


def test_a_backend_that_answers_too_late_is_named_with_its_timeout() -> None:
    text = "LMCache WARNING: batched put error: Timeout reading from 127.0.0.1:38917"
    seen = replace(evidence(), logs=(log("predictor-0", text),))

    assert "remoteBackend.redis.timeouts.commandSeconds" in causes(seen)
    assert "remoteBackend.redis.timeouts.commandSeconds" in causes(seen, "clean-logs")


def test_a_provoked_refusal_explains_nothing() -> None:
    seen = replace(evidence(), logs=(log("predictor-0", "Connection refused", at=305),))

    assert causes(seen) == ""


def test_prompts_that_were_looked_up_but_never_stored_are_named() -> None:
    unstored = RequestLog(Lookup(3000, 0), 0, None)
    pairs = tuple(replace(pair(index), cold=replace(pair(index).cold, log=unstored)) for index in range(2))

    assert "no 'Stored' line" in causes(replace(evidence(), pairs=pairs))


def test_a_log_without_any_line_of_lmcache_is_named() -> None:
    pairs = tuple(replace(pair(index), cold=replace(pair(index).cold, log=RequestLog())) for index in range(2))

    assert "lmcache.logLevel" in causes(replace(evidence(), pairs=pairs))


def test_replicas_of_different_parallel_sizes_are_named() -> None:
    wide = replace(facts("predictor-1"), arguments=(*facts("x").arguments, "--tensor-parallel-size=2"))

    assert "predictor-1 has 2" in causes(replace(evidence(), replicas=(facts("predictor-0"), wide)))


def test_a_single_replica_is_named() -> None:
    assert "predictor.replicas" in causes(replace(evidence(), replicas=(facts("predictor-0"),)))


def test_an_lmcache_that_could_not_start_is_named() -> None:
    seen = replace(evidence(), logs=(log("predictor-0", "ValueError: No adapter found for URL: foo://x"),))

    assert "LMCache could not start on predictor-0" in causes(seen)


def test_an_lmcache_that_could_not_start_says_the_exception_of_its_traceback() -> None:
    lines = (
        "LMCache ERROR: Failed to initialize LMCacheManager components: Traceback (most recent call last):",
        "    raise ValueError(",
        "ValueError: LMCache on CPU cannot cache a KV cache of type torch.uint8",
        "LMCache ERROR: OSError: something later",
    )
    other = log("predictor-1", "RuntimeError: of another replica")
    seen = replace(evidence(), pairs=(), stopped="no hit", logs=(log("predictor-0", *lines), other))

    assert "could not start on predictor-0, which computes every prompt: ValueError: LMCache on CPU cannot" in causes(
        seen
    )
    assert "Traceback" not in causes(seen)


def test_a_traceback_without_its_exception_is_named_by_its_first_line() -> None:
    line = "LMCache ERROR: Failed to initialize LMCacheManager components: Traceback (most recent call last):"
    seen = replace(evidence(), pairs=(), stopped="no hit", logs=(log("predictor-0", line), log("predictor-1")))

    assert "which computes every prompt: LMCache ERROR: Failed to initialize" in causes(seen)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("LMCache ERROR: No GPU context found for model tiny", "lmcache.multiprocess.heartbeatSeconds"),
        ("LMCache WARNING: LMCache server is unhealthy", "lmcache.multiprocess.l1.sizeGB"),
    ],
)
def test_an_engine_that_lost_its_lmcache_server_is_named(line: str, words: str) -> None:
    seen = replace(evidence(), logs=(log("predictor-0"), log("predictor-1", line)))

    assert words in causes(seen)
    assert "predictor-1" in causes(seen)
    assert causes(replace(evidence(), logs=(log("predictor-1", line, at=305),))) == ""


HITS = {"cross-replica-hit", "restart-hit", "scale-out", "backend-grew", "external-hits-metric", "ttft"}
SHARING = {"cross-replica-hit", "restart-hit", "scale-out", "ttft"}


def with_arguments(*arguments: str) -> Evidence:
    return replace(evidence(), replicas=(facts("predictor-0"), replace(facts("predictor-1"), arguments=arguments)))


def with_cold_log(told: RequestLog) -> Evidence:
    pairs = tuple(replace(one, cold=replace(one.cold, log=told)) for one in evidence().pairs)
    return replace(evidence(), pairs=pairs)


@pytest.mark.parametrize(
    ("seen", "checks"),
    [
        (with_arguments(), HITS),
        (replace(evidence(), subject=replace(evidence().subject, chunk_size=4096)), HITS),
        (with_cold_log(RequestLog()), HITS),
        (with_cold_log(RequestLog(Lookup(3000, 0), 0, None)), HITS),
        (replace(evidence(), replicas=(facts("a"), facts("b", PYTHONHASHSEED="1"))), SHARING),
        (with_arguments(*facts("x").arguments, "--tensor-parallel-size=2"), SHARING),
        (replace(evidence(), replicas=(facts("predictor-0"),)), {"cross-replica-hit", "backend-outage"}),
        (
            replace(evidence(), logs=(log("predictor-0", "Connection refused"),)),
            HITS | {"clean-logs", "backend-outage"},
        ),
    ],
    ids=["connector", "chunk", "no line", "not stored", "seed", "workers", "one replica", "refused"],
)
def test_a_cause_explains_the_checks_that_it_may_fail(seen: Evidence, checks: set[str]) -> None:
    assert {name for name in ROWS if causes(seen, name)} == checks


def test_an_engine_that_died_is_named_with_its_first_exception() -> None:
    lines = (
        "ERROR [core.py:1301] EngineCore encountered a fatal error.",
        "ERROR [core.py:1301] Traceback (most recent call last):",
        "ERROR [core.py:1301] ValueError: LMCache on CPU needs the same KV cache in each layer",
        "ERROR [async_llm.py:700] vllm.v1.engine.exceptions.EngineDeadError: EngineCore encountered an issue.",
    )
    seen = replace(evidence(), logs=(log("predictor-1", *lines),))

    assert causes(seen) == (
        "the engine of predictor-1 died: ValueError: LMCache on CPU needs the same KV cache in each layer"
    )


def test_an_engine_that_the_experiment_killed_is_no_cause() -> None:
    lines = ("ERROR EngineCore encountered a fatal error.", "ERROR RuntimeError: shut down")
    seen = replace(evidence(), logs=(log("predictor-1", *lines, at=210),))

    assert causes(seen) == ""


LMCACHE_OFF = (
    "ERROR [unproven.py] LMCache is off: LMCache mixes up keys (https://github.com/LMCache/LMCache/issues/1). This is "
    "LMCache 0.5.6. Requests are answered without LMCache; lmcache.allowUnproven true uses it all the same."
)


@pytest.mark.parametrize("check", ["cross-replica-hit", "restart-hit", "backend-grew", "external-hits-metric", "ttft"])
def test_a_refusal_of_the_connector_is_named_with_its_thread_and_its_override(check: str) -> None:
    seen = replace(evidence(), logs=(log("predictor-0"), log("predictor-1", LMCACHE_OFF)))

    named = causes(seen, check)
    assert "predictor-1 serves without LMCache" in named
    assert "mixes up keys (https://github.com/LMCache/LMCache/issues/1). This is LMCache 0.5.6" in named
    assert "lmcache.allowUnproven" in named


def test_a_refusal_is_no_matter_of_log_levels() -> None:
    good = evidence()
    silent = tuple(replace(one, cold=replace(one.cold, log=RequestLog()), warm=one.warm) for one in good.pairs)
    off = replace(good, pairs=silent, logs=(log("predictor-0", LMCACHE_OFF),))

    assert "lmcache.logLevel" in causes(replace(good, pairs=silent))
    assert "lmcache.logLevel" not in causes(off)
