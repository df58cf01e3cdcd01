"""The connector for Redis and Valkey, with a real Valkey. LMCache is stood in for."""

import asyncio
import importlib.util
import json
import logging
import random
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from socketserver import StreamRequestHandler, ThreadingTCPServer
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import redis
import trustme
from rendering import CHART

from lmcache_kserve.local.programs import embedded_server
from lmcache_kserve.waiting import wait_for

TOKEN_BYTES, CHUNK_BYTES = 64, 64 * 256
METADATA_BYTES = 80
PASSWORD = "correct horse"  # noqa: S105 - of a server of this test
SUFFIX = "@direct1"


@dataclass
class Chunk:
    """LMCache's memory object."""

    data: bytearray
    references: int = 1
    description: Any = (("shape",), ("dtype",), "format")

    @property
    def byte_array(self) -> memoryview:
        return memoryview(self.data)

    def ref_count_up(self) -> None:
        self.references += 1

    def ref_count_down(self) -> None:
        self.references -= 1

    def get_shapes(self) -> Any:
        return self.description[0]

    def get_dtypes(self) -> Any:
        return self.description[1]

    def get_memory_format(self) -> Any:
        return self.description[2]


@dataclass
class Memory:
    """LMCache's memory for chunks."""

    config: Any = None
    metadata: Any = None
    room: int = 1_000_000
    given: list[Chunk] = field(default_factory=list)

    def allocate(self, shapes: Any, dtypes: Any, form: Any, *, busy_loop: bool) -> Chunk | None:
        assert not busy_loop, "LMCache would wait for ever"
        if self.room <= len(self.given):
            return None
        # The stand-in's shape is the number of bytes.
        self.given.append(Chunk(bytearray(shapes[0]), description=(shapes, dtypes, form)))
        return self.given[-1]


@dataclass
class RemoteMetadata:
    """LMCache's description of a chunk."""

    length: int
    shapes: Any
    dtypes: Any
    fmt: Any

    def serialize(self) -> bytes:
        return json.dumps([self.length, self.shapes, self.dtypes, self.fmt]).encode().ljust(METADATA_BYTES)

    @staticmethod
    def deserialize(text: bytes) -> "RemoteMetadata":
        return RemoteMetadata(*json.loads(text))


class RemoteConnector:
    """LMCache's base class: it knows how long a description is."""

    def __init__(self, *_: object) -> None:
        self.remote_metadata_bytes = METADATA_BYTES


class Server:
    """A Valkey of this test's own, with a password."""

    def __init__(self, folder: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self._folder = folder
        self.client = redis.Redis(port=self.port, password=PASSWORD)
        self.start()

    def start(self) -> None:
        words = [str(embedded_server()), "--port", str(self.port), "--requirepass", PASSWORD, "--save", ""]
        self._process = subprocess.Popen(words, cwd=self._folder, stdout=subprocess.DEVNULL)

        def answers() -> bool:
            try:
                return bool(self.client.ping())
            except redis.RedisError:
                return False

        wait_for(answers, timeout=20, delay=0.05, describe="Valkey")

    def stop(self) -> None:
        self._process.kill()
        self._process.wait()


def key(text: str) -> SimpleNamespace:
    return SimpleNamespace(to_string=lambda: text)


def chunk(seed: int, size: int = CHUNK_BYTES) -> Chunk:
    data = bytearray(random.Random(seed).randbytes(size))  # noqa: S311 - bytes to store
    return Chunk(data, description=([size], ["bfloat16"], "KV_2LTD"))


KEYS = [key(f"model@1@0@{number:x}@float") for number in range(9)]
CHUNKS = [chunk(number) for number in range(len(KEYS))]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    server = Server(tmp_path)
    yield server
    server.stop()


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch) -> Any:
    for name, member, value in [
        ("lmcache.logging", "init_logger", logging.getLogger),
        ("lmcache.v1.protocol", "RemoteMetadata", RemoteMetadata),
        ("lmcache.v1.storage_backend.connector.base_connector", "RemoteConnector", RemoteConnector),
    ]:
        stub = ModuleType(name)
        setattr(stub, member, value)
        monkeypatch.setitem(sys.modules, name, stub)
    spec = importlib.util.spec_from_file_location("direct_redis", CHART / "files" / "direct_redis.py")
    assert spec
    assert spec.loader
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


