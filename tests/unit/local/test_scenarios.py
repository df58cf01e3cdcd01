"""How this machine breaks a backend, and mends it."""

from dataclasses import dataclass, field

import pytest

from lmcache_kserve.local.scenarios import (
    CORRUPTED,
    CUT,
    DOWN,
    FULL,
    KILLED,
    RESTARTED,
    SERVER_KILLED,
    SLOW,
    faults_of,
    impossible,
    scenarios,
)


@dataclass
class Recorder:
    """Stands for a backend and for a link: writes down what is asked of it."""

    calls: list[str] = field(default_factory=list)

    def stop(self) -> None:
        self.calls.append("stop")

    def start(self) -> None:
        self.calls.append("start")

    def slow(self, seconds: float) -> None:
        self.calls.append(f"slow {seconds:g}")

    def cut(self) -> None:
        self.calls.append("cut")

    def mend(self) -> None:
        self.calls.append("mend")


@pytest.mark.parametrize(
    ("name", "begun", "ended", "breaks"),
    [
        (SLOW, ["slow 0.5", "slow 0.5"], ["slow 0", "slow 0"], False),
        (CUT, ["cut", "cut"], ["mend", "mend"], False),
        (RESTARTED, ["stop", "start"], [], True),
        (KILLED, ["stop"], ["start"], True),
    ],
)
def test_a_fault_happens_on_every_link_or_to_the_backend_and_ends(
    name: str, begun: list[str], ended: list[str], *, breaks: bool
) -> None:
    seen = Recorder()
    scenario = scenarios(seen, [seen, seen])[name]  # type: ignore[arg-type, list-item]  # a recorder of calls
    scenario.begin()
    assert seen.calls == begun
    seen.calls.clear()
    scenario.end()
    assert seen.calls == ended
    assert scenario.breaks is breaks


def test_a_mode_with_a_server_has_one_fault_more_and_what_may_last_comes_last() -> None:
    of_both = {DOWN, SLOW, CUT, FULL, RESTARTED, KILLED, CORRUPTED}
    assert set(faults_of("in-process")) == of_both
    assert set(faults_of("multiprocess")) == of_both | {SERVER_KILLED}
    assert {faults_of(mode)[-2:] for mode in ("in-process", "multiprocess")} == {(KILLED, CORRUPTED)}
    assert faults_of("in-process")[0] == DOWN


@pytest.mark.parametrize(
    ("backend", "possible"),
    [
        ("redis", set(faults_of("multiprocess"))),
        ("filesystem", {FULL, CORRUPTED, SERVER_KILLED}),
        ("mooncake", {*faults_of("multiprocess")} - {CORRUPTED}),
        ("lmcache-server", {*faults_of("multiprocess")} - {CORRUPTED}),
    ],
)
def test_what_cannot_be_tried_says_why(backend: str, possible: set[str]) -> None:
    assert {fault for fault in faults_of("multiprocess") if impossible(backend, fault) is None} == possible
