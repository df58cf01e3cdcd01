"""What is made of a soak: each promise, kept and broken."""

from dataclasses import replace

import pytest
from made_soak import EMPTY, KILL, MIB, REQUESTS_PER_S, asked, held, soak

from lmcache_kserve.evidence.soak import Disturbed, Sample, Soak
from lmcache_kserve.target import Contents
from lmcache_kserve.verdict.growth import FULL_SHARE, MEASURES
from lmcache_kserve.verdict.soak import Invariant, judge_soak

LEAK_PER_REQUEST = REQUESTS_PER_S / 2
"""Of one of two replicas, a second."""


def broken(seen: Soak) -> list[Invariant]:
    return [one for one in judge_soak(seen).invariants if not one.passed]


def only_broken(seen: Soak) -> Invariant:
    (one,) = broken(seen)
    return one


def test_a_soak_that_kept_every_promise_passes() -> None:
    verdict = judge_soak(soak())
    assert verdict.passed
    assert verdict.first_broken is None
    assert len(verdict.invariants) == 5 + len(MEASURES)
    assert verdict.invariants[0].value == "0 of 1800; 0 sent again"


def test_every_measure_of_every_container_is_judged_from_the_moment_it_has_settled() -> None:
    judged = {(one.measure.name, one.of): one for one in judge_soak(soak()).slopes if one.trend}
    assert judged["memory", "predictor-0/main, life 1"].from_s == 152
    assert judged["memory", "predictor-1/main, life 2"].from_s == 610
    assert judged["memory", "redis-0/redis, life 1"].from_s == 54
    assert judged["memory", "redis-0/redis, life 2"].from_s == 860
    assert judged["backend keys", "the backend, life 1"].to_s == 798
    assert {measure for measure, _ in judged} == {measure.name for measure in MEASURES}


def test_a_request_without_an_answer_is_named() -> None:
    failed = asked(7, error="HTTP 500")
    one = only_broken(soak(asked=(asked(0), failed, asked(8, error="HTTP 503"))))
    assert one.value == "2 of 3; 0 sent again"
    assert one.why == "request lmk-7 (whole) at 5 s on predictor-0: HTTP 500"


def test_a_request_that_a_kill_cut_off_and_the_retry_answered_is_no_failure() -> None:
    verdict = judge_soak(soak(asked=(asked(0), asked(1, cut_off="connection lost"))))
    assert verdict.passed
    assert verdict.invariants[0].value == "0 of 2; 1 sent again"


def test_a_soak_without_a_request_has_not_passed() -> None:
    assert only_broken(soak(asked=())).why == "no request was sent"


def test_a_wrong_answer_is_named() -> None:
    one = only_broken(soak(asked=(asked(0), asked(9, wrong="rubbish"))))
    assert one.value == "1 of 2"
    assert one.why == "request lmk-9 (streamed) at 6 s on predictor-0: prompt 9 was answered with 'rubbish'"


def test_a_disturbance_that_could_not_take_place_is_named() -> None:
    ended = Disturbed(planned=KILL, began_s=400.0, over_s=400.0, problem="it did not become ready")
    one, further = broken(soak(disturbed=(ended,)))
    assert (one.value, one.why) == ("0 of 2", "replica killed at 400 s: it did not become ready")
    assert further.why == "no hit was seen after any disturbance"


@pytest.mark.parametrize(
    ("seconds", "why"), [(None, "no hit came back"), (61.0, "hits took 61 s")], ids=["never", "late"]
)
def test_hits_that_stay_away_are_named_with_the_faults(seconds: float | None, why: str) -> None:
    late = Disturbed(planned=EMPTY, began_s=800.0, over_s=805.0, hits_returned_s=seconds)
    in_time = Disturbed(planned=KILL, began_s=400.0, over_s=460.0, hits_returned_s=1.0)
    one = only_broken(soak(disturbed=(in_time, late)))
    assert one.why == f"backend killed + network cut at 800 s: {why}"


def test_a_backend_that_never_had_to_evict_shows_nothing() -> None:
    assert only_broken(soak(pool_chunks=40)).name.startswith("most chunks in the backend")


def test_a_descriptor_kept_for_each_request_is_named_with_its_container() -> None:
    leak = held(
        "predictor-0/main", lambda at, one: replace(one, descriptors=one.descriptors + int(at * LEAK_PER_REQUEST))
    )
    one = only_broken(soak(samples=leak))
    assert one.name == "growth of file descriptors"
    assert one.why.startswith("file descriptors of predictor-0/main, life 1 grows: ")
    assert one.why.endswith("descriptors, from 152 to 1198 s")


def test_a_leak_of_a_replica_that_was_started_again_is_found_in_its_second_life() -> None:
    leak = held(
        "predictor-1/main",
        lambda at, one: replace(one, descriptors=one.descriptors + int(max(at - 500, 0) * LEAK_PER_REQUEST)),
    )
    assert "predictor-1/main, life 2" in only_broken(soak(samples=leak)).why


def test_a_step_after_a_restart_is_no_leak() -> None:
    higher = held("predictor-1/main", lambda at, one: replace(one, threads=one.threads + (40 if at >= 400 else 0)))
    assert broken(soak(samples=higher)) == []


def test_a_leak_of_a_chunk_now_and_then_is_found_in_memory() -> None:
    leak = held(
        "predictor-0/main", lambda at, one: replace(one, resident_bytes=one.resident_bytes + at // 20 * 2 * MIB)
    )
    assert only_broken(soak(samples=leak)).name == "growth of memory"


def test_keys_that_eviction_does_not_reach_are_found() -> None:
    def more(at: int, one: Sample) -> Sample:
        entries = one.contents.entries if one.contents else None
        if one.contents is None or entries is None:
            return one
        return replace(one, contents=Contents(entries + at // 3, one.contents.size_bytes, 10))

    assert only_broken(soak(samples=more)).name == "growth of backend keys"


def test_files_that_stay_are_found() -> None:
    def more(at: int, one: Sample) -> Sample:
        return replace(one, watched=replace(one.watched, files=one.watched.files + at // 10))

    assert only_broken(soak(samples=more)).name == "growth of files"


def test_the_log_may_grow_with_the_requests_but_not_faster() -> None:
    def chatty(at: int, one: Sample) -> Sample:
        more = at * at * 5
        return replace(one, watched=replace(one.watched, log_bytes=one.watched.log_bytes + more))

    one = only_broken(soak(samples=chatty))
    assert one.name == "growth of log per request"
    assert "log per request of the release grows" in one.why


def test_what_was_not_seen_long_enough_has_not_passed() -> None:
    short = soak()
    seen = replace(short, samples=short.samples[:5])
    whys = [one.why for one in broken(seen)]
    assert "no series of memory was long enough: give more --minutes" in whys
    assert len(whys) == len(MEASURES)


def test_a_fault_that_empties_the_backend_is_no_growth_when_it_fills_again() -> None:
    slopes = [one for one in judge_soak(soak()).slopes if one.of == "the backend, life 2"]
    assert {one.measure.name for one in slopes} == {"backend keys", "backend bytes"}
    assert all(one.trend and one.trend.median >= FULL_SHARE * 100 and one.passed for one in slopes)
