from dataclasses import replace

import pytest
from made_evidence import evidence, facts

from lmcache_kserve.evidence import ReplicaFacts, full_chunk_tokens


def engine(*arguments: str) -> ReplicaFacts:
    return ReplicaFacts(name="predictor-0", role="replica", arguments=arguments, environment={})


@pytest.mark.parametrize(
    "arguments",
    [
        ("--max-model-len", "4096"),
        ("--max-model-len=4096",),
        ("--max_model_len=4096",),
        ("--max_model_len", "4096"),
    ],
    ids=" ".join,
)
def test_an_option_is_found_in_every_spelling_of_vllm_and_kserve(arguments: tuple[str, ...]) -> None:
    assert engine("--model=m", *arguments, "--port=8080").option("max-model-len") == "4096"


def test_an_option_that_is_not_there_has_no_value() -> None:
    assert engine("--max-model-length=1").option("max-model-len") is None
    assert engine("--max-model-len").option("max-model-len") is None


def test_the_world_size_is_the_product_of_the_parallel_sizes() -> None:
    assert engine().world_size == 1
    assert engine("--tensor-parallel-size=4", "--pipeline_parallel_size", "2").world_size == 8
    # A copy of the model is not a part of it, and its keys do not name how many copies there are.
    assert engine("-tp", "4", "-dp", "2").world_size == 4


@pytest.mark.parametrize(("value", "seed"), [("0", "0"), ("4294967295", "4294967295"), ("random", None), ("", None)])
def test_a_hash_seed_is_a_number_or_missing(value: str, seed: str | None) -> None:
    assert facts("predictor-0", PYTHONHASHSEED=value).hash_seed == seed
    assert engine().hash_seed is None


@pytest.mark.parametrize(
    ("backend", "servers", "share"),
    [
        ("redis", (None, None), True),
        ("none", (None, None), False),
        ("none", ("a", "b"), False),
        ("none", ("a", "a"), True),
        ("none", ("a",), False),
    ],
)
def test_replicas_share_chunks_through_a_backend_or_in_one_servers_memory(
    backend: str, servers: tuple[str | None, ...], *, share: bool
) -> None:
    good = evidence()
    engines = tuple(replace(one, cache_server=server) for one, server in zip(good.engines, servers, strict=False))
    seen = replace(good, subject=replace(good.subject, backend_type=backend), replicas=engines)

    assert seen.replicas_share is share


@pytest.mark.parametrize(("prompt", "tokens"), [(3000, 2816), (256, 256), (255, 0)])
def test_only_whole_chunks_can_be_stored(prompt: int, tokens: int) -> None:
    assert full_chunk_tokens(prompt, 256) == tokens


def test_the_baseline_is_not_among_the_engines_with_lmcache() -> None:
    assert [one.name for one in evidence().engines] == ["predictor-0", "predictor-1"]
    assert facts("baseline-0", "baseline").role == "baseline"
