"""The client direct of mode multiprocess in LMCache's own adapter for plugins, against a server, without an engine."""

import json
import os
import random
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from direct_stand_ins import PASSWORD
from encryption import HOST, Identity, SecureServer
from rendering import CHART, Render, option, pod, remote_backend

from lmcache_kserve.chart.manifests import sidecars
from lmcache_kserve.engine.find import ensure_engine
from lmcache_kserve.waiting import Pending, wait_for

pytestmark = pytest.mark.local

TRIP = Path(__file__).parent / "adapter_trip.py"
CHUNKS = 16
ALL = list(range(CHUNKS))
CORRUPTED = 1000
PATIENCE_S, SILENCE_S = 10.0, 1.0
"""`timeouts` of the client: on a busy machine, and where a server falls silent."""

BUSY_S = 1.0
"""More than a busy machine takes for what waits for nobody."""


@dataclass
class Adapter:
    """LMCache's adapter in a process of its own."""

    process: "subprocess.Popen[str]"
    log: Path

    def ask(self, what: str) -> dict[str, Any]:
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.write(f"{what}\n")
        self.process.stdin.flush()
        for line in self.process.stdout:
            if line.startswith('{"places"'):
                answer: dict[str, Any] = json.loads(line)
                return answer
        raise AssertionError(self.log.read_text())

    def places(self, what: str) -> list[int]:
        """The chunks that were stored, found or loaded."""
        answer = self.ask(what)
        assert answer["wrong"] == []
        places: list[int] = answer["places"]
        return places

    def works(self) -> bool | Pending:
        """Whether everything can be stored and loaded."""
        stored, loaded = self.places("store"), self.places("load")
        return (stored, loaded) == (ALL, ALL) or Pending(f"{len(stored)} stored, {len(loaded)} loaded")


Run = Callable[..., Adapter]


@pytest.fixture
def identity(tmp_path: Path) -> Identity:
    return Identity(tmp_path / "identity")


@pytest.fixture
def server(identity: Identity) -> Iterator[SecureServer]:
    with SecureServer(identity) as server:
        yield server


@pytest.fixture
def run(render: Render, tmp_path: Path) -> Iterator[Run]:
    """Runs the adapter that the chart renders for an external server."""
    engine = ensure_engine(lambda *_: None)
    with ExitStack() as stack:

        def started(port: int, *, password: str = PASSWORD, patience: float = PATIENCE_S, **external: Any) -> Adapter:
            timeouts = {"connectSeconds": patience, "commandSeconds": patience}
            values = remote_backend(
                "redis",
                client="direct",
                deploy=False,
                external={"endpoint": f"{HOST}:{port}", **external},
                auth={"existingSecret": "login"},
                timeouts=timeouts,
            )
            (container,) = sidecars(pod(render({**values, "lmcache": {"mode": "multiprocess"}})).spec)
            adapter = option(container["args"], "--l2-adapter")
            assert adapter
            return stack.enter_context(
                _running(engine.python, _moved(adapter, tmp_path), password, tmp_path / "adapter.log")
            )

        yield started


def _moved(adapter: str, folder: Path) -> str:
    """The adapter with the files of these tests in the place of the pod's."""
    for mounted, file in (
        ("ca/ca.crt", "ca.crt"),
        ("client/tls.crt", "client.crt"),
        ("client/tls.key", "client.key"),
    ):
        adapter = adapter.replace(f"/etc/lmcache-kserve-tls/{mounted}", str(folder / "identity" / file))
    assert "/etc/" not in adapter
    return adapter


@contextmanager
def _running(python: Path, adapter: str, password: str, log: Path) -> Iterator[Adapter]:
    surroundings = {"PYTHONPATH": str(CHART / "files"), "LMCACHE_RESP_PASSWORD": password}
    with (
        log.open("w") as output,
        subprocess.Popen(
            [str(python), str(TRIP), adapter, str(CHUNKS)],
            env={**os.environ, **surroundings},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=output,
            text=True,
        ) as process,
    ):
        try:
            yield Adapter(process, log)
            assert process.stdin
            process.stdin.close()
            assert process.wait(60) == 0, "the adapter does not end"
        finally:
            process.kill()


