"""What the harness knows about each remote backend: how to look into it and what its LMCache client can do."""

from dataclasses import dataclass
from urllib.parse import urlsplit

import redis

from lmcache_kserve.errors import HarnessError
from lmcache_kserve.target import Contents

_TIMEOUT_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class BackendTraits:
    """How a type of remote backend behaves in LMCache 0.5.6.

    Attributes:
        client_reconnects: LMCache finds the backend again after a restart.
        entries_per_chunk: stored objects for one chunk of one worker.
        lists_entries: whether the backend can say how many objects it holds.
    """

    client_reconnects: bool
    entries_per_chunk: int
    lists_entries: bool


TRAITS = {
    # redis:// stores kv_bytes and metadata apart; redis-py reconnects with the next command.
    "redis": BackendTraits(client_reconnects=True, entries_per_chunk=2, lists_entries=True),
    "valkey": BackendTraits(client_reconnects=True, entries_per_chunk=2, lists_entries=True),
    # lm:// keeps one socket for ever, and its protocol has no command that lists.
    "lmcache-server": BackendTraits(client_reconnects=False, entries_per_chunk=1, lists_entries=False),
}


MULTIPROCESS_TRAITS = {
    # The RESP adapter stores one object; the chart's mp_server.py attaches a backend anew that was restarted.
    "redis": BackendTraits(client_reconnects=True, entries_per_chunk=1, lists_entries=True),
    "valkey": BackendTraits(client_reconnects=True, entries_per_chunk=1, lists_entries=True),
}


def traits(backend_type: str, mode: str = "in-process") -> BackendTraits:
    """The traits of a backend type in an `lmcache.mode`.

    Raises:
        HarnessError: the harness cannot verify this type.
    """
    known = MULTIPROCESS_TRAITS if mode == "multiprocess" else TRAITS
    if backend_type not in known:
        raise HarnessError(
            f"remoteBackend.type={backend_type} cannot be verified with lmcache.mode={mode}; the harness knows none, "
            f"{', '.join(sorted(known))}"
        )
    return known[backend_type]


def redis_contents(url: str, *, username: str | None, password: str | None, entries_per_chunk: int = 2) -> Contents:
    """Count the keys and bytes of a Redis or Valkey server.

    Args:
        url: `redis://host:port/database` or `rediss://`, without credentials.
        username: user to log in as, or None for the default one.
        password: its password, or None for a server without one.
        entries_per_chunk: what one chunk of one worker adds.

    Raises:
        HarnessError: the server cannot be reached or refuses the credentials.
    """
    address = urlsplit(url)
    client = redis.Redis.from_url(
        f"{address.scheme}://{address.netloc}{address.path}",
        username=username,
        password=password,
        socket_timeout=_TIMEOUT_SECONDS,
        socket_connect_timeout=_TIMEOUT_SECONDS,
    )
    try:
        with client:
            entries = client.dbsize()
            memory = client.info("memory")
    except redis.RedisError as error:
        raise HarnessError(f"cannot read the backend at {address.netloc}: {error}") from error
    return Contents(
        entries=int(entries),
        size_bytes=int(memory["used_memory_dataset"]),
        entries_per_chunk=entries_per_chunk,
    )
