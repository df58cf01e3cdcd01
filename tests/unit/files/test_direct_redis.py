"""The client direct: what is stored, what comes back, and what was changed in between. LMCache is stood in for."""

import asyncio
import random
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from direct_stand_ins import (
    CHUNK_BYTES,
    CHUNKS,
    KEYS,
    SUFFIX,
    TOKEN_BYTES,
    Memory,
    RemoteMetadata,
    Server,
    chunk,
    loaded,
    stored,
)

from lmcache_kserve.local.corruption import KINDS, Corruptor, Keys
from lmcache_kserve.waiting import wait_for


def test_chunks_come_back_as_they_were_over_all_connections(connect: Callable[..., Any], server: Server) -> None:
    connector = connect(direct_redis_connect_s=5.0)  # longer than the pauses
    assert connector.batched_contains(KEYS) == 0
    server.client.client_pause(1000)  # so that no connection is done before the others begin
    stored(connector)
    assert connector.batched_contains(KEYS) == len(KEYS)
    server.client.client_pause(1000)
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


HEADER_BYTES = [place for place in range(24) if place not in range(5, 8)]
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
    dice = random.Random(change)  # noqa: S311 - it chooses the bytes to change, and no secret
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


def test_without_room_in_lmcache_chunks_stay_where_they_are(
    connect: Callable[..., Any], server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("redis_connections.ROOM_S", 0.1)
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


def test_the_checksum_of_every_image_is_told_apart(
    connect: Callable[..., Any], module: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    connector = connect()
    assert module.checksum_kind() == module.CRC32C
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


def test_a_chunk_of_fewer_tokens_comes_back_as_long_as_it_was(connect: Callable[..., Any]) -> None:
    connector = connect()
    short = chunk(1, size=3 * TOKEN_BYTES)
    asyncio.run(connector.put(KEYS[0], short))
    found = asyncio.run(connector.get(KEYS[0]))
    assert found.data == short.data
    assert found.description == short.description


def test_of_a_thousand_changed_chunks_none_is_used(connect: Callable[..., Any], server: Server) -> None:
    connector, rounds = connect(), -(-1000 // len(KEYS))
    counts = dict.fromkeys(KINDS, 0)
    used = []
    for seed in range(rounds):
        stored(connector)
        corruptor = Corruptor(Keys(server.client), seed=seed)
        assert corruptor.corrupt() == len(KEYS)
        used += [chunk for chunk in loaded(connector) if chunk is not None]
        counts = {kind: counts[kind] + count for kind, count in corruptor.counts.items()}
    assert used == []
    assert sum(counts.values()) >= 1000
    assert min(counts.values()) > 100
