"""The schedule of a soak: a pure function of its seed."""

from itertools import pairwise

import pytest

from lmcache_kserve.experiment.schedule import Kind, Pace, schedule

SLOW = Kind("slow", "network", recovery_s=10.0)
CUT = Kind("cut", "network", recovery_s=10.0)
KILLED = Kind("killed", "backend", recovery_s=20.0)
REPLICA = Kind("replica killed", "replica", recovery_s=100.0)
KINDS = (SLOW, CUT, KILLED, REPLICA)
BY_NAME = {kind.name: kind for kind in KINDS}
HOUR = 3600.0


def test_the_same_seed_gives_the_same_schedule_and_another_seed_another() -> None:
    assert schedule(7, HOUR, KINDS) == schedule(7, HOUR, KINDS)
    assert schedule(7, HOUR, KINDS) != schedule(8, HOUR, KINDS)


def test_a_longer_run_begins_as_a_shorter_one() -> None:
    short, long = schedule(7, HOUR, KINDS), schedule(7, 2 * HOUR, KINDS)
    assert long[: len(short)] == short


def test_one_fault_alone_and_two_at_once_alternate() -> None:
    assert [len(one.faults) for one in schedule(7, HOUR, KINDS)][:6] == [1, 2, 1, 2, 1, 2]


def test_every_fault_comes_alone_before_one_comes_again() -> None:
    alone = [one.faults[0] for one in schedule(7, HOUR, KINDS) if len(one.faults) == 1]
    assert set(alone[: len(KINDS)]) == set(BY_NAME)


def test_two_faults_of_one_part_never_happen_at_once() -> None:
    pairs = [one.faults for seed in range(20) for one in schedule(seed, HOUR, KINDS) if len(one.faults) == 2]
    assert {tuple(sorted(pair)) for pair in pairs} == {
        ("cut", "killed"),
        ("cut", "replica killed"),
        ("killed", "replica killed"),
        ("killed", "slow"),
        ("replica killed", "slow"),
    }


@pytest.mark.parametrize("seed", range(5))
def test_each_disturbance_is_over_and_quiet_before_the_next_and_the_run_begins_quietly(seed: int) -> None:
    pace = Pace()
    planned = schedule(seed, HOUR, KINDS, pace)
    assert planned[0].at_s == pace.quiet_start_s(HOUR) == 150
    for one, following in pairwise(planned):
        recovery_s = max(BY_NAME[name].recovery_s for name in one.faults)
        assert following.at_s >= one.at_s + one.lasts_s + recovery_s + pace.quiet_s - 0.1
    assert all(pace.shortest_s <= one.lasts_s <= pace.longest_s for one in planned)
    assert all(one.at_s + one.lasts_s <= HOUR for one in planned)


def test_a_run_has_a_disturbance_however_short_it_is() -> None:
    assert len(schedule(7, 10.0, [REPLICA])) == 1


def test_faults_of_one_part_come_alone_only() -> None:
    assert {len(one.faults) for one in schedule(7, HOUR, [SLOW, CUT])} == {1}
