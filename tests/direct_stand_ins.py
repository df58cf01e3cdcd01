"""What tests of the client direct share: stand-ins of LMCache, a real Valkey, and chunks to store."""

import asyncio
import json
import random
import socket
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import redis

from lmcache_kserve.local.programs import embedded_server
from lmcache_kserve.waiting import wait_for

TOKEN_BYTES, CHUNK_BYTES = 64, 64 * 256
METADATA_BYTES = 80
PASSWORD = "correct horse"  # noqa: S105 - of a server that the tests start
SUFFIX = "@direct2"


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

    @property
    def pid(self) -> int:
        return self._process.pid

    def stop(self) -> None:
        self._process.kill()
        self._process.wait()


def key(text: str) -> SimpleNamespace:
    return SimpleNamespace(to_string=lambda: text)


def chunk(seed: int, size: int = CHUNK_BYTES) -> Chunk:
    data = bytearray(random.Random(seed).randbytes(size))  # noqa: S311 - it makes bytes to store, and no secret
    return Chunk(data, description=([size], ["bfloat16"], "KV_2LTD"))


KEYS = [key(f"model@1@0@{number:x}@float") for number in range(9)]
CHUNKS = [chunk(number) for number in range(len(KEYS))]


def stored(connector: Any) -> None:
    asyncio.run(connector.batched_put(KEYS, CHUNKS))


def loaded(connector: Any) -> list[Chunk | None]:
    found: list[Chunk | None] = asyncio.run(connector.batched_get(KEYS))
    return found