def test_what_was_changed_in_the_store_is_never_used(run: Run, server: SecureServer) -> None:
    adapter = run(server.plain_port, database=3)
    assert adapter.places("find") == []
    client = server.client(database=3)
    dice = random.Random(1)  # noqa: S311 - it chooses the bytes to change, and no secret
    corrupted = 0
    while corrupted < CORRUPTED:
        assert adapter.places("store") == ALL
        assert adapter.places("find") == ALL
        assert adapter.places("load") == ALL
        names = sorted(client.scan_iter())
        assert len(names) == CHUNKS
        values = [bytes(value) for value in client.mget(names) if isinstance(value, bytes)]
        client.mset(
            {name: _changed(value, dice.choice(values), dice) for name, value in zip(names, values, strict=True)}
        )
        kept = [place for place, value in enumerate(client.mget(names)) if value == values[place]]
        assert adapter.places("load") == kept
        assert client.dbsize() == len(kept), "a changed chunk was not deleted"
        corrupted += CHUNKS - len(kept)
    assert server.client().dbsize() == 0, "the chunks are in another database"


def _changed(value: bytes, other: bytes, dice: random.Random) -> bytes:
    place = dice.choice(
        [*range(5), *range(8, len(value))]
    )  # three bytes of the header are empty, and nothing reads them
    return dice.choice(
        [
            value[:place] + bytes([value[place] ^ (1 << dice.randrange(8))]) + value[place + 1 :],
            value[:place],
            value + dice.randbytes(8),
            other,
        ]
    )


def test_one_refused_store_does_not_end_storing(run: Run, server: SecureServer) -> None:
    adapter = run(server.plain_port)
    server.client().config_set("maxmemory", "1")
    assert adapter.places("store") == []
    server.client().config_set("maxmemory", "0")
    assert adapter.places("store") == ALL
    assert adapter.places("load") == ALL


def test_a_silent_server_holds_nobody_up_for_longer_than_the_timeouts(run: Run, server: SecureServer) -> None:
    adapter = run(server.plain_port, patience=SILENCE_S)
    wait_for(adapter.works, timeout=10, delay=0.1, describe="the server to be used")
    os.kill(server.pid, signal.SIGSTOP)
    first = adapter.ask("load")
    assert first["places"] == []
    assert first["seconds"] < 2 * SILENCE_S + BUSY_S
    for what in ("find", "load", "store") * 3:
        answer = adapter.ask(what)
        assert answer["places"] == []
        assert answer["seconds"] < BUSY_S, f"{what} waited for a server that is known to be silent"
    os.kill(server.pid, signal.SIGCONT)
    wait_for(adapter.works, timeout=10, delay=0.1, describe="the server to be used again")


def test_a_server_that_restarts_is_used_again(run: Run, server: SecureServer) -> None:
    adapter = run(server.plain_port)
    assert adapter.works() is True
    server.stop()
    assert adapter.places("find") == []
    assert adapter.places("store") == []
    server.start()
    wait_for(adapter.works, timeout=10, delay=0.1, describe="the server to be used again")


def test_a_wrong_password_is_in_the_log_as_what_it_is_and_not_as_it_reads(run: Run, server: SecureServer) -> None:
    adapter = run(server.plain_port, password="another horse")  # noqa: S106 - no server has it
    assert adapter.places("store") == []
    assert adapter.places("find") == []
    assert "WRONGPASS" in adapter.log.read_text()
    assert "another horse" not in adapter.log.read_text()


@pytest.mark.parametrize("asks", [False, True], ids=["the authority alone", "a client's certificate too"])
def test_chunks_travel_encrypted(run: Run, identity: Identity, *, asks: bool) -> None:
    client = {"clientSecret": "identity"} if asks else {}
    with SecureServer(identity, asks_for_certificate=asks) as server:
        adapter = run(server.port, database=3, tls={"enabled": True, "caSecret": "ca", **client})
        assert adapter.works() is True
        assert server.client(database=3).dbsize() == CHUNKS
        server.stop()
        assert adapter.places("find") == []
        server.start()
        wait_for(adapter.works, timeout=10, delay=0.1, describe="the server to be used again")


def test_a_server_of_another_authority_gets_nothing(run: Run, tmp_path: Path) -> None:
    Identity(tmp_path / "identity")
    with SecureServer(Identity(tmp_path / "another")) as server:
        adapter = run(server.port, tls={"enabled": True, "caSecret": "ca"})
        assert adapter.places("store") == []
        assert adapter.places("find") == []
        assert server.client().dbsize() == 0
        assert "CERTIFICATE_VERIFY_FAILED" in adapter.log.read_text()


def test_a_server_that_is_not_verified_is_used(run: Run, tmp_path: Path) -> None:
    with SecureServer(Identity(tmp_path / "another")) as server:
        assert run(server.port, tls={"enabled": True, "verify": False}).works() is True


def test_a_client_without_its_certificate_gets_nothing(run: Run, identity: Identity) -> None:
    with SecureServer(identity, asks_for_certificate=True) as server:
        adapter = run(server.port, tls={"enabled": True, "caSecret": "ca"})
        assert adapter.places("store") == []
        assert adapter.places("find") == []
        assert "is away, so nothing is found" in adapter.log.read_text()
