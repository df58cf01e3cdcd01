"""Enough of a Redis server to count what a fake release stored."""

from collections.abc import Callable, Sequence
from socketserver import StreamRequestHandler, ThreadingTCPServer
from typing import TYPE_CHECKING

from fake_objects import PASSWORD

if TYPE_CHECKING:
    from fake_cluster import FakeCluster


class FakeRedis:
    """Enough of a Redis server to count what the fake release stored."""

    def __init__(self, fake: "FakeCluster") -> None:
        self._fake = fake
        self.server = _RedisServer(self.reply)

    @property
    def port(self) -> int:
        return int(self.server.server_address[1])

    def reply(self, command: Sequence[str]) -> bytes:
        name = command[0].upper()
        entries = 2 * len(self._fake.release.store.keys)
        if name in {"AUTH", "HELLO"}:
            welcome = b"+OK\r\n" if name == "AUTH" else b"%1\r\n+proto\r\n:3\r\n"
            return welcome if PASSWORD in command else b"-WRONGPASS invalid password\r\n"
        if name == "DBSIZE":
            return f":{entries}\r\n".encode()
        if name == "INFO":
            text = f"# Memory\r\nused_memory_dataset:{entries * 1000}\r\n"
            return f"${len(text)}\r\n{text}\r\n".encode()
        if name in {"CLIENT", "SELECT", "PING"}:
            return b"+OK\r\n"
        return b"-ERR unknown command\r\n"


class _RedisServer(ThreadingTCPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, reply: Callable[[Sequence[str]], bytes]) -> None:
        super().__init__(("127.0.0.1", 0), _RedisHandler)
        self.reply = reply

    def handle_error(self, request: object, client_address: object) -> None:
        """A client may leave at any time."""


class _RedisHandler(StreamRequestHandler):
    server: _RedisServer

    def handle(self) -> None:
        while head := self.rfile.readline():
            words = []
            for _ in range(int(head[1:])):
                size = int(self.rfile.readline()[1:])
                words.append(self.rfile.read(size + 2)[:-2].decode())
            self.wfile.write(self.server.reply(words))
