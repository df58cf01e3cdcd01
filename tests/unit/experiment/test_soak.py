"""A whole soak of a fake release: real HTTP, real threads, seconds instead of minutes."""

from dataclasses import replace

import pytest
import soaking
from fake_release import FakeTarget, Faults
from soaking import LOAD, PACE, pool_of, soak

from lmcache_kserve.errors import HarnessError
from lmcache_kserve.evidence.soak import Soak
from lmcache_kserve.experiment.faults import Fault
from lmcache_kserve.experiment.mixed import agrees
from lmcache_kserve.experiment.schedule import Kind
from lmcache_kserve.verdict.soak import Invariant, judge_soak


@pytest.fixture(scope="module")
def healthy() -> Soak:
    with FakeTarget() as target:
        return soak(target)


def broken(seen: Soak) -> Invariant:
    first = judge_soak(seen).first_broken
    assert first
    return first


def test_a_healthy_release_keeps_every_promise(healthy: Soak) -> None:
    verdict = judge_soak(healthy)
    assert verdict.first_broken is None
    assert verdict.passed


def test_the_schedule_takes_place_with_replicas_and_backend_killed_alone_and_at_once(healthy: Soak) -> None:
    assert [one.planned for one in healthy.disturbed] == list(healthy.schedule)
    happened = {frozenset(one.planned.faults) for one in healthy.disturbed}
    both = frozenset({"backend killed", "replica killed"})
    assert happened == {frozenset({"backend killed"}), frozenset({"replica killed"}), both}
    assert all(one.hits_returned_s is not None for one in healthy.disturbed)


def test_the_traffic_is_mixed_and_asks_every_replica(healthy: Soak) -> None:
    assert {one.how for one in healthy.asked} == {"streamed", "whole", "cancelled"}
    assert len({one.prompt for one in healthy.asked}) > healthy.pool_prompts / 2
    assert {one.replica for one in healthy.asked} == {"predictor-0", "predictor-1"}
    assert healthy.most_at_once > 1


