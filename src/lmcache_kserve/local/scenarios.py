"""How this machine breaks a remote backend: the faults of `lmcache-kserve faults` and of `lmcache-kserve soak`."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from lmcache_kserve.local.backend import LocalBackend
from lmcache_kserve.local.link import Link

SLOW = "slow 500 ms"
CUT = "network cut"
RESTARTED = "restarted empty"
KILLED = "killed"
_SLOW_S = 0.5


@dataclass(frozen=True, slots=True)
class Scenario:
    """How to make a fault of the backend.

    Attributes:
        begin: makes it happen; returns when it has.
        end: ends it; returns when the backend can be used again.
        breaks: whether connections of the replicas end.
    """

    begin: Callable[[], None]
    end: Callable[[], None]
    breaks: bool


def scenarios(backend: LocalBackend, links: Sequence[Link]) -> Mapping[str, Scenario]:
    """The faults that a running backend of the release can be given, by their names.

    Args:
        backend: the backend, which the release runs.
        links: the network between the replicas and the backend.
    """

    def slow(seconds: float) -> None:
        for link in links:
            link.slow(seconds)

    def cut() -> None:
        for link in links:
            link.cut()

    def mend() -> None:
        for link in links:
            link.mend()

    def restart() -> None:
        backend.stop()
        backend.start()

    return {
        SLOW: Scenario(lambda: slow(_SLOW_S), lambda: slow(0), breaks=False),
        CUT: Scenario(cut, mend, breaks=False),
        RESTARTED: Scenario(restart, nothing, breaks=True),
        KILLED: Scenario(backend.stop, backend.start, breaks=True),
    }


def nothing() -> None:
    """Nothing begins, or nothing has to be ended."""
