from dataclasses import replace

import pytest
from judging import failed, with_pass
from made_evidence import COLD, PROMPT_TOKENS, WARM, evidence, facts

from lmcache_kserve.evidence import Evidence, Unreadable
from lmcache_kserve.lmcache.logs import Lookup, RequestLog, Tiers


def why(seen: Evidence) -> str:
    return failed(seen).get("cross-replica-hit", "")


def in_servers(*servers: str, tiers: Tiers | None) -> Evidence:
    """Mode multiprocess with these servers; warm passes found what `tiers` says."""
    good = evidence()
    engines = [replace(one, cache_server=server) for one, server in zip(good.engines, servers, strict=True)]
    warm = replace(WARM, tiers=tiers)
    return replace(
        good,
        replicas=(*engines, *(one for one in good.replicas if one.role != "replica")),
        pairs=tuple(replace(one, warm=replace(one.warm, log=warm)) for one in good.pairs),
    )


def test_a_hit_between_servers_has_to_come_from_the_backend() -> None:
    assert why(in_servers("a", "b", tiers=Tiers(0, 11))) == ""
    assert "0 from the backend" in why(in_servers("a", "b", tiers=Tiers(11, 0)))
    assert "10 from the backend" in why(in_servers("a", "b", tiers=Tiers(1, 10)))


def test_a_hit_between_servers_without_a_word_about_its_tier_fails() -> None:
    assert "logged no tier" in why(in_servers("a", "b", tiers=None))


def test_replicas_of_one_server_may_hit_in_its_memory() -> None:
    assert why(in_servers("a", "a", tiers=Tiers(11, 0))) == ""


def test_mode_in_process_logs_no_tier() -> None:
    seen = in_servers("a", "b", tiers=None)

    assert why(replace(seen, subject=replace(seen.subject, mode="in-process"))) == ""


def test_a_hit_of_less_than_its_share_of_the_full_chunks_fails() -> None:
    short = RequestLog(Lookup(PROMPT_TOKENS, 2560, 0, 2560), 0, 2560)

    assert "Prompt 4: predictor-0 hit 2560 of 2816 tokens" in why(
        with_pass("warm", lambda one: replace(one, log=short))
    )


def test_a_lookup_without_a_retrieve_line_is_no_proof_of_loading() -> None:
    asked = replace(WARM, retrieved_tokens=None)

    assert "no 'Retrieved' line" in why(with_pass("warm", lambda one: replace(one, log=asked)))


def test_a_cold_pass_that_already_hit_was_not_cold() -> None:
    hit = replace(COLD, lookup=Lookup(PROMPT_TOKENS, 256))

    assert "cold pass already hit 256" in why(with_pass("cold", lambda one: replace(one, log=hit)))


def test_cold_and_warm_on_the_same_replica_prove_nothing() -> None:
    assert "the same replica" in why(with_pass("warm", lambda one: replace(one, replica="predictor-1")))


def test_a_prompt_shorter_than_a_chunk_cannot_hit() -> None:
    good = evidence()
    seen = replace(good, subject=replace(good.subject, chunk_size=4096))

    assert "do not fill a chunk of 4096" in why(seen)


@pytest.mark.parametrize("which", ["cold", "warm"])
def test_a_log_that_cannot_be_read_fails_with_the_reason(which: str) -> None:
    seen = with_pass(which, lambda one: replace(one, log=Unreadable("the log of predictor-0: forbidden")))

    assert "cannot read the log of predictor-0: forbidden" in why(seen)


@pytest.mark.parametrize(
    ("seed", "words"),
    [("", "predictor-1: not set"), ("random", "predictor-1: not set"), ("1", "PYTHONHASHSEED differs")],
)
def test_hits_without_a_common_explicit_hash_seed_are_luck(seed: str, words: str) -> None:
    engines = (facts("predictor-0"), facts("predictor-1", PYTHONHASHSEED=seed))

    assert words in why(replace(evidence(), replicas=engines))


def test_a_run_without_any_pair_fails_as_not_run() -> None:
    seen = replace(evidence(), warmups=(), pairs=(), stopped="a request was not answered")

    assert why(seen) == "Not run: a request was not answered."
