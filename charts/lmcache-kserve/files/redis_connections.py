"""Connections to a server that speaks Redis' protocol, and what they load at once, for direct_redis.py.

Each connection has a thread, and comes back after it was lost.

Source of the protocol: https://redis.io/docs/latest/develop/reference/protocol-spec, RESP2.
"""

from __future__ import annotations

import queue
import socket
import ssl
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from concurrent.futures import Future

    from lmcache.v1.memory_management import MemoryObj

T = TypeVar("T")
BUFFER_BYTES = 16384
PIECE_BYTES = 1 << 18
"""Bytes that are checked at once: a processor's cache still holds what it has just received."""
AWAY_S = 1.0
"""After a server did not answer, nobody waits for it again this soon."""
IDLE_S = 30.0
"""A connection that was idle for longer may have been dropped on the way, and is made anew."""
ROOM_S = 1.0
"""How long the loads of one call wait for room in LMCache's memory, which other chunks may be about to leave."""
DEFAULT_PORT = 6379


class ServerError(ConnectionError):
    """The server answered with an error, such as a wrong password or no room."""


def pieces(body: bytes | memoryview) -> Iterator[bytes | memoryview]:
    """Parts that fit into a processor's cache."""
    for start in range(0, len(body), PIECE_BYTES):
        yield body[start : start + PIECE_BYTES]


def command(*words: bytes) -> bytes:
    """A command of RESP."""
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%b\r\n" % (len(word), word) for word in words)


class Connection:
    """A socket with the few bytes that were received beyond what was asked for."""

    def __init__(self, settings: Mapping[str, Any]) -> None:
        """Connect and log in.

        Raises:
            OSError: the server is not there, or refuses.
        """
        url = urlsplit(settings["direct_redis_url"])
        timeout = float(settings.get("direct_redis_connect_s", 1.0))
        self._socket = socket.create_connection((url.hostname, url.port or DEFAULT_PORT), timeout=timeout)
        try:
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if url.scheme == "rediss":
                self._socket = _context(settings).wrap_socket(self._socket, server_hostname=url.hostname)
            self._buffer = memoryview(bytearray(BUFFER_BYTES))
            self._start = self._end = 0
            self._log_in(settings, url.path.strip("/"))
            self._socket.settimeout(float(settings.get("direct_redis_command_s", 5.0)))
            self.used = time.monotonic()
        except BaseException:
            self._socket.close()
            raise

    def _log_in(self, settings: Mapping[str, Any], database: str) -> None:
        # Files made with an editor end in a line break, and so do Secrets made of them.
        password = str(settings.get("direct_redis_password") or "").rstrip("\r\n")
        username = str(settings.get("direct_redis_username") or "")
        if password or username:
            words = [username.encode()] if username else []
            self.ask(b"AUTH", *words, password.encode())
        if database not in {"", "0"}:
            self.ask(b"SELECT", database.encode())

    def ask(self, *words: bytes) -> int | bytes | None:
        """Send a command and return its answer."""
        self.send(command(*words))
        return self.answer()

    def send(self, *parts: bytes | memoryview) -> None:
        """Send bytes as they are; a server may take its time for all of them, but not for a piece."""
        for part in parts:
            for piece in pieces(part):
                self._socket.sendall(piece)

    def answer(self) -> int | bytes | None:
        """Receive an answer that is no bulk: a line, a number, or None for nothing.

        Raises:
            ServerError: it is an error.
        """
        line = self._line()
        if line.startswith(b"-"):
            raise ServerError(line[1:].decode(errors="replace"))
        if line.startswith(b":"):
            return int(line[1:])
        return None if line in {b"$-1", b"_"} else line

    def bulk_length(self) -> int | None:
        """Receive the length of a bulk that follows; None for nothing."""
        answer = self.answer()
        if answer is None:
            return None
        if not isinstance(answer, bytes) or not answer.startswith(b"$"):
            raise ServerError(f"no bulk: {answer!r}")
        return int(answer[1:])

    def receive(self, view: memoryview, received: Callable[[memoryview], None] | None = None) -> None:
        """Fill a view; `received` sees each part as soon as it is there."""
        place = 0
        while place < len(view):
            if self._start < self._end:
                count = min(self._end - self._start, len(view) - place)
                view[place : place + count] = self._buffer[self._start : self._start + count]
                self._start += count
            else:
                count = self._more(view[place : place + PIECE_BYTES])
            if received:
                received(view[place : place + count])
            place += count

    def skip(self, count: int) -> None:
        """Receive bytes that nobody wants."""
        scratch = memoryview(bytearray(min(count, PIECE_BYTES)))
        while count:
            part = scratch[: min(count, len(scratch))]
            self.receive(part)
            count -= len(part)

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def _line(self) -> bytes:
        line = bytearray()
        while not line.endswith(b"\r\n"):
            if self._start == self._end:
                self._start, self._end = 0, self._more(self._buffer)
            found = bytes(self._buffer[self._start : self._end])
            stop = found.find(b"\n") + 1 or len(found)
            line += found[:stop]
            self._start += stop
        return bytes(line[:-2])

    def _more(self, view: memoryview) -> int:
        count = self._socket.recv_into(view)
        if not count:
            raise ConnectionError("the server closed the connection")
        return count


