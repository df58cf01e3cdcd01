"""LMCache's client for Redis and Valkey in mode multiprocess, with the connections and the chunks of direct_redis.py.

LMCache's server loads it as an adapter of type `native_plugin`. It submits batches of keys with memory, learns from a
file descriptor that some are done, and collects them. LMCache's own client has neither TLS nor databases. It waits for
ever for a Redis that falls silent, and stores nothing more after Redis has refused one store.

- A chunk is one key with the header and the checksum of direct_redis.py. The server allocates the memory before it
  loads, so no description of the chunk is stored. A chunk that was changed is deleted, and counts as missing.
- While Redis is away, every batch ends at once with nothing, and a thread looks for it. A batch that was under way
  waits no longer than the timeouts. Its memory is left alone from the moment on that it counts as done.
- The keys end in KEY_SUFFIX. So neither this client nor direct_redis.py nor LMCache's own reads what another one wrote.

Its settings are those of direct_redis.py without the credentials. These are in LMCACHE_RESP_USERNAME and
LMCACHE_RESP_PASSWORD, because LMCache writes the settings of an adapter into its log.

Source of the interface: LMCache 0.5.0 to 0.5.6, native_plugin_l2_adapter.py and native_connector_l2_adapter.py of
`lmcache/v1/distributed/l2_adapters/`.
"""

from __future__ import annotations

import itertools
import os
import threading
import time
from contextlib import closing, suppress
from typing import TYPE_CHECKING, Any

from direct_redis import (
    CHECKSUM,
    CRC32,
    CRC32C,
    HEADER,
    MAGIC,
    WARNING_S,
    ChangedError,
    checksum,
    checksum_kind,
    mark,
    parts,
)
from lmcache.logging import init_logger
from redis_connections import AWAY_S, Connection, Connections, Server, ServerError, command

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from concurrent.futures import Future

    Work = Callable[[Connection, Sequence[int], list[bool]], None]
    """Does a part of a batch, given by places, and says of each place whether it was found, loaded or stored."""

KEY_SUFFIX = "@direct-mp1"
NO_DESCRIPTION = b""

logger = init_logger(__name__)


class AwayError(ConnectionError):
    """Redis is known to be away; the log has said so."""


class Watched(Server):
    """Where Redis is, and whether it is away. Then nobody waits for it but one thread, which looks for it."""

    def __init__(self, settings: Mapping[str, Any]) -> None:
        """Look for Redis once, no longer than the timeouts."""
        super().__init__(settings)
        self._where = settings["direct_redis_url"]
        self._away, self._looked, self._closed = (threading.Event() for _ in range(3))
        self._away.set()
        threading.Thread(target=self._watch, name="direct-redis-watch", daemon=True).start()
        self._looked.wait()

    def expect(self) -> None:
        """Go on unless Redis is away.

        Raises:
            AwayError: it is.
        """
        if self._away.is_set():
            raise AwayError("the server is away")

    def is_away(self) -> None:
        """Let nobody wait for it until it answers again."""
        self._away.set()

    def close(self) -> None:
        """Look for it no more."""
        self._closed.set()
        self._away.set()

    def _watch(self) -> None:
        said = None
        while self._away.wait() and not self._closed.is_set():
            try:
                with closing(self.connect()) as connection:
                    connection.ask(b"PING")
            except Exception as error:  # noqa: BLE001 - whatever stands there, it is no server to wait for
                if said is not False:
                    logger.warning("%s is away, so nothing is found or stored there: %s", self._where, error)
                said = False
            else:
                self._away.clear()
                if said is not True:
                    logger.info("Chunks go straight to %s", self._where)
                said = True
            self._looked.set()
            if self._away.is_set():
                self._closed.wait(AWAY_S)


