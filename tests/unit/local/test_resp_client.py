"""The stand-in for redis-cli, as the chart's probes and scripts run it."""

import socket
import socketserver
import subprocess
import sys

import pytest
from serving import served


def run(port: int, *command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "lmcache_kserve.local.resp_client", "-p", str(port), *command],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_it_prints_what_the_server_replies(valkey_url: str) -> None:
    port = int(valkey_url.rpartition(":")[2].partition("/")[0])
    assert run(port, "ping").stdout == "PONG\n"
    assert run(port, "config", "get", "port").stdout == f"port\n{port}\n"


def test_who_does_not_answer_is_asked_once() -> None:
    accepted = []

    class HangUp(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            accepted.append(self.client_address)

    with served(HangUp) as port:
        done = run(port, "ping")
    assert (done.returncode, done.stdout, len(accepted)) == (1, "", 1)


@pytest.mark.parametrize("arguments", [["ping"], ["-a", "secret", "ping"]])
def test_who_is_not_there_is_an_error(arguments: list[str]) -> None:
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))  # bound, but nobody listens
        done = run(reserved.getsockname()[1], *arguments)
    assert done.returncode == 1
    assert "Connection refused" in done.stderr
