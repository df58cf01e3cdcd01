"""LMCache's connector for Redis and Valkey whose chunks go straight between a socket and LMCache's memory.

LMCache's own connector uses redis-py, which makes a Python object of every chunk, and copies that object. This
connector receives into the memory that LMCache allocated, over several connections. It asks for all chunks of a
prompt in one round trip. A chunk is one key: what a server evicts is gone as a whole. A header says which key the
chunk belongs to, and the checksum of the chunk follows it. A chunk that does not fit them is deleted, and counts as
missing.

Loads, stores and lookups have connections of their own, so none of them waits for another. A load that LMCache no
longer waits for gives its memory back, and a store holds the memory that it sends.

The keys end in KEY_SUFFIX. So the connector reads nothing that another client of LMCache wrote, and no other client
reads what the connector wrote.

LMCache loads it by `remote_storage_plugins`; launcher.py puts it on the module path. It runs in images that others
build, with LMCache 0.4.7 and later. Its settings are keys of `extra_config`:

    direct_redis_url: `redis://host:port/database`, or `rediss://`; without credentials
    direct_redis_username, direct_redis_password: each where the server has one
    direct_redis_connections: how many for loads, and as many for stores; each has a thread
    direct_redis_connect_s, direct_redis_command_s: how long a server may be silent, in seconds
    direct_redis_ca: file of certificate authorities; without it those of the system
    direct_redis_certificate, direct_redis_key: files of the client's certificate
    direct_redis_verify: false trusts any server
"""

from __future__ import annotations

import asyncio
import hashlib
import struct
import threading
import time
import zlib
from typing import TYPE_CHECKING

from lmcache.logging import init_logger
from lmcache.v1.protocol import RemoteMetadata
from lmcache.v1.storage_backend.connector.base_connector import RemoteConnector
from redis_connections import Batch, Connection, Connections, Server, ServerError, command, pieces

try:
    from awscrt.checksums import crc32c  # LMCache needs the package for S3
except ImportError:
    crc32c = None

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from lmcache.utils import CacheEngineKey
    from lmcache.v1.config import LMCacheEngineConfig
    from lmcache.v1.memory_management import MemoryObj
    from lmcache.v1.storage_backend.local_cpu_backend import LocalCPUBackend

KEY_SUFFIX = "@direct2"
HEADER = struct.Struct(">4sB3xQ8s")
"""Magic, kind of the checksum, length of the body in bytes, and a mark of the key and of what follows.

LMCache's own description of the chunk follows (`lmcache/v1/protocol.py`, RemoteMetadata), then the body, and then the
checksum: it is computed of each piece just before the piece is sent, while the processor's cache holds it."""
CHECKSUM = struct.Struct(">I")
MAGIC = b"LKD1"
CRC32, CRC32C = 1, 2
ROOM_POLL_S = 0.02
WARNING_S = 60.0
"""From one warning of a kind to the next; the first comes at once."""

logger = init_logger(__name__)


class ChangedError(Exception):
    """A chunk in the store is not what was stored."""


def checksum_kind() -> int:
    """The fastest checksum that this image has."""
    return CRC32C if crc32c else CRC32


def checksum(kind: int, piece: bytes | memoryview, value: int = 0) -> int:
    """Continue a checksum of a kind that this image has."""
    if kind == CRC32C:
        return int(crc32c(piece, value))
    return zlib.crc32(piece, value)


def parts(kind: int, name: str, description: bytes, body: memoryview) -> Iterator[bytes | memoryview]:
    """A chunk as it is stored, piece by piece."""
    yield HEADER.pack(MAGIC, kind, len(body), mark(name, description)) + description
    value = 0
    for piece in pieces(body):
        value = checksum(kind, piece, value)
        yield piece
    yield CHECKSUM.pack(value)


def mark(name: str, description: bytes) -> bytes:
    """What ties a description to its key."""
    return hashlib.sha256(name.encode() + b"\0" + description).digest()[:8]


