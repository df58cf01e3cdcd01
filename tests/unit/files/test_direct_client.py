"""The client direct of mode multiprocess. LMCache's server, which submits and collects batches, is stood in for."""

import importlib
import os
import random
import select
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pytest
from direct_stand_ins import CHUNK_BYTES, PASSWORD, SUFFIX, Server

from lmcache_kserve.waiting import wait_for

OWN_SUFFIX = "@direct-mp1"
KEYS = [f"a/b@00000000@0@{number:064x}" for number in range(9)]
NAMES = [key + OWN_SUFFIX for key in KEYS]
CHUNKS = [random.Random(number).randbytes(CHUNK_BYTES) for number in range(len(KEYS))]  # noqa: S311 - bytes to store
COMMAND_S = 2.0
SOON_S = 1.0
"""Longer than whoever waits for nobody takes on a busy machine, and shorter than the timeout."""

ALL, NONE = [True] * len(KEYS), [False] * len(KEYS)


@dataclass
class Adapter:
    """What LMCache's server does with a client."""

    client: Any

    def awaited(self, number: int) -> tuple[bool, str, list[bool]]:
        poll = select.poll()
        poll.register(self.client.event_fd(), select.POLLIN)
        while poll.poll(20_000):
            for done, went_well, error, found in self.client.drain_completions():
                assert done == number
                return went_well, error, found
        raise AssertionError("nothing was said of a batch")

    def store(self, chunks: Sequence[bytes] = CHUNKS) -> bool:
        views = [memoryview(bytearray(chunk)) for chunk in chunks]
        went_well, error, _ = self.awaited(self.client.submit_batch_set(KEYS[: len(chunks)], views))
        assert went_well is not bool(error)
        return went_well

    def find(self) -> list[bool]:
        went_well, _, found = self.awaited(self.client.submit_batch_exists(KEYS))
        return found if went_well else NONE

    def load(self, size: int = CHUNK_BYTES) -> tuple[list[bool], list[bytes]]:
        memory = [bytearray(size) for _ in KEYS]
        _, _, found = self.awaited(self.client.submit_batch_get(KEYS, [memoryview(one) for one in memory]))
        return found, [bytes(one) for one in memory]

    def right(self) -> bool:
        """Whether all chunks come back as they were."""
        return self.load() == (ALL, CHUNKS)

    def quickly(self) -> list[bool]:
        """What is found by a lookup that may wait for nobody."""
        started = time.monotonic()
        found = self.find()
        assert time.monotonic() - started < SOON_S
        return found


Connect = Callable[..., Adapter]


