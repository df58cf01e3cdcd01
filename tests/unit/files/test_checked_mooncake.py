"""The connector for Mooncake: what it makes of its client's answers. LMCache and that client are stood in for."""

import asyncio
import importlib.util
import logging
import socket
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from rendering import CHART

FOUND, MISSING, FAILED = 1, 0, -900
"""What Mooncake 0.3.13 returns of `is_exist`, the last without its master."""
NO_ROOM = -200
"""What it returns of `put_parts` when no store has room."""

Connect = Callable[[], Any]


@dataclass
class Client:
    """Mooncake's client."""

    code: int = 0
    put_code: int = 0
    answers: dict[str, int] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    def setup(self, *_: object) -> int:
        return self.code

    def is_exist(self, key: str) -> int:
        self.asked.append(key)
        return self.answers.get(key, MISSING)

    def put_parts(self, *_: object) -> int:
        return self.put_code

    def get_hostname(self) -> str:
        return "10.0.0.7:12345"


class MooncakestoreConnector:
    """LMCache's connector: it does not look at what `setup` returns."""

    client = Client()

    def __init__(self, *_: object) -> None:
        self.store: Any = self.client
        self.store.setup({"protocol": "tcp"})


def key(text: str) -> SimpleNamespace:
    return SimpleNamespace(to_string=lambda: text)


@pytest.fixture
def master() -> Iterator[socket.socket]:
    """Something that accepts connections."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> Client:
    client = Client()
    monkeypatch.setattr(MooncakestoreConnector, "client", client)
    return client


@pytest.fixture
def connect(monkeypatch: pytest.MonkeyPatch, master: socket.socket, client: Client) -> Connect:
    assert client.asked == []
    for name, member, value in [
        ("lmcache.logging", "init_logger", logging.getLogger),
        (
            "lmcache.v1.storage_backend.connector.mooncakestore_connector",
            "MooncakestoreConnector",
            MooncakestoreConnector,
        ),
    ]:
        module = ModuleType(name)
        module.__dict__[member] = value
        monkeypatch.setitem(sys.modules, name, module)
    spec = importlib.util.spec_from_file_location("checked_mooncake", CHART / "files" / "checked_mooncake.py")
    assert spec
    assert spec.loader
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    address = f"127.0.0.1:{master.getsockname()[1]}"
    config = SimpleNamespace(extra_config={"mooncake_master_server_addr": address})
    return lambda: script.CheckedMooncakeConnector(None, None, config)


def exists(connector: Any, text: str) -> bool:
    answer: bool = asyncio.run(connector.exists(key(text)))
    assert connector.exists_sync(key(text)) == answer
    return answer


def test_without_a_master_there_is_no_connector(connect: Connect, master: socket.socket) -> None:
    port = master.getsockname()[1]
    master.close()
    with pytest.raises(ConnectionError, match=f"no Mooncake master at 127.0.0.1:{port}"):
        connect()


def test_without_a_set_up_client_there_is_no_connector(connect: Connect, client: Client) -> None:
    client.code = -1
    with pytest.raises(ConnectionError, match="Mooncake cannot be set up: it returned -1"):
        connect()


@pytest.mark.parametrize("answer", [FOUND, MISSING, FAILED])
def test_only_what_mooncake_says_is_there_is_found(connect: Connect, client: Client, answer: int) -> None:
    client.answers["a"] = answer
    assert exists(connect(), "a") is (answer == FOUND)


def test_a_lookup_of_many_ends_at_the_first_that_is_not_found(connect: Connect, client: Client) -> None:
    client.answers = {"a": FOUND, "b": FOUND, "c": FAILED, "d": FOUND}
    keys = [key(text) for text in "abcd"]
    assert asyncio.run(connect().batched_async_contains("lookup", keys)) == 2
    assert asyncio.run(connect().batched_async_contains("lookup", keys[:2])) == 2
    assert "d" not in client.asked


def test_after_a_failure_nothing_is_asked_until_the_master_is_back(
    connect: Connect, client: Client, master: socket.socket
) -> None:
    connector = connect()
    client.answers["a"] = FAILED
    address = master.getsockname()
    master.close()
    assert not connector.exists_sync(key("a"))
    client.asked.clear()
    assert not exists(connector, "a")
    assert client.asked == []
    client.answers["a"] = FOUND
    with socket.create_server(address):
        assert exists(connector, "a")


def test_chunks_that_are_not_stored_are_counted_in_the_log_once_a_minute(
    connect: Connect, client: Client, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    seconds = [0.0, 30.0, 59.0, 60.0, 119.0]
    monkeypatch.setattr("time.monotonic", iter(seconds).__next__)
    connector = connect()
    assert connector.store.put_parts("a", b"header", b"chunk") == 0
    client.put_code = NO_ROOM
    assert {connector.store.put_parts("a", b"header", b"chunk") for _ in seconds} == {NO_ROOM}
    assert [record.getMessage() for record in caplog.records] == [
        "Chunks that Mooncake did not store: 1. Its last error: -200",
        "Chunks that Mooncake did not store: 3. Its last error: -200",
    ]


def test_whatever_else_lmcache_asks_the_client_answers(connect: Connect) -> None:
    assert connect().store.get_hostname() == "10.0.0.7:12345"
