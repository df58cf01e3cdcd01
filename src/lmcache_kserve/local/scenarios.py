"""How this machine breaks a remote backend: the faults of `lmcache-kserve faults` and of `lmcache-kserve soak`."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from lmcache_kserve.local.backend import LocalBackend
from lmcache_kserve.local.link import Link

DOWN = "down at start"
SLOW = "slow 500 ms"
CUT = "network cut"
FULL = "full"
RESTARTED = "restarted empty"
KILLED = "killed"
SERVER_KILLED = "LMCache server killed"
CORRUPTED = "corrupted"
_SLOW_S = 0.5
_OF_A_SERVER = (DOWN, SLOW, CUT, RESTARTED, KILLED)
_NO_WAY_IN = {
    "lmcache-server": "the server keeps chunks in its own memory, and its protocol has no command that lists them",
    "mooncake": "the stores keep chunks in their own memory, and only Mooncake's client finds them there",
}
"""Backends whose chunks nobody reaches from outside, and why."""


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


def faults_of(mode: str) -> tuple[str, ...]:
    """Every fault of a mode, in the order in which they happen.

    A client may not recover when its backend was killed, and a wrong chunk may live on in a replica's memory. So these
    two come last.
    """
    server = (SERVER_KILLED,) if mode == "multiprocess" else ()
    return (DOWN, SLOW, CUT, FULL, RESTARTED, *server, KILLED, CORRUPTED)


def impossible(backend: str, fault: str) -> str | None:
    """Why a type of backend cannot be given a fault on any machine; None where it can."""
    if backend == "filesystem" and fault in _OF_A_SERVER:
        return "a folder has no server and no network that could fail"
    if fault == CORRUPTED:
        return _NO_WAY_IN.get(backend)
    return None


def nothing() -> None:
    """Nothing begins, or nothing has to be ended."""
