"""The seam between what runs (local processes, a cluster) and everything that measures it.

An experiment talks to a `Target` and nothing else: the same code proves a laptop and a GPU cluster.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

LOOPBACK = "127.0.0.1"
"""Where a target's servers answer on this machine: its own processes, or forwarded ports of a cluster's pods."""


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line of a container's log; `time` is when the container wrote it, timezone-aware."""

    time: datetime
    text: str


@dataclass(frozen=True, slots=True)
class Contents:
    """What a remote backend holds.

    Attributes:
        entries: stored objects (Redis keys, files); None where the backend cannot count them (`lmcache-server`).
        size_bytes: bytes that the objects use.
        entries_per_chunk: stored objects for one chunk of one worker (redis:// writes two: kv_bytes and metadata).
    """

    entries: int | None
    size_bytes: int
    entries_per_chunk: int


class Replica(Protocol):
    """One predictor pod: a vLLM server with its own KV cache."""

    @property
    def name(self) -> str:
        """Unique within the target, for people: `predictor-0`."""

    @property
    def openai_url(self) -> str:
        """Base of the OpenAI routes, without a trailing slash: `http://127.0.0.1:8080/v1`."""

    @property
    def cache_server(self) -> str | None:
        """The name of its LMCache server in mode multiprocess, else None; replicas of one server share its memory."""

    @property
    def arguments(self) -> Sequence[str]:
        """The server's command line as started."""

    @property
    def environment(self) -> Mapping[str, str]:
        """The container's environment as started, references resolved."""

    def metrics(self) -> str:
        """The server's `/metrics` page in the Prometheus text format."""

    def logs(self, *, since: datetime | None = None) -> list[LogLine]:
        """The server's log and its LMCache server's, across restarts, oldest line first; only those from `since` on."""


class Interruptible(Protocol):
    """A part of the cache that can be stopped for a while."""

    @property
    def type(self) -> str:
        """What it is, for people: the value of `remoteBackend.type`, or `lmcache server`."""

    @property
    def client_reconnects(self) -> bool:
        """Whether its clients find it again after a restart (redis:// does, lm:// does not)."""

    def stop(self) -> None:
        """Stop it as a failure would. Its memory is lost."""

    def start(self) -> None:
        """Start it again, unless it starts by itself, and return when it is ready."""


class CacheServer:
    """What is true of an LMCache server of mode multiprocess wherever it runs."""

    __slots__ = ()

    @property
    def type(self) -> str:
        """`lmcache server`."""
        return "lmcache server"

    @property
    def client_reconnects(self) -> bool:
        """Its engines register with a new one."""
        return True


class Backend(Interruptible, Protocol):
    """The remote cache backend of a release, where the target can reach into it."""

    @property
    def controllable(self) -> bool:
        """Whether the release runs it, so that it can be stopped."""

    def contents(self) -> Contents:
        """What the backend holds now."""


class Target(Protocol):
    """A running release."""

    @property
    def kind(self) -> str:
        """`local` or `cluster`."""

    @property
    def model_name(self) -> str:
        """The served model name that requests carry."""

    @property
    def mode(self) -> str:
        """The value of `lmcache.mode`."""

    @property
    def chunk_size(self) -> int:
        """LMCache's `chunk_size`, in tokens, as the replicas were configured."""

    @property
    def replicas(self) -> Sequence[Replica]:
        """The predictor's replicas, in a stable order."""

    @property
    def backend(self) -> Backend | None:
        """The remote backend, or None for `remoteBackend.type: none`."""

    @property
    def cache_server(self) -> Interruptible | None:
        """The LMCache server of the last replica in mode multiprocess, else None."""

    @property
    def backend_type(self) -> str:
        """The value of `remoteBackend.type`."""

    @property
    def versions(self) -> Mapping[str, str]:
        """Versions of what runs: chart, helm, vllm, lmcache, the backend's server."""

    @property
    def secrets(self) -> Sequence[str]:
        """Values that must never appear in a log."""

    def restart_replica(self, index: int) -> None:
        """Replace replica `index` by a new one (new process or pod, empty memory); return when it is ready."""

    def kill_replica(self, index: int) -> None:
        """End replica `index` at once, without notice, as SIGKILL does; return when it is dead.

        The caller brings it back with `restart_replica`.
        """
