"""How this machine breaks a backend, and mends it."""

from dataclasses import dataclass, field

import pytest

from lmcache_kserve.local.scenarios import CUT, KILLED, RESTARTED, SLOW, scenarios


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