def _context(settings: Mapping[str, Any]) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=settings.get("direct_redis_ca"))
    if certificate := settings.get("direct_redis_certificate"):
        context.load_cert_chain(certificate, settings.get("direct_redis_key"))
    if not settings.get("direct_redis_verify", True):
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


class Server:
    """Where the server is, and until when nobody waits for it because it did not answer."""

    def __init__(self, settings: Mapping[str, Any]) -> None:
        self._settings = settings
        self._away_until = 0.0

    def connect(self) -> Connection:
        """Make a connection.

        Raises:
            OSError: the server is not there, or refuses.
        """
        try:
            return Connection(self._settings)
        except OSError:
            self.is_away()
            raise

    def expect(self) -> None:
        """Go on unless the server is away.

        Raises:
            ConnectionError: it did not answer a moment ago.
        """
        if time.monotonic() < self._away_until:
            raise ConnectionError("the server did not answer a moment ago")

    def is_away(self) -> None:
        """Let nobody wait for it for a while."""
        self._away_until = time.monotonic() + AWAY_S


class Connections:
    """Threads with a connection each, which is made anew whenever it was lost."""

    def __init__(self, server: Server, count: int) -> None:
        self._server = server
        self.count = count
        self._idle: queue.SimpleQueue[Connection] = queue.SimpleQueue()
        self._pool = ThreadPoolExecutor(count, thread_name_prefix="direct-redis")

    def submit(self, work: Callable[[Connection], T]) -> Future[T]:
        """Do work in a thread that has a connection; a second time where an old connection turned out to be lost."""
        return self._pool.submit(self._run, work)

    def _run(self, work: Callable[[Connection], T]) -> T:
        self._server.expect()
        if connection := self._idle_one():
            try:
                return self._tried(work, connection)
            except (ServerError, TimeoutError):
                raise
            except OSError:
                # A server that was replaced takes every connection along. Only a new one tells whether it is there.
                pass
        return self._tried(work, self._server.connect())

    def _idle_one(self) -> Connection | None:
        """A connection that was used a moment ago, or None."""
        with suppress(queue.Empty):
            while True:
                connection = self._idle.get_nowait()
                if time.monotonic() - connection.used < IDLE_S:
                    return connection
                connection.close()
        return None

    def _tried(self, work: Callable[[Connection], T], connection: Connection) -> T:
        try:
            result = work(connection)
        except BaseException as error:
            # What the server still sends would be taken for the answer to the next command.
            connection.close()
            if isinstance(error, TimeoutError):
                self._server.is_away()
            raise
        connection.used = time.monotonic()
        self._idle.put(connection)
        return result

    def close(self) -> None:
        """End the threads and the connections."""
        self._pool.shutdown()
        with suppress(queue.Empty):
            while True:
                self._idle.get_nowait().close()


class Batch:
    """The chunks of one call to LMCache, until LMCache takes them or gives the call up."""

    def __init__(self, size: int) -> None:
        self.chunks: list[MemoryObj | None] = [None] * size
        self._given_up = False
        self._patience = time.monotonic() + ROOM_S
        self._lock = threading.Lock()

    def waits(self) -> bool:
        """Whether its loads may still wait for room."""
        return not self._given_up and time.monotonic() < self._patience

    def has_no_room(self) -> None:
        """Let no other load wait for room: LMCache uses the chunks before the first that is missing."""
        self._patience = 0.0

    def put(self, place: int, chunk: MemoryObj) -> None:
        """Add a chunk."""
        with self._lock:
            if self._given_up:
                chunk.ref_count_down()
            else:
                self.chunks[place] = chunk

    def give_up(self) -> None:
        """Give the memory back of what has come, and of what still comes."""
        with self._lock:
            self._given_up = True
            for chunk in self.chunks:
                if chunk is not None:
                    chunk.ref_count_down()