@pytest.fixture
def connect(module: Any, server: Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[Connect]:  # noqa: ARG001 - the stand-ins of LMCache
    client = importlib.import_module("direct_client")
    made: list[Any] = []

    def connected(*, password: str = PASSWORD, username: str | None = None, **settings: Any) -> Adapter:
        monkeypatch.setenv("LMCACHE_RESP_PASSWORD", password)
        if username:
            monkeypatch.setenv("LMCACHE_RESP_USERNAME", username)
        own = {
            "direct_redis_url": f"redis://127.0.0.1:{server.port}/0",
            "direct_redis_connections": 3,
            "direct_redis_connect_s": 1.0,
            "direct_redis_command_s": COMMAND_S,
        }
        made.append(client.DirectClient(**own | settings))
        return Adapter(made[-1])

    yield connected
    for one in made:
        one.close()


def test_chunks_come_back_as_they_were(connect: Connect, server: Server) -> None:
    adapter = connect()
    assert adapter.find() == NONE
    assert adapter.store()
    assert adapter.find() == ALL
    assert adapter.right()
    assert sorted(key.decode() for key in server.client.scan_iter()) == sorted(NAMES)


def test_a_batch_of_nothing_is_done(connect: Connect) -> None:
    client = connect().client
    assert Adapter(client).awaited(client.submit_batch_exists([])) == (True, "", [])


def test_batches_that_are_under_way_together_keep_their_numbers(connect: Connect) -> None:
    adapter = connect()
    assert adapter.store()
    client = adapter.client
    numbers = [client.submit_batch_exists(KEYS[:count]) for count in range(1, len(KEYS))]
    found: dict[int, int] = {}

    def all_done() -> bool:
        found.update({number: len(keys) for number, _, _, keys in client.drain_completions()})
        return len(found) == len(numbers)

    wait_for(all_done, timeout=10, delay=0.01, describe="all batches")
    assert [found[number] for number in numbers] == list(range(1, len(KEYS)))


def test_what_lmcache_evicts_is_deleted(connect: Connect) -> None:
    adapter = connect()
    assert adapter.store()
    client = adapter.client
    _, _, deleted = adapter.awaited(client.submit_batch_delete(KEYS[:2]))
    assert deleted == [True, True]
    assert adapter.awaited(client.submit_batch_delete(KEYS[:1]))[2] == [False]
    assert adapter.find() == [False, False, *ALL[2:]]


@pytest.mark.parametrize("suffix", ["", SUFFIX])
def test_what_other_clients_of_lmcache_wrote_is_not_read(connect: Connect, server: Server, suffix: str) -> None:
    for key in KEYS:
        server.client.set(key + suffix, bytes(CHUNK_BYTES))
    adapter = connect()
    assert adapter.find() == NONE
    assert adapter.load()[0] == NONE
    assert server.client.dbsize() == len(KEYS), "it deleted what is another client's"


def _flipped(value: bytes, dice: random.Random) -> bytes:
    # Three bytes of the header are empty, and nothing reads them.
    place = dice.choice([place for place in range(len(value)) if place not in range(5, 8)])
    return value[:place] + bytes([value[place] ^ (1 << dice.randrange(8))]) + value[place + 1 :]


CHANGES: dict[str, Callable[[bytes, bytes, random.Random], bytes]] = {
    "a bit flipped": lambda value, _, dice: _flipped(value, dice),
    "truncated": lambda value, _, dice: value[: dice.randrange(len(value))],
    "of another key": lambda _, other, __: other,
    "longer": lambda value, _, dice: value + dice.randbytes(64),
    "empty": lambda *_: b"",
    "all zeros": lambda value, *_: bytes(len(value)),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_chunk_is_never_used_and_is_deleted(
    connect: Connect, server: Server, change: str, caplog: pytest.LogCaptureFixture
) -> None:
    adapter = connect()
    dice = random.Random(change)  # noqa: S311 - it chooses the bytes to change, and no secret
    for _ in range(100):
        assert adapter.store()
        value, another = (bytes(server.client.get(name)) for name in NAMES[:2])  # type: ignore[arg-type]  # no coroutine
        server.client.set(NAMES[0], CHANGES[change](value, another, dice))
        found, chunks = adapter.load()
        assert found == [False, *ALL[1:]]
        assert chunks[1:] == CHUNKS[1:]
        assert not server.client.exists(NAMES[0])
    assert "A chunk was changed in the store and is not used" in caplog.text


def test_a_chunk_that_does_not_fit_into_the_memory_is_missing_and_stays(connect: Connect, server: Server) -> None:
    adapter = connect()
    assert adapter.store()
    for size in (CHUNK_BYTES - 1, CHUNK_BYTES + 1):
        found, memory = adapter.load(size)
        assert found == NONE
        assert not any(map(any, memory)), "bytes of a chunk of another size were written into the memory"
    assert server.client.dbsize() == len(KEYS)
    assert adapter.right()


def test_the_checksum_of_every_image_is_told_apart(
    connect: Connect, module: Any, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    adapter = connect()
    assert adapter.store()
    monkeypatch.setattr(module, "crc32c", None)
    assert adapter.load()[0] == NONE, "another image's checksum was not checked"
    assert server.client.dbsize() == len(KEYS), "another image's chunks were deleted"
    assert adapter.store()
    assert adapter.right()


def test_a_server_without_room_loses_chunks_and_is_used_again(
    connect: Connect, server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    adapter = connect()
    server.client.config_set("maxmemory", "1")
    assert not adapter.store()
    assert "Chunks could not be stored: OOM" in caplog.text
    assert adapter.find() == NONE
    server.client.config_set("maxmemory", "0")
    assert adapter.store()
    assert adapter.right()


def test_a_server_that_is_replaced_costs_no_request(connect: Connect, server: Server) -> None:
    adapter = connect()
    assert adapter.store()
    server.stop()
    server.start()
    assert adapter.store()
    assert adapter.right()


def test_a_server_that_is_away_is_waited_for_by_nobody_and_used_again_when_it_is_back(
    connect: Connect, server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    adapter = connect()
    assert adapter.store()
    server.stop()
    assert adapter.quickly() == NONE
    wait_for(lambda: "is away, so nothing is found" in caplog.text, timeout=5, delay=0.02, describe="a warning")
    caplog.clear()
    for _ in range(50):
        assert adapter.quickly() == NONE
        assert not adapter.store()
        assert adapter.load()[0] == NONE
    assert caplog.text == "", "each request writes into the log"
    server.start()
    wait_for(adapter.store, timeout=10, delay=0.05, describe="a store")
    assert adapter.right()


def test_a_server_that_comes_after_the_client_is_found(connect: Connect, server: Server) -> None:
    server.stop()
    adapter = connect()
    assert adapter.quickly() == NONE
    server.start()
    wait_for(adapter.store, timeout=10, delay=0.05, describe="a store")
    assert adapter.right()


def test_a_server_that_falls_silent_holds_nobody_up_for_longer_than_the_timeout(
    connect: Connect, server: Server
) -> None:
    adapter = connect(direct_redis_connect_s=COMMAND_S)
    assert adapter.store()
    assert adapter.right()
    os.kill(server.pid, signal.SIGSTOP)
    started = time.monotonic()
    assert adapter.load()[0] == NONE
    assert time.monotonic() - started < COMMAND_S + SOON_S
    for _ in range(20):
        assert adapter.quickly() == NONE
    os.kill(server.pid, signal.SIGCONT)
    wait_for(lambda: adapter.find() == ALL, timeout=10, delay=0.05, describe="the chunks to be found again")
    assert adapter.right()


def test_a_server_that_is_silent_from_the_start_holds_nobody_up_for_longer(connect: Connect, server: Server) -> None:
    os.kill(server.pid, signal.SIGSTOP)
    started = time.monotonic()
    adapter = connect(direct_redis_connect_s=COMMAND_S)
    assert time.monotonic() - started < 2 * COMMAND_S + SOON_S
    assert adapter.quickly() == NONE
    os.kill(server.pid, signal.SIGCONT)
    wait_for(adapter.store, timeout=10, delay=0.05, describe="a store")


def test_memory_is_left_alone_once_a_batch_is_done(connect: Connect, server: Server) -> None:
    adapter = connect()
    assert adapter.store()
    os.kill(server.pid, signal.SIGSTOP)
    memory = [bytearray(CHUNK_BYTES) for _ in KEYS]
    client = adapter.client
    adapter.awaited(client.submit_batch_get(KEYS, [memoryview(one) for one in memory]))
    before = [bytes(one) for one in memory]
    os.kill(server.pid, signal.SIGCONT)
    wait_for(lambda: adapter.find() == ALL, timeout=10, delay=0.05, describe="the chunks to be found again")
    assert [bytes(one) for one in memory] == before


def test_databases_keep_chunks_apart(connect: Connect, server: Server) -> None:
    third = connect(direct_redis_url=f"redis://127.0.0.1:{server.port}/3")
    assert third.store()
    assert connect().find() == NONE
    assert third.right()
    assert server.client.info("keyspace")["db3"]["keys"] == len(KEYS)


def test_a_user_with_a_name_logs_in(connect: Connect, server: Server) -> None:
    server.client.acl_setuser("cache", enabled=True, passwords=["+another"], keys=["*"], commands=["+@all"])
    assert connect(username="cache", password="another\n").store()  # noqa: S106 - of the server that this test starts


def test_a_wrong_password_finds_nothing_and_the_log_says_why(
    connect: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    adapter = connect(password="never written down")  # noqa: S106 - no server has it
    assert adapter.quickly() == NONE
    assert not adapter.store()
    assert "is away, so nothing is found or stored there: WRONGPASS" in caplog.text
    assert "never written down" not in caplog.text


@pytest.fixture
def tls(encrypted: int, certificates: dict[str, str]) -> dict[str, str]:
    """Settings for a server that asks for a certificate."""
    return {"direct_redis_url": f"rediss://localhost:{encrypted}/0", **certificates}


def test_chunks_travel_encrypted_between_two_that_know_each_other(connect: Connect, tls: dict[str, str]) -> None:
    adapter = connect(**tls)
    assert adapter.store()
    assert adapter.right()


def test_a_server_of_another_authority_is_away_unless_any_is_trusted(
    connect: Connect, tls: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    del tls["direct_redis_ca"]
    adapter = connect(**tls)
    assert adapter.quickly() == NONE
    assert not adapter.store()
    assert "CERTIFICATE_VERIFY_FAILED" in caplog.text
    assert connect(**tls, direct_redis_verify=False).store()


def test_a_server_that_wants_a_certificate_is_away_for_whoever_has_none(connect: Connect, tls: dict[str, str]) -> None:
    del tls["direct_redis_certificate"]
    adapter = connect(**tls)
    assert adapter.quickly() == NONE
    assert not adapter.store()


def test_what_stands_in_the_servers_place_is_no_server(connect: Connect, encrypted: int) -> None:
    adapter = connect(direct_redis_url=f"redis://localhost:{encrypted}/0")
    assert adapter.quickly() == NONE
