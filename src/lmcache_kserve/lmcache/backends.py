"""What the harness knows about each remote backend: how to look into it and what its LMCache client can do."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto
from pathlib import Path
from urllib.parse import urlsplit

import redis

from lmcache_kserve.errors import HarnessError
from lmcache_kserve.lmcache.count import bucket, folder, resp
from lmcache_kserve.lmcache.metrics import counter, fetch
from lmcache_kserve.target import Contents


class Source(Enum):
    """What says how much a backend holds."""

    REDIS = auto()
    """The server's own count of keys and bytes."""
    FILES = auto()
    """The files in the folder that the replicas share."""
    BUCKET = auto()
    """The list of the bucket's objects."""
    MOONCAKE = auto()
    """The metrics of Mooncake's master."""
    MEMORY = auto()
    """The memory of the server's process: the server has no command that counts."""
    NOTHING = auto()
    """The harness knows no way to count."""


@dataclass(frozen=True, slots=True)
class BackendTraits:
    """How a type of remote backend behaves in LMCache 0.5.6.

    Attributes:
        client_reconnects: LMCache finds the backend again after a restart.
        source: what says how many objects it holds.
        entrance: label `lmcache-kserve/part` of the pods that clients connect to; empty where clients connect to any.
    """

    client_reconnects: bool
    source: Source
    entrance: str = ""


TRAITS = {
    # redis:// stores kv_bytes and metadata apart; redis-py reconnects with the next command.
    "redis": BackendTraits(client_reconnects=True, source=Source.REDIS),
    "valkey": BackendTraits(client_reconnects=True, source=Source.REDIS),
    # Clients know the proxy alone, which leads to the master of the moment.
    "redis-sentinel": BackendTraits(client_reconnects=True, source=Source.REDIS, entrance="proxy"),
    # lm:// keeps one socket for ever, and its protocol has no command that lists.
    "lmcache-server": BackendTraits(client_reconnects=False, source=Source.MEMORY),
    # A file for each chunk; there is no connection to lose.
    "filesystem": BackendTraits(client_reconnects=True, source=Source.FILES),
    # InfiniStore needs RDMA, so this project does not run it. Its metrics are its own, and it takes all memory at once.
    "infinistore": BackendTraits(client_reconnects=False, source=Source.NOTHING),
    # Any backend that LMCache knows.
    "custom": BackendTraits(client_reconnects=False, source=Source.NOTHING),
    # An object for each chunk. A client that failed three times in a row does not try again.
    "s3": BackendTraits(client_reconnects=False, source=Source.BUCKET),
    # An object for each chunk; clients and stores join a new master by themselves.
    "mooncake": BackendTraits(client_reconnects=True, source=Source.MOONCAKE),
}

MULTIPROCESS = frozenset({"redis", "valkey", "redis-sentinel", "filesystem", "s3"})
"""Backends that LMCache's server has an adapter for; the chart's mp_server.py attaches a restarted Redis anew."""


def traits(backend_type: str, mode: str = "in-process") -> BackendTraits:
    """The traits of a backend type in an `lmcache.mode`.

    Raises:
        HarnessError: the harness cannot verify this type.
    """
    known = TRAITS.keys() & MULTIPROCESS if mode == "multiprocess" else TRAITS.keys()
    if backend_type not in known:
        raise HarnessError(
            f"remoteBackend.type={backend_type} cannot be verified with lmcache.mode={mode}; the harness knows none, "
            f"{', '.join(sorted(known))}"
        )
    return TRAITS[backend_type]


class TypedBackend:
    """What is true of a backend of some type wherever it runs.

    Attributes:
        type: the value of `remoteBackend.type`.
        mode: the value of `lmcache.mode`.
    """

    __slots__ = ()
    type: str
    mode: str

    @property
    def traits(self) -> BackendTraits:
        """How this type behaves."""
        return traits(self.type, self.mode)

    @property
    def client_reconnects(self) -> bool:
        """Whether LMCache's client finds the backend again after a restart."""
        return self.traits.client_reconnects

    def silent(self, which: str = "a") -> HarnessError:
        """The error for a backend that does not say what it holds; `which` is `a` or `an external`."""
        return HarnessError(f"{which} backend of type {self.type} has no way to say what it holds")

    @staticmethod
    def external() -> HarnessError:
        """The error for a backend that the release does not run."""
        return HarnessError("the release does not run the backend: an external one cannot be stopped from here")


def file_contents(path: Path) -> Contents:
    """Count the chunks in a folder that the replicas share.

    Raises:
        HarnessError: there is no such folder.
    """
    try:
        entries, size = folder.count(path)
    except OSError as error:
        raise HarnessError(f"{error}: did any replica start with remoteBackend.type=filesystem?") from error
    return Contents(entries=entries, size_bytes=size, entries_per_chunk=1)


def bucket_contents(url: str, region: str, environment: Mapping[str, str]) -> Contents:
    """List a bucket.

    Args:
        url: `https://bucket.host[:port]`.
        region: its region.
        environment: holds the credentials.

    Raises:
        HarnessError: it cannot be listed.
    """
    try:
        entries, size = bucket.count(url, region, environment)
    except OSError as error:
        raise HarnessError(f"cannot list the bucket at {url}: {error}") from error
    return Contents(entries=entries, size_bytes=size, entries_per_chunk=1)


def redis_contents(url: str, login: Mapping[str, str], *, entries_per_chunk: int = 2) -> Contents:
    """Count the keys and bytes of a Redis or Valkey server.

    Args:
        url: `redis://host:port/database` or `rediss://`, without credentials.
        login: `username` and `password`, each where the server has one.
        entries_per_chunk: keys that one chunk of one worker adds.

    Raises:
        HarnessError: the server cannot be reached or refuses the credentials.
    """
    try:
        entries, size = resp.count(url, login)
    except redis.RedisError as error:
        raise HarnessError(f"cannot read the backend at {urlsplit(url).netloc}: {error}") from error
    return Contents(entries=entries, size_bytes=size, entries_per_chunk=entries_per_chunk)


def mooncake_contents(metrics_url: str) -> Contents:
    """Read the objects and bytes that a Mooncake master knows of.

    Raises:
        HarnessError: the page cannot be read, or lacks the numbers.
    """
    page = fetch(metrics_url, of="Mooncake's master")
    numbers = {}
    for name in ("master_key_count", "master_allocated_bytes"):
        value = counter(page, name)
        if value is None:
            raise HarnessError(f"{metrics_url} has no {name}: is it Mooncake's master?")
        numbers[name] = int(value)
    entries, size = numbers.values()
    return Contents(entries=entries, size_bytes=size, entries_per_chunk=1)