class DirectRedisConnector(RemoteConnector):
    """One worker's connections."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,  # noqa: ARG002 - LMCache passes it by name
        local_cpu_backend: LocalCPUBackend,
        config: LMCacheEngineConfig,
    ) -> None:
        """Connect.

        Raises:
            OSError: the server is not there, or refuses; LMCache goes on without it and tries again.
        """
        super().__init__(local_cpu_backend.config, local_cpu_backend.metadata)
        self._memory = local_cpu_backend
        settings = config.extra_config
        server, count = Server(settings), int(settings.get("direct_redis_connections", 4))
        self._lookups, self._loads, self._stores = (Connections(server, most) for most in (1, count, count))
        self._warned: dict[str, float] = {}
        self._lock = threading.Lock()
        try:
            self._lookups.submit(lambda connection: connection.ask(b"PING")).result()
        except BaseException:
            self._close()
            raise
        logger.info("Chunks go straight to %s", settings["direct_redis_url"])

    def batched_contains(self, keys: Sequence[CacheEngineKey]) -> int:
        """How many chunks are there, from the first on without a gap; none while the server is away."""
        try:
            found: Sequence[int] = self._lookups.submit(lambda one: _exist(one, keys)).result()
        except OSError as error:
            self._warn("Nothing is found: %s", error)
            return 0
        return found.index(0) if 0 in found else len(found)

    def support_batched_contains(self) -> bool:
        """Whether LMCache may ask for all chunks of a prompt at once."""
        return True

    def exists_sync(self, key: CacheEngineKey) -> bool:
        """Whether the chunk is there; not, while the server is away."""
        return self.batched_contains([key]) == 1

    async def exists(self, key: CacheEngineKey) -> bool:
        """Do the same, and let the connector's other work go on meanwhile."""
        return await asyncio.to_thread(self.exists_sync, key)

    async def batched_async_contains(self, lookup_id: str, keys: Sequence[CacheEngineKey], pin: bool = False) -> int:  # noqa: ARG002, FBT001, FBT002 - LMCache passes these two by position, and its own connectors ignore them too
        """How many chunks are there, from the first on without a gap."""
        return await asyncio.to_thread(self.batched_contains, keys)

    def support_batched_get(self) -> bool:
        """Whether LMCache may ask for several chunks at once."""
        return True

    async def batched_get(self, keys: Sequence[CacheEngineKey]) -> list[MemoryObj | None]:
        """Load chunks over all connections; None in the place of one that is missing or was changed."""
        batch = Batch(len(keys))
        names = [_name(key) for key in keys]

        def load(places: Sequence[int]) -> Callable[[Connection], None]:
            return lambda connection: self._load(connection, names, places, batch)

        try:
            await self._on_all(self._loads, len(keys), load, "Chunks could not be loaded: %s")
        except BaseException:
            batch.give_up()
            raise
        return batch.chunks

    async def batched_get_non_blocking(self, lookup_id: str, keys: Sequence[CacheEngineKey]) -> list[MemoryObj]:  # noqa: ARG002 - LMCache passes the id of the lookup, and a load needs the keys alone
        """Load the chunks before the first that is missing."""
        chunks = await self.batched_get(keys)
        end = chunks.index(None) if None in chunks else len(chunks)
        for chunk in chunks[end:]:
            if chunk is not None:
                chunk.ref_count_down()
        return [chunk for chunk in chunks[:end] if chunk is not None]

    async def get(self, key: CacheEngineKey) -> MemoryObj | None:
        """Load a chunk; None where it is missing or was changed."""
        return (await self.batched_get([key]))[0]

    def support_batched_put(self) -> bool:
        """Whether LMCache may store several chunks at once."""
        return True

    async def batched_put(self, keys: Sequence[CacheEngineKey], memory_objs: Sequence[MemoryObj]) -> None:
        """Store chunks over all connections; those that could not be stored are missing later."""
        chunks = [(_name(key), chunk) for key, chunk in zip(keys, memory_objs, strict=True)]
        for _, chunk in chunks:
            # LMCache lets go of a chunk when it gives up waiting, while its bytes are still sent from here.
            chunk.ref_count_up()

        def store(places: Sequence[int]) -> Callable[[Connection], None]:
            return lambda connection: _store(connection, [chunks[place] for place in places])

        def stored(places: Sequence[int]) -> None:
            for place in places:
                chunks[place][1].ref_count_down()

        await self._on_all(self._stores, len(chunks), store, "Chunks could not be stored: %s", done=stored)

    async def put(self, key: CacheEngineKey, memory_obj: MemoryObj) -> None:
        """Store a chunk."""
        await self.batched_put([key], [memory_obj])

    async def list(self) -> list[str]:
        """LMCache asks for no list."""
        raise NotImplementedError

    def support_ping(self) -> bool:
        """Whether LMCache's health monitor may ask."""
        return True

    async def ping(self) -> int:
        """0 while the server answers."""
        try:
            await asyncio.wrap_future(self._lookups.submit(lambda connection: connection.ask(b"PING")))
        except OSError:
            return 1
        return 0

    async def close(self) -> None:
        """End the connections."""
        await asyncio.to_thread(self._close)

    def _close(self) -> None:
        for connections in (self._lookups, self._loads, self._stores):
            connections.close()

    async def _on_all(
        self,
        connections: Connections,
        count: int,
        work: Callable[[Sequence[int]], Callable[[Connection], None]],
        failed: str,
        done: Callable[[Sequence[int]], None] = lambda _: None,
    ) -> None:
        """Spread chunks over connections; a part that fails leaves its chunks, and a line in the log.

        `done` is told of each part when its thread has ended, also where nobody waits for the part any more.
        """
        shares = [range(first, count, connections.count) for first in range(min(count, connections.count))]
        futures = [connections.submit(work(share)) for share in shares]
        for future, share in zip(futures, shares, strict=True):
            future.add_done_callback(lambda _, share=share: done(share))
        for result in await asyncio.gather(*map(asyncio.wrap_future, futures), return_exceptions=True):
            if isinstance(result, OSError):
                self._warn(failed, result)
            elif isinstance(result, BaseException):
                raise result

    def _load(self, connection: Connection, names: Sequence[str], places: Sequence[int], batch: Batch) -> None:
        """Load one chunk after the other: a full server evicts chunks to make room for answers that wait."""
        changed: list[bytes] = []
        for place in places:
            if batch.chunks[place] is not None:
                continue
            name = names[place].encode()
            connection.send(command(b"GET", name))
            if (length := connection.bulk_length()) is None:
                continue
            try:
                chunk = self._receive(connection, names[place], length, batch)
            except ChangedError as error:
                self._warn("A chunk was changed in the store and is not used: %s", error)
                changed.append(name)
            else:
                if chunk is not None:
                    batch.put(place, chunk)
            connection.skip(2)  # the end of the line
        if changed:
            connection.ask(b"UNLINK", *changed)

    def _receive(self, connection: Connection, name: str, length: int, batch: Batch) -> MemoryObj | None:
        """The chunk of a bulk, or None where LMCache cannot take it. The bulk is received in any case.

        Raises:
            ChangedError: its bytes are not those that were stored under this name.
        """
        first = HEADER.size + self.remote_metadata_bytes
        body = length - first - CHECKSUM.size
        if body <= 0:
            connection.skip(length)
            raise ChangedError(f"{name} is too short")
        start = memoryview(bytearray(first))
        connection.receive(start)
        magic, kind, size, tied = HEADER.unpack(start[: HEADER.size])
        description = bytes(start[HEADER.size :])
        if (magic, size, tied) != (MAGIC, body, mark(name, description)) or kind not in {CRC32, CRC32C}:
            connection.skip(body + CHECKSUM.size)
            raise ChangedError(f"the header of {name} does not fit")
        chunk = self._room(kind, description, batch)
        if chunk is None:
            connection.skip(body + CHECKSUM.size)
            return None
        value = 0

        def check(part: memoryview) -> None:
            nonlocal value
            value = checksum(kind, part, value)

        try:
            connection.receive(_bytes(chunk)[:body], check)
            expected = memoryview(bytearray(CHECKSUM.size))
            connection.receive(expected)
        except BaseException:
            chunk.ref_count_down()
            raise
        if CHECKSUM.pack(value) != expected:
            chunk.ref_count_down()
            raise ChangedError(f"the checksum of {name} is another")
        return chunk

    def _room(self, kind: int, description: bytes, batch: Batch) -> MemoryObj | None:
        """Memory for a chunk, or None. LMCache's own wait for memory has no end."""
        if kind == CRC32C and crc32c is None:
            self._warn("Chunks of another image are not loaded: this one cannot compute their checksum (%s)", "CRC-32C")
            return None
        try:
            described = RemoteMetadata.deserialize(description)
        except Exception as error:  # noqa: BLE001 - whatever another release of LMCache wrote, it is no chunk of this one
            self._warn("Chunks that another LMCache described are not loaded: %r", error)
            return None
        while True:
            chunk = self._memory.allocate(described.shapes, described.dtypes, described.fmt, busy_loop=False)
            if chunk is not None:
                return chunk
            if not batch.waits():
                batch.has_no_room()
                self._warn("Chunks are not loaded, because LMCache has no room for them: %s", described.shapes)
                return None
            time.sleep(ROOM_POLL_S)

    def _warn(self, text: str, about: object) -> None:
        """Say something once in a while."""
        now = time.monotonic()
        with self._lock:
            if now < self._warned.get(text, 0.0):
                return
            self._warned[text] = now + WARNING_S
        logger.warning(text, about)