@pytest.fixture
def connect(module: Any, server: Server) -> Iterator[Callable[..., Any]]:
    made = []

    def connected(*, memory: Memory | None = None, database: int = 0, **settings: Any) -> Any:
        own = {
            "direct_redis_url": f"redis://127.0.0.1:{server.port}/{database}",
            "direct_redis_password": PASSWORD,
            "direct_redis_connections": 3,
            "direct_redis_command_s": 5.0,
        }
        config = SimpleNamespace(extra_config=own | settings)
        connector = module.DirectRedisConnector(None, memory or Memory(), config)
        made.append(connector)
        return connector

    yield connected
    for connector in made:
        asyncio.run(connector.close())


def stored(connector: Any) -> None:
    asyncio.run(connector.batched_put(KEYS, CHUNKS))


def loaded(connector: Any) -> list[Chunk | None]:
    found: list[Chunk | None] = asyncio.run(connector.batched_get(KEYS))
    return found


def test_chunks_come_back_as_they_were_over_all_connections(connect: Callable[..., Any], server: Server) -> None:
    connector = connect()
    assert connector.batched_contains(KEYS) == 0
    server.client.client_pause(200)  # so that no connection is done before the others begin
    stored(connector)
    assert connector.batched_contains(KEYS) == len(KEYS)
    server.client.client_pause(200)
    assert [found.data for found in loaded(connector) if found] == [one.data for one in CHUNKS]
    assert server.client.dbsize() == len(KEYS)
    lookups, loads, stores = 1, 3, 3
    assert len(server.client.client_list()) - 1 == lookups + loads + stores


def test_a_chunk_that_is_missing_ends_what_is_found_and_leaves_the_others(
    connect: Callable[..., Any], server: Server
) -> None:
    connector = connect()
    stored(connector)
    server.client.delete(KEYS[4].to_string() + SUFFIX)
    assert connector.batched_contains(KEYS) == 4
    assert asyncio.run(connector.batched_async_contains("lookup", KEYS)) == 4
    assert not connector.exists_sync(KEYS[4])
    assert [place for place, found in enumerate(loaded(connector)) if found is None] == [4]


def test_a_chunk_of_fewer_tokens_comes_back_as_long_as_it_was(connect: Callable[..., Any]) -> None:
    connector = connect()
    short = chunk(1, size=3 * TOKEN_BYTES)
    asyncio.run(connector.put(KEYS[0], short))
    found = asyncio.run(connector.get(KEYS[0]))
    assert found.data == short.data
    assert found.description == short.description


def test_what_other_clients_of_lmcache_wrote_is_not_read(connect: Callable[..., Any], server: Server) -> None:
    connector = connect()
    name = KEYS[0].to_string()
    for other in (name, f"{name}kv_bytes", f"{name}metadata"):
        server.client.set(other, bytes(CHUNK_BYTES))
    assert connector.batched_contains(KEYS) == 0
    assert asyncio.run(connector.get(KEYS[0])) is None


def _flipped(value: bytes, dice: random.Random) -> bytes:
    place = dice.randrange(len(value))
    return value[:place] + bytes([value[place] ^ (1 << dice.randrange(8))]) + value[place + 1 :]


HEADER_BYTES = [place for place in range(28) if place not in range(5, 8)]
"""Three bytes of the header are empty, and nothing reads them."""


def _header_changed(value: bytes, place: int) -> bytes:
    return value[:place] + bytes([value[place] ^ 0x55]) + value[place + 1 :]


