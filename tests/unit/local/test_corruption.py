"""What a backend stored is changed in a real Valkey and in a real folder."""

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import redis
from direct_stand_ins import PASSWORD, Server

from lmcache_kserve.errors import HarnessError
from lmcache_kserve.lmcache.count import resp
from lmcache_kserve.lmcache.settings import LMCacheSettings
from lmcache_kserve.local.backend import LocalBackend
from lmcache_kserve.local.corruption import FLIPPED, SWAPPED, TRUNCATED, Corruptor, Files, Keys, Stored, stored_in

CHUNKS = {f"model@1@0@{number}@float".encode(): bytes([number]) * 4096 for number in range(20)}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = Server(tmp_path_factory.mktemp("valkey"))
    yield server
    server.stop()


@pytest.fixture(params=["keys", "files"])
def stored(request: pytest.FixtureRequest, server: Server, tmp_path: Path) -> Stored:
    """The same chunks in a server and in a folder, with what is no chunk beside them."""
    if request.param == "files":
        for name, content in CHUNKS.items():
            (tmp_path / f"{name.decode()}.data").write_bytes(content)
        (tmp_path / ".tmp-predictor-0").mkdir()
        (tmp_path / "half.tmp").write_bytes(b"half")
        return Files(tmp_path)
    server.client.flushall()
    for name, content in CHUNKS.items():
        server.client.set(name, content)
    server.client.set(b"model@1@0@1@floatmetadata", b"a description of 28 bytes...")
    return Keys(resp.connected(f"redis://127.0.0.1:{server.port}/0", {"password": PASSWORD}))


def contents(stored: Stored) -> dict[bytes, bytes | None]:
    return {name.removesuffix(b".data"): stored.read(name) for name in stored.names()}


def test_every_chunk_is_changed_and_nothing_else(stored: Stored) -> None:
    corruptor = Corruptor(stored, seed=1)
    assert corruptor.corrupt() == len(CHUNKS)
    assert sum(corruptor.counts.values()) == len(CHUNKS)
    assert min(corruptor.counts.values()) >= 4
    # A chunk that ends early may be too short to be listed as one.
    seen = contents(stored)
    assert seen.keys() <= CHUNKS.keys()
    assert [name for name, content in seen.items() if content == CHUNKS[name]] == []


def test_each_kind_of_change_is_what_its_name_says(stored: Stored) -> None:
    corruptor = Corruptor(stored, seed=2)
    corruptor.corrupt()
    seen = {name: content for name, content in contents(stored).items() if content is not None}
    whole = {name: content for name, content in seen.items() if len(content) == 4096}
    swapped = {name for name, content in whole.items() if content in CHUNKS.values()}
    assert len(swapped) == corruptor.counts[SWAPPED]
    assert len(whole) - len(swapped) == corruptor.counts[FLIPPED]
    assert len(CHUNKS) - len(whole) == corruptor.counts[TRUNCATED]
    assert all(content == CHUNKS[name][: len(content)] for name, content in seen.items() if name not in whole)


def test_a_chunk_is_changed_once_and_a_new_one_as_well(stored: Stored, server: Server, tmp_path: Path) -> None:
    corruptor = Corruptor(stored, seed=3)
    corruptor.corrupt()
    assert corruptor.corrupt() == 0
    if isinstance(stored, Files):
        (tmp_path / "new.data").write_bytes(b"n" * 4096)
    else:
        server.client.set(b"new", b"n" * 4096)
    assert corruptor.corrupt() == 1
    assert contents(stored)[b"new"] != b"n" * 4096


def test_a_chunk_that_has_gone_is_not_made_again(stored: Stored) -> None:
    assert not stored.write(b"gone", b"x" * 4096)
    assert stored.read(b"gone") is None


def test_a_server_that_does_not_answer_is_named() -> None:
    away = Keys(redis.Redis(port=1, socket_connect_timeout=1))
    with pytest.raises(HarnessError, match="cannot change what the backend stored"):
        Corruptor(away, seed=1).corrupt()


def backend(kind: str, **settings: Any) -> LocalBackend:
    told = LMCacheSettings(connector=None, chunk_size=256, remote_url=None, **settings)
    return LocalBackend(type=kind, mode="in-process", settings=told, environment={}, pods=[SimpleNamespace()])  # type: ignore[list-item]  # none is asked


def test_the_settings_say_where_the_chunks_are(tmp_path: Path) -> None:
    (tmp_path / "a.data").write_bytes(b"a" * 2000)
    found = stored_in(backend("filesystem", extra_config={"remote_storage_plugin.fs.base_path": str(tmp_path)}))
    assert found.names() == [b"a.data"]


@pytest.mark.parametrize("kind", ["mooncake", "lmcache-server"])
def test_chunks_in_a_servers_own_memory_cannot_be_changed(kind: str) -> None:
    with pytest.raises(HarnessError, match=kind):
        stored_in(backend(kind))
