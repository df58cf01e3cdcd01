"""Websockets into a pod, against servers that do not do what the API server does."""

import socket
import ssl
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from kubernetes import client

from lmcache_kserve.cluster.api import Api
from lmcache_kserve.cluster.channels import Tunnel
from lmcache_kserve.errors import HarnessError


@pytest.fixture
def silent() -> Iterator[socket.socket]:
    """A server that accepts every connection and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server


@pytest.mark.parametrize(
    "ask",
    [lambda api: api.tunnel("predictor", 8080), lambda api: api.execute("predictor", "main", ["true"])],
    ids=["port", "command"],
)
def test_a_handshake_that_is_never_answered_is_given_up(
    silent: socket.socket, monkeypatch: pytest.MonkeyPatch, ask: Callable[[Api], object]
) -> None:
    monkeypatch.setattr("lmcache_kserve.cluster.channels._HANDSHAKE_TIMEOUT_S", 0.1)
    api = Api(client.ApiClient(client.Configuration(host=f"http://127.0.0.1:{silent.getsockname()[1]}")), "llm")
    with ThreadPoolExecutor(max_workers=1) as thread:
        asked = thread.submit(ask, api)
        try:
            failure = asked.exception(timeout=5)
        finally:
            silent.shutdown(socket.SHUT_RDWR)  # lets go of a client that would wait for ever
            silent.close()
    assert isinstance(failure, HarnessError)
    assert "timed out" in str(failure)
    assert "predictor in namespace llm" in str(failure)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"ssl_ca_cert": "ca"}, {"cert_reqs": ssl.CERT_REQUIRED, "ca_certs": "ca"}),
        ({"ssl_ca_cert": "ca", "verify_ssl": False}, {"cert_reqs": ssl.CERT_NONE}),
        ({"cert_file": "cert", "key_file": "key"}, {"cert_reqs": 2, "certfile": "cert", "keyfile": "key"}),
        ({"tls_server_name": "name"}, {"cert_reqs": ssl.CERT_REQUIRED, "server_hostname": "name"}),
        ({"assert_hostname": False}, {"cert_reqs": ssl.CERT_REQUIRED, "check_hostname": False}),
    ],
    ids=["authority", "not verified", "certificate", "other name", "any name"],
)
def test_a_kubeconfigs_settings_for_tls_are_those_of_the_websocket(
    monkeypatch: pytest.MonkeyPatch, given: dict[str, Any], expected: dict[str, Any]
) -> None:
    seen: dict[str, Any] = {}

    def connect(_: str, **options: Any) -> socket.socket:
        seen.update(options)
        return socket.socket()

    monkeypatch.setattr("websocket.create_connection", connect)
    configuration = client.Configuration()
    for name, value in given.items():
        setattr(configuration, name, value)
    with Tunnel.open(configuration, "https://cluster/api", {"authorization": "Bearer t", "accept": "x"}):
        pass
    assert seen["sslopt"] == expected
    assert seen["header"] == ["authorization: Bearer t", "sec-websocket-protocol: v4.channel.k8s.io"]
    assert seen["timeout"] == 10.0
