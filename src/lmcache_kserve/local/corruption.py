"""Changes what a backend has stored, while the release uses it: flipped bytes, cut ends, contents under another key."""

import os
import random
from collections.abc import Iterator
from itertools import cycle
from pathlib import Path
from typing import Protocol

import redis

from lmcache_kserve.errors import HarnessError
from lmcache_kserve.lmcache.backends import Source
from lmcache_kserve.lmcache.count import folder, resp
from lmcache_kserve.local.backend import LocalBackend

FLIPPED, TRUNCATED, SWAPPED = "flipped", "truncated", "swapped"
KINDS = (FLIPPED, TRUNCATED, SWAPPED)
_FLIPPED_BYTES = 16
_LEAST_BYTES = 1024
"""A value below it is the description that redis-py stores beside a chunk."""
_SCAN = 1000


class Stored(Protocol):
    """What a backend holds, by name."""

    def names(self) -> list[bytes]:
        """The names of all chunks."""

    def read(self, name: bytes) -> bytes | None:
        """The content of a chunk; None where it has gone."""

    def write(self, name: bytes, content: bytes) -> bool:
        """Replace the content of a chunk; whether the chunk was still there."""


class Keys:
    """The keys of a Redis or Valkey server, over a plain connection of the harness."""

    def __init__(self, client: "redis.Redis") -> None:
        self._client = client

    def names(self) -> list[bytes]:
        """The keys that hold a chunk."""
        keys = list(self._client.scan_iter(count=_SCAN))
        with self._client.pipeline(transaction=False) as asked:
            for key in keys:
                asked.strlen(key)
            lengths = asked.execute()
        return [key for key, length in zip(keys, lengths, strict=True) if length >= _LEAST_BYTES]

    def read(self, name: bytes) -> bytes | None:
        """The value of a key."""
        value = self._client.get(name)
        return value if isinstance(value, bytes) else None

    def write(self, name: bytes, content: bytes) -> bool:
        """Replace the value of a key that is still there."""
        return bool(self._client.set(name, content, xx=True))


class Files:
    """The files of a folder that the replicas share."""

    def __init__(self, place: Path) -> None:
        self._place = place

    def names(self) -> list[bytes]:
        """The names of the chunks' files."""
        return [os.fsencode(file.name) for file in folder.chunks(self._place)]

    def read(self, name: bytes) -> bytes | None:
        """The content of a file."""
        try:
            return self._file(name).read_bytes()
        except FileNotFoundError:
            return None

    def write(self, name: bytes, content: bytes) -> bool:
        """Replace the content in its place, as a broken disk does: a replica that reads the file sees the change."""
        try:
            with self._file(name).open("r+b") as file:
                file.write(content)
                file.truncate()
        except FileNotFoundError:
            return False
        return True

    def _file(self, name: bytes) -> Path:
        return self._place / os.fsdecode(name)


class Corruptor:
    """Changes each stored chunk once, by turns in each of the `KINDS`.

    Attributes:
        counts: how many chunks were changed so far, by kind.
    """

    def __init__(self, stored: Stored, *, seed: int) -> None:
        self._stored = stored
        self._random = random.Random(seed)  # noqa: S311 - repeatable on purpose
        self._kinds = cycle(KINDS)
        self._done: set[bytes] = set()
        self.counts = dict.fromkeys(KINDS, 0)

    def corrupt(self) -> int:
        """Change every chunk that was not changed before; returns how many that were.

        Raises:
            HarnessError: the backend cannot be reached.
        """
        before = sum(self.counts.values())
        try:
            self._corrupt(sorted(set(self._stored.names()) - self._done))
        except (redis.RedisError, OSError) as error:
            raise HarnessError(f"cannot change what the backend stored: {error}") from error
        return sum(self.counts.values()) - before

    def _corrupt(self, names: list[bytes]) -> None:
        self._random.shuffle(names)
        fresh = iter(names)
        for name in fresh:
            content = self._stored.read(name)
            if not content:
                continue
            kind = next(self._kinds)
            if kind == SWAPPED and self._swapped(name, content, fresh):
                continue
            changed = self._truncated(content) if kind == TRUNCATED else self._flipped(content)
            if self._stored.write(name, changed):
                self._count(TRUNCATED if kind == TRUNCATED else FLIPPED, name)

    def _swapped(self, name: bytes, content: bytes, others: Iterator[bytes]) -> bool:
        """Give a chunk the content of the next one, and that one its own; whether there was another one."""
        other = next(others, None)
        another = self._stored.read(other) if other is not None else None
        if other is None or not another or another == content:
            return False
        if self._stored.write(name, another):
            self._count(SWAPPED, name)
        if self._stored.write(other, content):
            self._count(SWAPPED, other)
        return True

    def _count(self, kind: str, name: bytes) -> None:
        self.counts[kind] += 1
        self._done.add(name)

    def _truncated(self, content: bytes) -> bytes:
        return content[: self._random.randrange(len(content))]

    def _flipped(self, content: bytes) -> bytes:
        changed = bytearray(content)
        for place in self._random.sample(range(len(content)), min(_FLIPPED_BYTES, len(content))):
            changed[place] ^= 0xFF
        return bytes(changed)


def stored_in(backend: LocalBackend) -> Stored:
    """The chunks of a running backend.

    Raises:
        HarnessError: nobody reaches them from outside.
    """
    match backend.traits.source:
        case Source.REDIS:
            return Keys(resp.connected(backend.settings.redis_url, backend.settings.login))
        case Source.FILES:
            return Files(Path(backend.settings.shared_folder or ""))
    raise HarnessError(f"what a backend of type {backend.type} stored cannot be changed from outside")