def _name(key: CacheEngineKey) -> str:
    return key.to_string() + KEY_SUFFIX


def _bytes(chunk: MemoryObj) -> memoryview:
    return memoryview(chunk.byte_array).cast("B")


def _exist(connection: Connection, keys: Sequence[CacheEngineKey]) -> list[int]:
    connection.send(b"".join(command(b"EXISTS", _name(key).encode()) for key in keys))
    return [int(connection.answer() or 0) for _ in keys]


def _store(connection: Connection, chunks: Sequence[tuple[str, MemoryObj]]) -> None:
    """Store chunks.

    Raises:
        ServerError: the server has no room, or may not be written to; the others are stored.
    """
    kind = checksum_kind()
    for name, chunk in chunks:
        body = _bytes(chunk)
        description = RemoteMetadata(
            len(body), chunk.get_shapes(), chunk.get_dtypes(), chunk.get_memory_format()
        ).serialize()
        key = name.encode()
        length = HEADER.size + len(description) + len(body) + CHECKSUM.size
        connection.send(b"*3\r\n$3\r\nSET\r\n$%d\r\n%b\r\n$%d\r\n" % (len(key), key, length))
        for part in parts(kind, name, description, body):
            connection.send(part)
        connection.send(b"\r\n")
    refused = []
    for _ in chunks:
        try:
            connection.answer()
        except ServerError as error:
            refused.append(error)
    if refused:
        raise refused[0]