CHANGES: dict[str, Callable[[bytes, bytes, random.Random], bytes]] = {
    "a bit flipped": lambda value, _, dice: _flipped(value, dice),
    "truncated": lambda value, _, dice: value[: dice.randrange(len(value))],
    "of another key": lambda _, other, __: other,
    "its description changed": lambda value, *_: value[:40] + b"9" + value[41:],
    "a byte of the header changed": lambda value, _, dice: _header_changed(value, dice.choice(HEADER_BYTES)),
    "longer": lambda value, _, dice: value + dice.randbytes(TOKEN_BYTES),
    "empty": lambda *_: b"",
    "of another format": lambda value, *_: b"LKD2" + value[4:],
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_chunk_is_never_used_and_is_deleted(
    connect: Callable[..., Any], server: Server, change: str, caplog: pytest.LogCaptureFixture
) -> None:
    connector = connect()
    dice = random.Random(change)  # noqa: S311 - which byte changes
    first, other = (one.to_string() + SUFFIX for one in KEYS[:2])
    for _ in range(150):
        stored(connector)
        value, another = (bytes(server.client.get(name)) for name in (first, other))  # type: ignore[arg-type]  # no coroutine
        server.client.set(first, CHANGES[change](value, another, dice))
        found = loaded(connector)
        assert found[0] is None
        assert [one.data for one in found[1:] if one] == [one.data for one in CHUNKS[1:]]
        assert not server.client.exists(first)
    assert "A chunk was changed in the store and is not used" in caplog.text


def test_memory_of_changed_chunks_is_given_back(connect: Callable[..., Any], server: Server) -> None:
    memory = Memory()
    connector = connect(memory=memory)
    stored(connector)
    name = KEYS[0].to_string() + SUFFIX
    server.client.setrange(name, 1000, b"changed")
    loaded(connector)
    assert sorted(one.references for one in memory.given) == [0] + [1] * (len(KEYS) - 1)


def test_a_load_that_nobody_waits_for_gives_its_memory_back(connect: Callable[..., Any], server: Server) -> None:
    memory = Memory()
    connector = connect(memory=memory)
    stored(connector)
    server.client.client_pause(300)

    async def given_up() -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(connector.batched_get(KEYS), timeout=0.1)

    asyncio.run(given_up())
    wait_for(lambda: len(memory.given) == len(KEYS), timeout=10, delay=0.05, describe="the chunks to come")
    wait_for(lambda: not any(one.references for one in memory.given), timeout=10, delay=0.05, describe="the memory")


def test_a_store_that_nobody_waits_for_holds_the_memory_that_it_sends(
    connect: Callable[..., Any], server: Server
) -> None:
    connector = connect()
    asyncio.run(connector.exists(KEYS[0]))
    mine = [chunk(number) for number in range(len(KEYS))]
    server.client.client_pause(300)

    async def given_up() -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(connector.batched_put(KEYS, mine), timeout=0.1)

    asyncio.run(given_up())
    assert {one.references for one in mine} == {2}
    wait_for(lambda: {one.references for one in mine} == {1}, timeout=10, delay=0.05, describe="the stores to end")
    assert connector.batched_contains(KEYS) == len(KEYS)


def test_lookups_do_not_wait_for_loads(connect: Callable[..., Any]) -> None:
    connector = connect()
    stored(connector)
    busy = threading.Event()
    for _ in range(3):
        connector._loads.submit(lambda _: busy.wait(30))  # noqa: SLF001 - nothing else keeps the connections busy
    assert connector.batched_contains(KEYS) == len(KEYS)
    busy.set()


def test_without_room_in_lmcache_chunks_stay_where_they_are(
    connect: Callable[..., Any], server: Server, module: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "ROOM_S", 0.1)
    connector = connect(memory=Memory(room=4))
    stored(connector)
    assert sum(found is not None for found in loaded(connector)) == 4
    assert server.client.dbsize() == len(KEYS)


def test_a_server_without_room_loses_chunks_and_stops_nothing(
    connect: Callable[..., Any], server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    connector = connect()
    server.client.config_set("maxmemory", "1")
    stored(connector)
    assert "Chunks could not be stored: OOM" in caplog.text
    server.client.config_set("maxmemory", "0")
    stored(connector)
    assert connector.batched_contains(KEYS) == len(KEYS)


def test_a_server_that_comes_back_is_used_again(
    connect: Callable[..., Any], server: Server, module: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "AWAY_S", 0.0)
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
    connect: Callable[..., Any], server: Server, module: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "AWAY_S", 1e9)
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
    stored(connect(direct_redis_username="cache", direct_redis_password="another\n"))  # noqa: S106 - of this test


@pytest.fixture
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def encrypted(server: Server, authority: trustme.CA) -> Iterator[int]:
    """The port where the server answers with TLS, to clients with a certificate of the authority."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    authority.configure_trust(context)
    context.verify_mode = ssl.CERT_REQUIRED

    class Relay(StreamRequestHandler):
        def handle(self) -> None:
            with (
                suppress(OSError),
                context.wrap_socket(self.connection, server_side=True) as outside,
                socket.create_connection(("127.0.0.1", server.port)) as inside,
            ):
                back = threading.Thread(target=_copy, args=(inside, outside))
                back.start()
                _copy(outside, inside)
                back.join()

    with ThreadingTCPServer(("127.0.0.1", 0), Relay) as relay:
        relay.daemon_threads, relay.block_on_close = True, False
        threading.Thread(target=relay.serve_forever, daemon=True).start()
        yield relay.server_address[1]
        relay.shutdown()


def _copy(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)


@pytest.fixture
def certificates(authority: trustme.CA, tmp_path: Path) -> dict[str, str]:
    """Settings with the authority and a certificate of a client."""
    paths = {name: tmp_path / f"{name}.pem" for name in ("ca", "certificate", "key")}
    own = authority.issue_cert("client.example.com")
    authority.cert_pem.write_to_path(paths["ca"])
    own.cert_chain_pems[0].write_to_path(paths["certificate"])
    own.private_key_pem.write_to_path(paths["key"])
    return {f"direct_redis_{name}": str(path) for name, path in paths.items()}


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


def test_the_checksum_of_every_image_is_told_apart(
    connect: Callable[..., Any], module: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    connector = connect()

    def crc32c(value: int, piece: bytes) -> int:
        assert type(piece) is bytes, "google_crc32c takes no other type"
        return (value + sum(piece)) % 2**32

    monkeypatch.setattr(module, "crc32c", crc32c)
    stored(connector)
    assert None not in loaded(connector)
    monkeypatch.setattr(module, "crc32c", None)
    assert loaded(connector) == [None] * len(KEYS), "another image's checksum was not checked"
    assert connector.batched_contains(KEYS) == len(KEYS), "another image's chunks were deleted"
    assert "cannot compute their checksum" in caplog.text
    stored(connector)
    assert None not in loaded(connector)


def test_chunks_that_another_lmcache_described_are_missing_and_stay(
    connect: Callable[..., Any], server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    connector = connect()
    stored(connector)
    unknown: dict[str, RemoteMetadata] = {}
    monkeypatch.setattr(RemoteMetadata, "deserialize", staticmethod(lambda _: unknown["dtype"]))
    assert loaded(connector) == [None] * len(KEYS)
    assert server.client.dbsize() == len(KEYS)


def test_an_asynchronous_load_ends_before_the_first_chunk_that_is_missing(
    connect: Callable[..., Any], server: Server
) -> None:
    memory = Memory()
    connector = connect(memory=memory)
    stored(connector)
    server.client.delete(KEYS[4].to_string() + SUFFIX)
    found = asyncio.run(connector.batched_get_non_blocking("lookup", KEYS))
    assert [one.data for one in found] == [one.data for one in CHUNKS[:4]]
    assert sum(one.references for one in memory.given) == 4


def test_a_full_server_evicts_nothing_for_its_own_answers(connect: Callable[..., Any], server: Server) -> None:
    connector = connect(direct_redis_connections=1)
    big = [chunk(number, size=1 << 20) for number in range(len(KEYS))]
    asyncio.run(connector.batched_put(KEYS, big))
    used = int(server.client.info("memory")["used_memory"])
    server.client.config_set("min-string-size-avoid-copy-reply", 2**31 - 1)
    server.client.config_set("maxmemory-policy", "allkeys-lru")
    server.client.config_set("maxmemory", used + (3 << 20))
    assert None not in loaded(connector)
    assert server.client.info("stats")["evicted_keys"] == 0


def test_a_connection_that_was_idle_for_long_is_made_anew(
    connect: Callable[..., Any], server: Server, module: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    connector = connect()
    before = server.client.info("stats")["total_connections_received"]
    assert connector.batched_contains(KEYS) == 0
    assert server.client.info("stats")["total_connections_received"] == before
    monkeypatch.setattr(module, "IDLE_S", 0.0)
    assert connector.batched_contains(KEYS) == 0
    assert server.client.info("stats")["total_connections_received"] == before + 1
