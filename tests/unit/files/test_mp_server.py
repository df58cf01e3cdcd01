"""The script that runs LMCache's server: what it needs no LMCache for."""

import argparse
import importlib.util
import json
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from http.server import BaseHTTPRequestHandler, HTTPServer
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from rendering import CHART

RESP = {"type": "resp", "host": "127.0.0.1", "port": 6379}


def loaded() -> ModuleType:
    spec = importlib.util.spec_from_file_location("mp_server", CHART / "files" / "mp_server.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patched:
        patched.syspath_prepend(CHART / "files")  # as Python does with the folder of the script that it runs
        spec.loader.exec_module(module)
    return module


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    module = loaded()
    monkeypatch.setattr(module, "WATCH_S", 0.01)
    return module


class Redis:
    """Answers a PING; `replace` ends its connections, as a restart does."""

    def __init__(self, reply: bytes = b"-NOAUTH Authentication required.\r\n") -> None:
        self.reply = reply
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self.listener.getsockname()[1])
        self.connections: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            self.connections.append(connection)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        try:
            while connection.recv(1024):
                connection.sendall(self.reply)
        except OSError:
            return

    def replace(self) -> None:
        while self.connections:
            with self.connections.pop() as connection, suppress(OSError):  # where the other side has gone first
                connection.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self.listener.close()
        self.replace()


class Manager:
    """A storage manager that remembers what was done to it."""

    def __init__(self, *, stuck: bool = False) -> None:
        self.stuck = stuck
        self.done: list[str] = []
        self.changed = threading.Event()

    def add_l2_adapter(self, configuration: dict[str, Any]) -> int:
        self.done.append(f"add {configuration['port']}")
        self.changed.set()
        return len(self.done)

    def delete_l2_adapter(self, number: int, *, timeout: float) -> None:
        assert timeout > 0
        self.done.append(f"delete {number}")
        self.changed.set()
        if self.stuck:
            raise TimeoutError("drain")

    def wait(self, count: int) -> None:
        while len(self.done) < count:
            assert self.changed.wait(10), self.done
            self.changed.clear()


class Ended(BaseException):
    """In place of the end of the process."""


@contextmanager
def watching(script: ModuleType, manager: Manager, monkeypatch: pytest.MonkeyPatch, port: int) -> Iterator[list[int]]:
    codes: list[int] = []
    over = threading.Event()

    def leave(code: int) -> None:
        codes.append(code)
        manager.changed.set()
        raise Ended

    def sleep(seconds: float) -> None:
        if over.wait(seconds):
            raise Ended

    monkeypatch.setattr(script, "storage_manager", lambda: manager)
    monkeypatch.setattr(script, "configuration", lambda adapter: adapter)
    monkeypatch.setattr(script, "os", SimpleNamespace(_exit=leave))
    monkeypatch.setattr(script, "time", SimpleNamespace(sleep=sleep))

    def run() -> None:
        try:
            script.watch({**RESP, "port": port})
        except Ended:
            return

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield codes
    finally:
        over.set()
        thread.join(10)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def test_only_adapters_of_type_resp_are_kept_from_the_server(script: ModuleType) -> None:
    other = {"type": "fs", "base_path": "/data"}
    arguments = ["--port=1", "--l2-adapter", json.dumps(RESP), f"--l2-adapter={json.dumps(other)}", "--workers", "2"]
    kept, taken = script.split_adapters(arguments)
    assert kept == ["--port=1", "--l2-adapter", json.dumps(other), "--workers", "2"]
    assert taken == [RESP]


def test_a_backend_that_answers_is_attached(script: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    redis, manager = Redis(), Manager()
    with watching(script, manager, monkeypatch, redis.port):
        manager.wait(1)
    assert manager.done == [f"add {redis.port}"]
    redis.close()


def test_a_backend_that_was_replaced_is_attached_anew(script: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    redis, manager = Redis(), Manager()
    with watching(script, manager, monkeypatch, redis.port) as codes:
        manager.wait(1)
        redis.replace()
        manager.wait(3)
    assert manager.done == [f"add {redis.port}", "delete 1", f"add {redis.port}"]
    assert not codes
    redis.close()


def test_a_backend_that_is_not_up_yet_is_attached_when_it_is(
    script: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    manager = Manager()
    tried = threading.Event()
    connect: Callable[..., Any] = script.socket.create_connection
    redis = Redis()

    def refused_first(address: tuple[str, int], *, timeout: float) -> socket.socket:
        if not tried.is_set():
            tried.set()
            raise ConnectionRefusedError(111, "Connection refused")
        found: socket.socket = connect(address, timeout=timeout)
        return found

    monkeypatch.setattr(script.socket, "create_connection", refused_first)
    with watching(script, manager, monkeypatch, redis.port):
        manager.wait(1)
    assert tried.is_set()
    assert "serving without it" in capsys.readouterr().err
    redis.close()


def test_a_backend_that_still_loads_is_not_attached(script: ModuleType) -> None:
    redis = Redis(b"-LOADING Redis is loading the dataset in memory\r\n")
    for reply, answers in ((redis.reply, False), (b"+PONG\r\n", True)):
        redis.reply = reply
        with closing(script.Backend("127.0.0.1", redis.port)) as backend:
            assert backend.answers() is answers
    redis.close()


def test_requests_that_wait_for_a_dead_backend_for_ever_end_the_server(
    script: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    redis, manager = Redis(), Manager(stuck=True)
    with watching(script, manager, monkeypatch, redis.port) as codes:
        manager.wait(1)
        redis.close()
        manager.wait(2)
        while not codes:
            assert manager.changed.wait(10)
            manager.changed.clear()
    assert codes == [script.STUCK]


@pytest.mark.parametrize(("status", "healthy"), [(200, True), (503, False)])
def test_the_check_asks_the_servers_health(script: ModuleType, status: int, healthy: bool) -> None:  # noqa: FBT001 - pytest passes it by name
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status if self.path == "/healthcheck" else 404)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is the library's
            """Keep quiet."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.handle_request, daemon=True).start()
        assert script.healthy(server.server_address[1]) is healthy


def test_the_check_of_a_server_that_is_not_there_fails(script: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(script.sys, "argv", ["mp_server.py", "--check", str(free_port())])
    assert script.main() == 1


def served(argv: list[str] | None) -> str | None:
    """The port that the command line of `lmcache server` names; without arguments, sys.argv is the command line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("command", choices=["server"])
    parser.add_argument("--port")
    return str(parser.parse_args(argv).port)


@pytest.mark.parametrize("takes_arguments", [False, True], ids=["0.5.0 to 0.5.5", "0.5.6"])
def test_the_server_gets_its_arguments_through_the_entry_point_of_each_release(
    script: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
    takes_arguments: bool,  # noqa: FBT001 - pytest passes it by name
) -> None:
    ports: list[str | None] = []
    changed: list[int] = []

    def old() -> None:
        ports.append(served(None))

    def new(argv: list[str] | None = None) -> None:
        ports.append(served(argv))

    for name in ("lmcache", "lmcache.cli"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    monkeypatch.setitem(sys.modules, "lmcache.cli.main", SimpleNamespace(main=new if takes_arguments else old))
    monkeypatch.setattr(script, "keep_out", lambda: changed.append(len(ports)))
    monkeypatch.setattr(sys, "argv", ["mp_server.py", "--", "--port=1"])
    script.serve(argparse.Namespace(silence=0.0, metrics_port=None, log_requests=False), ["--port=5555"])
    assert ports == ["5555"]
    assert changed == [0], "LMCache is changed once, before it runs"
