"""Probes of containers, against a real server of this machine."""

from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import httpx2
import pytest

from lmcache_kserve.errors import HarnessError
from lmcache_kserve.local.probes import Readiness
from lmcache_kserve.local.rewrite import Addresses, Rewriter

PORT = 8080


class Handler(BaseHTTPRequestHandler):
    """Is ready at the third request."""

    protocol_version = "HTTP/1.1"
    server: "Server"

    def do_GET(self) -> None:
        self.server.connections.add(self.client_address)
        self.server.asked += 1
        self.send_response(200 if self.server.asked >= 3 else 503)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is the library's
        """Keep quiet."""


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked = 0
        self.connections: set[Any] = set()


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as started:
        Thread(target=lambda: started.serve_forever(poll_interval=0.01), daemon=True).start()
        yield started
        started.shutdown()


def container(**probe: Any) -> dict[str, Any]:
    return {"name": "main", "ports": [{"name": "http", "containerPort": PORT}], "readinessProbe": probe}


def ready(spec: dict[str, Any], port: int, *, times: int = 1) -> list[bool]:
    """The answers of some checks in turn, as one wait for a container makes them."""
    rewriter = Rewriter(Addresses("models"), ports={PORT: port}, pod_ports={PORT: port})
    with Readiness.of(spec).checks(spec, rewriter=rewriter, environment={}, directory=Path()) as check:
        return [check() for _ in range(times)]


def test_one_client_serves_every_check_of_a_container(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    made = []
    original = httpx2.HTTPTransport.__init__

    def counted(transport: httpx2.HTTPTransport, **options: Any) -> None:
        made.append(transport)  # each makes a TLS context of its own
        original(transport, **options)

    monkeypatch.setattr(httpx2.HTTPTransport, "__init__", counted)
    probe = {"httpGet": {"port": "http", "path": "/health"}}
    assert ready(container(**probe), server.server_port, times=5) == [False, False, True, True, True]
    assert len(made) == 1
    assert len(server.connections) == 5


def test_a_port_that_accepts_is_ready(server: Server) -> None:
    assert ready(container(tcpSocket={"port": PORT}), server.server_port) == [True]
    assert ready(container(tcpSocket={"port": PORT}), 1) == [False]


def test_a_command_that_succeeds_is_ready() -> None:
    assert ready(container(exec={"command": ["/bin/true"]}), 1) == [True]
    assert ready(container(exec={"command": ["/bin/false"]}), 1) == [False]
    assert ready(container(exec={"command": ["/no/such/program"]}), 1) == [False]


def test_a_container_without_a_probe_is_ready() -> None:
    assert ready(container(), 1) == [True]


def test_a_probe_that_only_a_cluster_knows_is_refused() -> None:
    with pytest.raises(HarnessError, match="container main has a probe that a local run does not know"):
        ready(container(grpc={"port": PORT}), 1)


def test_a_probe_of_a_port_that_is_not_declared_is_refused() -> None:
    with pytest.raises(HarnessError, match="asks port 'web', which it does not declare"):
        ready(container(httpGet={"port": "web"}), 1)
