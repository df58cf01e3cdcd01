"""The ways in which LMCache reaches a remote backend that runs on this machine, and the choice among them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product

from lmcache_kserve.errors import HarnessError
from lmcache_kserve.lmcache.backends import MULTIPROCESS

BACKENDS = ("redis", "valkey", "redis-sentinel", "lmcache-server", "filesystem", "mooncake")
"""Values of `remoteBackend.type` that need nothing from outside this machine."""
MODES = ("in-process", "multiprocess")
_SEVERAL = frozenset({"redis", "valkey", "redis-sentinel"})
"""The backends that have more than one client."""
_CLIENTS = {"in-process": ("redis-py", "direct"), "multiprocess": ("", "direct")}
"""Values of `client` of these backends, by mode. LMCache's own client of mode multiprocess has no name of its own."""
_SECTIONS = {"redis-sentinel": "redisSentinel"}
"""The values of a backend below `remoteBackend`, where they are not named as the type."""
_ROOM = {
    "redis": ("redis.maxmemory=3Gi",),
    "valkey": ("valkey.maxmemory=3Gi",),
    "redis-sentinel": ("redisSentinel.maxmemory=3Gi",),
    "mooncake": ("mooncake.store.segmentSize=4Gi", "mooncake.localBuffer=2Gi"),
}
"""By backend type, what goes below `remoteBackend`, so that the largest cell fits."""


@dataclass(frozen=True, slots=True)
class Way:
    """How LMCache reaches a backend.

    Attributes:
        backend: the value of `remoteBackend.type`.
        mode: the value of `lmcache.mode`.
        client: the value of `client` below the backend's values; empty for the chart's default.
    """

    backend: str
    mode: str
    client: str = ""

    @property
    def settings(self) -> tuple[str, ...]:
        """The values that select it."""
        section = f"remoteBackend.{_SECTIONS.get(self.backend, self.backend)}"
        client = (f"{section}.client={self.client}",) if self.client else ()
        return (f"lmcache.mode={self.mode}", f"remoteBackend.type={self.backend}", *client)

    @property
    def room(self) -> tuple[str, ...]:
        """Values with which the largest cell fits, unless the user says otherwise."""
        return tuple(f"remoteBackend.{setting}" for setting in _ROOM.get(self.backend, ()))

    def __str__(self) -> str:
        """Its names, for the screen and for a folder."""
        return "-".join(filter(None, (self.backend, self.mode, self.client)))


def chosen(
    backends: Sequence[str], modes: Sequence[str], *, known: Sequence[str] = BACKENDS
) -> Iterator[tuple[str, str]]:
    """The pairs of backend and mode to measure; without backends, every one that is `known`.

    Raises:
        HarnessError: a name is not known, or LMCache has no client for a backend that was named in a mode.
    """
    for option, names, among in (("--backend", backends, known), ("--mode", modes, MODES)):
        if unknown := next((name for name in names if name not in among), None):
            raise HarnessError(f"{option}={unknown}: choose among {', '.join(among)}")
    pairs = [pair for pair in product(backends or known, modes) if _possible(*pair)]
    if not pairs:
        raise HarnessError(f"LMCache has no client for --backend={','.join(backends)} in --mode={','.join(modes)}")
    yield from dict.fromkeys(pairs)


def with_clients(backends: Sequence[str], modes: Sequence[str]) -> Iterator[Way]:
    """The ways to measure, each client of a backend for itself.

    Raises:
        HarnessError: as for `chosen`.
    """
    for backend, mode in chosen(backends, modes):
        yield from (Way(backend, mode, client) for client in clients_of(backend, mode))


def clients_of(backend: str, mode: str) -> tuple[str, ...]:
    """The values of `client` that a backend has in a mode; an empty one where LMCache has one client."""
    return _CLIENTS[mode] if backend in _SEVERAL else ("",)


def _possible(backend: str, mode: str) -> bool:
    return mode == "in-process" or backend in MULTIPROCESS or backend == "none"