def test_the_backend_is_smaller_than_what_the_clients_ask_for(healthy: Soak) -> None:
    held = max((one.contents.entries or 0) // 2 for one in healthy.samples if one.contents)
    assert held == soaking.ROOM < healthy.pool_chunks


def test_a_replica_that_was_killed_begins_a_new_life_and_the_first_one_does_not(healthy: Soak) -> None:
    lives: dict[str, set[str]] = {}
    for sample in healthy.samples:
        for container in sample.watched.containers:
            lives.setdefault(container.name, set()).add(container.life)
    assert len(lives["predictor-0/main"]) == 1
    assert len(lives["predictor-1/main"]) > 1


@pytest.mark.parametrize(
    ("text", "right"), [("", True), ("one", True), ("one two three", True), ("one tw three", False)]
)
def test_the_beginning_of_an_answer_is_compared_as_far_as_the_answer_is_known(text: str, *, right: bool) -> None:
    assert agrees(text, "one two") is right


def test_a_descriptor_kept_for_each_request_turns_the_soak_red() -> None:
    with FakeTarget(faults=Faults(leaks_descriptors=True)) as target:
        first = broken(soak(target))
    assert first.name == "growth of file descriptors"
    assert first.why.startswith("file descriptors of predictor-0/main, life 1 grows: ")


def test_one_wrong_answer_turns_the_soak_red_and_is_named() -> None:
    pool = pool_of()
    spoilt = replace(pool.known[0], text="something else")
    with FakeTarget() as target:
        seen = soak(target, seconds=1.0, pool=replace(pool, known=(spoilt,)))
    first = broken(seen)
    assert first.name.startswith("answers other than")
    assert "prompt 0 was answered with" in first.why
    assert "request lmk-" in first.why


def test_hits_that_stay_away_turn_the_soak_red() -> None:
    with FakeTarget(faults=Faults(backend_stays_dead=True)) as target:
        first = broken(soak(target, hits_timeout_s=0.5))
    assert first.why.startswith("backend killed")
    assert first.why.endswith("no hit came back")


def test_a_replica_that_does_not_come_back_ends_the_soak_and_is_named() -> None:
    with FakeTarget(faults=Faults(restart_fails=True)) as target:
        seen = soak(target, seconds=60.0, faults=lambda _: {}, pace=replace(PACE, longest_start_s=0.3))
    assert seen.lasted_s < 30
    verdict = judge_soak(seen)
    why = [one.why for one in verdict.invariants if one.name.startswith("planned")]
    assert why == [f"replica killed at {seen.disturbed[0].began_s:.0f} s: predictor-1 did not become ready in 300 s"]


def test_a_request_that_a_kill_cuts_off_is_sent_again_to_another_replica_once() -> None:
    many = replace(LOAD, clients=16)  # some of them wait for the replica when it is killed
    with FakeTarget(faults=Faults(slow_s=0.3)) as target:
        seen = soak(target, seconds=2.0, faults=lambda _: {}, load=many)
    again = [one for one in seen.asked if one.cut_off]
    assert again
    assert {one.replica for one in again} == {"predictor-0"}
    assert not [one for one in seen.asked if one.error]


def test_a_failure_without_a_kill_is_not_sent_again() -> None:
    pool = pool_of()
    late = replace(PACE, start_share=0.8)
    with FakeTarget(faults=Faults(fails_prompt=pool.known[0].prompt)) as target:
        seen = soak(target, seconds=1.0, pool=replace(pool, known=pool.known[:1]), faults=lambda _: {}, pace=late)
    first = broken(seen)
    assert first.name.startswith("requests without an answer")
    assert "HTTP 500" in first.why
    killed_at_s = seen.disturbed[0].began_s
    over = [one for one in seen.asked if one.at_s + one.total_s < killed_at_s]
    assert over
    assert not any(one.cut_off for one in over)


def test_a_server_of_mode_multiprocess_is_killed_too() -> None:
    with FakeTarget(mode="multiprocess") as target:
        seen = soak(target, faults=lambda _: {})
    assert {"LMCache server killed", "replica killed"} == {name for one in seen.schedule for name in one.faults}
    assert judge_soak(seen).first_broken is None


def test_an_interruption_ends_the_soak_at_once_and_mends_nothing() -> None:
    ended: list[str] = []

    def interrupt() -> None:
        raise KeyboardInterrupt

    fault = Fault(name="cut", client_reconnects=True, begin=interrupt, end=lambda: ended.append("cut"))
    kinds = {Kind(f"cut {number}", "network", recovery_s=0.1): fault for number in range(5)}
    with FakeTarget() as target, pytest.raises(KeyboardInterrupt):
        soak(target, faults=lambda _: kinds)
    assert ended == []


def test_how_far_the_soak_is_and_what_is_broken_is_told() -> None:
    steps: list[tuple[str, int, int, str]] = []
    with FakeTarget() as target:
        soak(target, seconds=1.0, steps=steps, faults=lambda _: {})
    notes = [note for stage, _, _, note in steps if stage == "soak"]
    assert any(note.endswith("0 of them bad; replica killed") for note in notes)
    assert "hits are back after" in notes[-1]


def test_one_replica_is_refused_with_the_value_to_change() -> None:
    with FakeTarget(replicas=1) as target, pytest.raises(HarnessError, match=r"set predictor\.replicas to 2 or more"):
        soak(target)


def test_replicas_that_share_nothing_are_refused_with_the_value_to_change() -> None:
    with FakeTarget(backend="none") as target, pytest.raises(HarnessError, match=r"set remoteBackend\.type"):
        soak(target, faults=lambda _: {})


def test_the_same_seed_asks_for_the_same_prompts() -> None:
    assert pool_of() == pool_of()


def test_an_engine_that_contradicts_itself_cannot_judge_a_cache() -> None:
    with pytest.raises(HarnessError, match="the engine without a cache changed"):
        pool_of(faults=Faults(changes_when_busy="all"))