class DirectClient:
    """The connections of LMCache's server."""

    def __init__(self, **settings: Any) -> None:  # noqa: ANN401 - LMCache passes whatever JSON values adapter_params has
        """Connect; a Redis that is not there is looked for later."""
        for name in ("username", "password"):
            settings[f"direct_redis_{name}"] = os.environ.get(f"LMCACHE_RESP_{name.upper()}", "")
        count = int(settings.get("direct_redis_connections", 4))
        self._server = Watched(settings)
        self._lookups, self._loads, self._stores = (Connections(self._server, most) for most in (1, count, count))
        self._numbers = itertools.count()
        self._done: list[tuple[int, bool, str, list[bool]]] = []
        self._warned: dict[str, float] = {}
        self._lock = threading.Lock()
        self._event = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)

    def event_fd(self) -> int:
        """What becomes readable when a batch is done."""
        return self._event

    def submit_batch_exists(self, keys: Sequence[str]) -> int:
        """Look which chunks are there."""
        return self._submit(self._lookups, len(keys), _each(b"EXISTS", _names(keys)), "Nothing is found: %s")

    def submit_batch_delete(self, keys: Sequence[str]) -> int:
        """Delete chunks."""
        return self._submit(self._lookups, len(keys), _each(b"UNLINK", _names(keys)), "Chunks could not be deleted: %s")

    def submit_batch_get(self, keys: Sequence[str], views: Sequence[memoryview]) -> int:
        """Load chunks into memory. The memory of a chunk that is missing or was changed has anything in it."""
        names = _names(keys)

        def load(connection: Connection, places: Sequence[int], found: list[bool]) -> None:
            self._load(connection, names, views, places, found)

        return self._submit(self._loads, len(names), load, "Chunks could not be loaded: %s")

    def submit_batch_set(self, keys: Sequence[str], views: Sequence[memoryview]) -> int:
        """Store chunks."""
        names = _names(keys)

        def store(connection: Connection, places: Sequence[int], stored: list[bool]) -> None:
            _store(connection, names, views, places, stored)

        return self._submit(self._stores, len(names), store, "Chunks could not be stored: %s")

    def drain_completions(self) -> list[tuple[int, bool, str, list[bool]]]:
        """Collect what is done: the number of a batch, whether all went well, what did not, and each key's result."""
        with suppress(BlockingIOError):
            os.eventfd_read(self._event)
        with self._lock:
            done, self._done = self._done, []
        return done

    def close(self) -> None:
        """End the connections, when no batch is under way any more."""
        self._server.close()
        for connections in (self._lookups, self._loads, self._stores):
            connections.close()
        os.close(self._event)

    def _submit(self, connections: Connections, count: int, work: Work, failed: str) -> int:
        """Spread a batch over connections. It is done when the last of their threads is."""
        number = next(self._numbers)
        found = [False] * count
        errors: list[BaseException] = []
        shares = [range(first, count, connections.count) for first in range(min(count, connections.count))]
        left = len(shares)

        def ended(share: Future[None]) -> None:
            nonlocal left
            error = share.exception()
            if error is not None and not isinstance(error, AwayError):
                self._warn(failed, error)
            with self._lock:
                left -= 1
                errors.extend([error] if error else [])
                if left:
                    return
            self._end(number, found, errors)

        for share in shares:
            connections.submit(lambda connection, share=share: work(connection, share, found)).add_done_callback(ended)
        if not shares:
            self._end(number, found, errors)
        return number

    def _end(self, number: int, found: list[bool], errors: Sequence[BaseException]) -> None:
        with self._lock:
            self._done.append((number, not errors, str(errors[0]) if errors else "", found))
        os.eventfd_write(self._event, 1)

    def _load(
        self,
        connection: Connection,
        names: Sequence[str],
        views: Sequence[memoryview],
        places: Sequence[int],
        found: list[bool],
    ) -> None:
        """Load one chunk after the other: a full server evicts chunks to make room for answers that wait."""
        changed: list[bytes] = []
        for place in places:
            if found[place]:
                continue  # before an old connection turned out to be lost
            name = names[place].encode()
            connection.send(command(b"GET", name))
            if (length := connection.bulk_length()) is None:
                continue
            try:
                found[place] = self._receive(connection, names[place], length, _bytes(views[place]))
            except ChangedError as error:
                self._warn("A chunk was changed in the store and is not used: %s", error)
                changed.append(name)
            connection.skip(2)  # the end of the line
        if changed:
            connection.ask(b"UNLINK", *changed)

    def _receive(self, connection: Connection, name: str, length: int, view: memoryview) -> bool:
        """Receive the chunk of a bulk into memory, and say whether it fits there. The bulk is received in any case.

        Raises:
            ChangedError: its bytes are not those that were stored under this name.
        """
        body = length - HEADER.size - CHECKSUM.size
        if body <= 0:
            connection.skip(length)
            raise ChangedError(f"{name} is too short")
        header = memoryview(bytearray(HEADER.size))
        connection.receive(header)
        magic, kind, size, tied = HEADER.unpack(header)
        if (magic, size, tied) != (MAGIC, body, mark(name, NO_DESCRIPTION)) or kind not in {CRC32, CRC32C}:
            connection.skip(body + CHECKSUM.size)
            raise ChangedError(f"the header of {name} does not fit")
        if kind == CRC32C and checksum_kind() != CRC32C:
            self._warn("Chunks of another image are not loaded: this one cannot compute their checksum (%s)", "CRC-32C")
        elif size != len(view):
            self._warn("Chunks of another size are not loaded: %s", f"{size} bytes instead of {len(view)}")
        else:
            value = 0

            def check(part: memoryview) -> None:
                nonlocal value
                value = checksum(kind, part, value)

            connection.receive(view, check)
            expected = memoryview(bytearray(CHECKSUM.size))
            connection.receive(expected)
            if CHECKSUM.pack(value) != expected:
                raise ChangedError(f"the checksum of {name} is another")
            return True
        connection.skip(body + CHECKSUM.size)
        return False

    def _warn(self, text: str, about: object) -> None:
        """Say something once in a while."""
        now = time.monotonic()
        with self._lock:
            if now < self._warned.get(text, 0.0):
                return
            self._warned[text] = now + WARNING_S
        logger.warning(text, about)


def _names(keys: Sequence[str]) -> list[str]:
    return [key + KEY_SUFFIX for key in keys]


def _bytes(view: memoryview) -> memoryview:
    return memoryview(view).cast("B")


def _each(word: bytes, names: Sequence[str]) -> Work:
    """Give a command for each key, all in one round trip, and say of which keys the server knew."""

    def ask(connection: Connection, places: Sequence[int], known: list[bool]) -> None:
        connection.send(b"".join(command(word, names[place].encode()) for place in places))
        for place in places:
            known[place] = bool(connection.answer())

    return ask


def _store(
    connection: Connection,
    names: Sequence[str],
    views: Sequence[memoryview],
    places: Sequence[int],
    stored: list[bool],
) -> None:
    """Store chunks.

    Raises:
        ServerError: the server has no room, or may not be written to; the others are stored.
    """
    kind = checksum_kind()
    for place in places:
        name, body = names[place], _bytes(views[place])
        key = name.encode()
        length = HEADER.size + len(body) + CHECKSUM.size
        connection.send(b"*3\r\n$3\r\nSET\r\n$%d\r\n%b\r\n$%d\r\n" % (len(key), key, length))
        for part in parts(kind, name, NO_DESCRIPTION, body):
            connection.send(part)
        connection.send(b"\r\n")
    refused = []
    for place in places:
        try:
            connection.answer()
            stored[place] = True
        except ServerError as error:
            refused.append(error)
    if refused:
        raise refused[0]
