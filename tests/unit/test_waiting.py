import pytest
from fake_release import FakeClock

from lmcache_kserve.waiting import Pending, WaitFailedError, WaitTimeoutError, wait_for


def test_a_wait_returns_what_was_waited_for_and_sleeps_only_between_polls() -> None:
    clock = FakeClock()
    answers = iter([None, Pending("1 of 2"), "ready"])

    assert wait_for(lambda: next(answers), timeout=10, delay=2, describe="a pod", clock=clock) == "ready"
    assert clock.slept == [2, 2]


def test_a_condition_that_holds_at_once_costs_no_time() -> None:
    clock = FakeClock()

    assert wait_for(lambda: 7, timeout=0, describe="nothing", clock=clock) == 7
    assert clock.slept == []


def test_a_timeout_says_what_was_waited_for_and_what_was_seen_last() -> None:
    with pytest.raises(WaitTimeoutError, match=r"waited 3 s for two pods") as caught:
        wait_for(lambda: Pending("1 of 2 ready"), timeout=3, describe="two pods", clock=FakeClock())

    assert caught.value.__notes__ == ["last state: 1 of 2 ready"]


def test_the_last_sleep_ends_at_the_deadline() -> None:
    clock = FakeClock()

    with pytest.raises(WaitTimeoutError):
        wait_for(lambda: False, timeout=2.5, delay=1, describe="a pod", clock=clock)

    assert clock.slept == [1, 1, 0.5]


def test_a_wait_that_cannot_succeed_any_more_ends_at_once() -> None:
    clock = FakeClock()

    with pytest.raises(WaitFailedError, match="a pod: it crashed"):
        wait_for(lambda: None, failed=lambda: "it crashed", timeout=60, describe="a pod", clock=clock)

    assert clock.slept == []
