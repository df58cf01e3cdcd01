"""Chunks of several tenants in LMCache's own memory and backends, without an engine: quotas, and encryption."""

import json
import os
import subprocess
from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from direct_stand_ins import PASSWORD, Server
from rendering import CHART

from lmcache_kserve.engine.find import ensure_engine
from lmcache_kserve.progress import untold

pytestmark = pytest.mark.local

SCRIPT = Path(__file__).parent / "tenant_memory.py"
CHUNKS, MIB = 4, 1 << 20
OF_A, OF_B, OF_OTHERS = 16, 8, 8
"""Shares of the memory in tenant_memory.py, in chunks."""

PLAINTEXT = array("f", [2.7182818] * 16).tobytes()
"""A piece of the third chunk."""


def asked(action: str, subject: str) -> dict[str, Any]:
    """What became of the chunks in LMCache's server."""
    engine = ensure_engine(untold)
    done = subprocess.run(
        [engine.python, SCRIPT, action, CHART / "files", subject],
        env={**os.environ, "LMCACHE_RESP_PASSWORD": PASSWORD},
        stdout=subprocess.PIPE,
        check=True,
        text=True,
    )
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return answer


def test_who_stores_too_much_evicts_nothing_of_another_tenant() -> None:
    assert asked("quotas", "divided") == {
        "a stored": OF_A,
        "a": OF_A,
        "wrong": 0,
        "b": OF_B,
        "newest of b": OF_B,
        "others": OF_OTHERS,
        "taken of a prompt longer than b's quota": OF_B,
        "a at last": OF_A,
        "b again": OF_B,
        "says what it evicts": 0,
    }


def test_lmcaches_own_server_lets_one_tenant_evict_another() -> None:
    """When this fails, LMCache has quotas for its memory, and tenant_mp_server.py may be able to use them."""
    assert asked("quotas", "whole")["a"] == 0


class Folder:
    """A backend of type filesystem."""

    beside = 0
    """Bytes that a chunk takes besides its own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def adapter(self, key: Path | None) -> str:
        return _adapter(key, type="fs", base_path=str(self._folder), relative_tmp_dir=".tmp")

    def contents(self) -> bytes:
        return b"".join(file.read_bytes() for file in sorted(self._folder.glob("*.data")))


class Redis:
    """A backend of type redis, by LMCache's own client."""

    beside = 0

    def __init__(self, server: Server) -> None:
        self._server = server

    def adapter(self, key: Path | None) -> str:
        return _adapter(key, type="resp", host="127.0.0.1", port=self._server.port, num_workers=2, password=PASSWORD)

    def contents(self) -> bytes:
        client: Any = self._server.client
        return b"".join(client.get(name) for name in sorted(client.scan_iter()))


class Direct(Redis):
    """The same by the chart's client."""

    beside = 28  # a header and a checksum

    def adapter(self, key: Path | None) -> str:
        parameters = {"direct_redis_url": f"redis://127.0.0.1:{self._server.port}/0"}
        plugin = {"module_path": "direct_client", "class_name": "DirectClient", "adapter_params": parameters}
        return _adapter(key, type="native_plugin", **plugin)


def _adapter(key: Path | None, **settings: object) -> str:
    serde = {"type": "aesgcm", "aes_bits": 256, "master_key_path": str(key), "max_workers": 8}
    return json.dumps(settings | ({"serde": serde} if key else {}))


@pytest.fixture(
    params=[pytest.param(Folder, marks=pytest.mark.long), pytest.param(Redis, marks=pytest.mark.long), Direct]
)
def backend(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Any]:
    folder = tmp_path / "backend"
    folder.mkdir()
    if request.param is Folder:
        yield Folder(folder)
        return
    server = Server(folder)
    yield request.param(server)
    server.stop()


def key(folder: Path, name: str) -> Path:
    """A master key, as a Secret has it."""
    file = folder / name
    file.write_bytes(name.encode() * 8)
    return file


def test_the_backend_holds_no_plaintext_of_a_chunk(backend: Any, tmp_path: Path) -> None:
    adapter = backend.adapter(key(tmp_path, "mine"))
    assert asked("store", adapter)["taken"] == CHUNKS
    contents = backend.contents()
    assert len(contents) == CHUNKS * (MIB + 29 + backend.beside)
    assert PLAINTEXT not in contents
    assert asked("load", adapter) == {"right": CHUNKS, "wrong": 0, "of others": 0}


def test_without_encryption_it_holds_every_byte(backend: Any) -> None:
    asked("store", backend.adapter(None))
    contents = backend.contents()
    assert len(contents) == CHUNKS * (MIB + backend.beside)
    assert PLAINTEXT in contents


def test_another_key_loads_nothing_and_no_wrong_byte(backend: Any, tmp_path: Path) -> None:
    asked("store", backend.adapter(key(tmp_path, "mine")))
    nothing = {"right": 0, "wrong": 0, "of others": 0}
    assert asked("load", backend.adapter(key(tmp_path, "other"))) == nothing


def test_what_was_stored_before_encryption_is_not_taken_for_a_chunk(backend: Any, tmp_path: Path) -> None:
    asked("store", backend.adapter(None))
    nothing = {"right": 0, "wrong": 0, "of others": 0}
    assert asked("load", backend.adapter(key(tmp_path, "mine"))) == nothing
