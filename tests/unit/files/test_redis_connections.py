"""The connections of the client direct: a server that goes and comes back, falls silent, encrypts, or refuses."""

import asyncio
import ssl
import threading
from collections.abc import Callable
from typing import Any

import pytest
from direct_stand_ins import CHUNKS, KEYS, Server, loaded, stored


def test_lookups_do_not_wait_for_loads(connect: Callable[..., Any]) -> None:
    connector = connect()
    stored(connector)
    busy = threading.Event()
    for _ in range(3):
        connector._loads.submit(lambda _: busy.wait(30))  # noqa: SLF001 - nothing else keeps the connections busy
    assert connector.batched_contains(KEYS) == len(KEYS)
    busy.set()


def test_a_server_that_comes_back_is_used_again(
    connect: Callable[..., Any], server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("redis_connections.AWAY_S", 0.0)
    connector = connect()
    stored(connector)
    server.stop()
    assert connector.batched_contains(KEYS) == 0
    assert loaded(connector) == [None] * len(KEYS)
    stored(connector)
    assert asyncio.run(connector.ping()) == 1
    server.start()
    assert asyncio.run(connector.ping()) == 0
    stored(connector)
    assert None not in loaded(connector)


def test_connections_of_a_server_that_was_replaced_cost_no_request(connect: Callable[..., Any], server: Server) -> None:
    connector = connect()
    stored(connector)
    server.stop()
    server.start()
    stored(connector)
    assert None not in loaded(connector)


def test_nobody_waits_again_for_a_server_that_was_just_away(
    connect: Callable[..., Any], server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("redis_connections.AWAY_S", 1e9)
    connector = connect()
    server.stop()
    assert connector.batched_contains(KEYS) == 0
    server.start()
    assert connector.batched_contains(KEYS[:1]) == 0, "the server was asked again at once"


def test_a_server_that_falls_silent_holds_nobody_up_for_longer_than_the_timeout(
    connect: Callable[..., Any], server: Server
) -> None:
    connector = connect(direct_redis_command_s=0.2)
    stored(connector)
    before = server.client.info("stats")["total_connections_received"]
    server.client.client_pause(1000)
    assert connector.batched_contains(KEYS) == 0
    after = server.client.info("stats")["total_connections_received"]
    assert after == before, "a second connection waited for the server too"


def test_databases_keep_chunks_apart(connect: Callable[..., Any]) -> None:
    stored(connect())
    assert connect(database=3).batched_contains(KEYS) == 0


def test_a_user_with_a_name_logs_in(connect: Callable[..., Any], server: Server) -> None:
    server.client.acl_setuser("cache", enabled=True, passwords=["+another"], keys=["*"], commands=["+@all"])
    stored(connect(direct_redis_username="cache", direct_redis_password="another\n"))  # noqa: S106 - of the server that this test starts


def test_chunks_travel_encrypted_between_two_that_know_each_other(
    connect: Callable[..., Any], encrypted: int, certificates: dict[str, str]
) -> None:
    connector = connect(direct_redis_url=f"rediss://localhost:{encrypted}/0", **certificates)
    stored(connector)
    assert [found.data for found in loaded(connector) if found] == [one.data for one in CHUNKS]


def test_a_server_of_another_authority_is_no_connection_unless_any_is_trusted(
    connect: Callable[..., Any], encrypted: int, certificates: dict[str, str]
) -> None:
    del certificates["direct_redis_ca"]
    address = {"direct_redis_url": f"rediss://localhost:{encrypted}/0", **certificates}
    with pytest.raises(ssl.SSLCertVerificationError):
        connect(**address)
    assert connect(**address, direct_redis_verify=False).batched_contains(KEYS) == 0


def test_a_server_of_another_name_is_no_connection(
    connect: Callable[..., Any], encrypted: int, certificates: dict[str, str]
) -> None:
    with pytest.raises(ssl.SSLCertVerificationError, match=r"127\.0\.0\.1"):
        connect(direct_redis_url=f"rediss://127.0.0.1:{encrypted}/0", **certificates)


@pytest.mark.parametrize("password", ["", "wrong"])
def test_a_wrong_password_is_no_connection(connect: Callable[..., Any], password: str) -> None:
    with pytest.raises(ConnectionError, match=r"NOAUTH|WRONGPASS"):
        connect(direct_redis_password=password)


def test_a_connection_that_was_idle_for_long_is_made_anew(
    connect: Callable[..., Any], server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    connector = connect()
    before = server.client.info("stats")["total_connections_received"]
    assert connector.batched_contains(KEYS) == 0
    assert server.client.info("stats")["total_connections_received"] == before
    monkeypatch.setattr("redis_connections.IDLE_S", 0.0)
    assert connector.batched_contains(KEYS) == 0
    assert server.client.info("stats")["total_connections_received"] == before + 1
