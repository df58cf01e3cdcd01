"""Run LMCache's server with its memory divided among tenants (lmcache.tenants.quotas).

LMCache's quotas bound what a tenant has in a backend (`lmcache/v1/distributed/quota_manager.py`). They leave its memory
to whoever stores most: `L1EvictionController` evicts without a `cache_salt`, and ends with the policy IsolatedLRU. Here
each tenant has a share of the memory, and requests without a quota have the rest. What does not fit evicts the least
recently used chunks of its own share, and is not kept when these are in use or too few. So nobody evicts another's.

Usage: tenant_mp_server.py MODULE ARGUMENT ...

MODULE is mp_server or shared_mp_server, which gets the arguments. `quotas.json` beside this file has the bytes of each
tenant, by the name that salts.py gives a salt. It needs LMCache 0.5.0 or later, with `--eviction-policy=noop`.
"""

from __future__ import annotations

import importlib
import json
import logging
import math
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import mp_server

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from lmcache.v1.distributed.api import MemoryLayoutDesc, ObjectKey

QUOTAS = Path(__file__).absolute().parent / "quotas.json"
GIB = 1 << 30
# LMCache's own eviction has nothing to do, and says so every second while the memory is well used.
EVICTION_LOGGER = "lmcache.v1.distributed.storage_controllers.eviction_controller"


class Share:
    """A part of the memory: its size, what is taken of it, and the order in which its chunks were used."""

    def __init__(self, size: int, order: Any) -> None:  # noqa: ANN401 - LMCache's policy, whose module is imported late
        self.size = size
        self.taken = 0
        self.order = order

    @property
    def room(self) -> int:
        """Bytes that nobody has taken; fewer than none where the share was overdrawn."""
        return self.size - self.taken

    def oldest(self, missing: int, evictable: Callable[[ObjectKey], bool]) -> list[ObjectKey]:
        """The least recently used chunks, for so many bytes; fewer where the others are in use."""
        part = min(1.0, missing / self.taken) if self.taken else 0.0
        actions = self.order.get_eviction_actions(part, key_eligible_filter=evictable)
        return [key for action in actions for key in action.keys]


class Shares:
    """The memory, divided. LMCache tells it of chunks as it tells its own policies, and of memory through `count`."""

    def __init__(self, quotas: dict[str, int], capacity: int, policy: Callable[[], Any]) -> None:
        self._by_name = {name: Share(size, policy()) for name, size in quotas.items()}
        self._rest = Share(capacity - sum(quotas.values()), policy())
        self._owners: dict[int, tuple[Share, int]] = {}
        self._lock = threading.Lock()
        self.asking = self._rest
        """Whose chunks LMCache takes memory for; it does so for one at a time."""

    def of(self, key: ObjectKey) -> Share:
        """The share that a chunk belongs to."""
        return self._by_name.get(key.cache_salt, self._rest)

    def divided(self, keys: Sequence[ObjectKey]) -> list[tuple[Share, list[ObjectKey]]]:
        """Chunks by the share that they belong to, in their order."""
        parts: dict[int, tuple[Share, list[ObjectKey]]] = {}
        for key in keys:
            share = self.of(key)
            parts.setdefault(id(share), (share, []))[1].append(key)
        return list(parts.values())

    def count(self, memory: Any) -> None:  # noqa: ANN401 - LMCache's memory manager, of which there are three
        """Count what LMCache takes of its memory and gives back."""
        allocate, free = memory.allocate, memory.free

        def allocated(*arguments: Any) -> Any:  # noqa: ANN401 - passed through
            error, objects = allocate(*arguments)
            with self._lock:
                for one in objects:
                    size = one.get_physical_size()
                    self._owners[id(one)] = (self.asking, size)
                    self.asking.taken += size
            return error, objects

        def freed(objects: Sequence[Any]) -> Any:  # noqa: ANN401 - passed through
            with self._lock:
                for one in objects:
                    share, size = self._owners.pop(id(one), (self._rest, 0))
                    share.taken -= size
            return free(objects)

        memory.allocate, memory.free = allocated, freed

    def on_keys_reserved(self, keys: list[ObjectKey]) -> None:
        """Memory is reserved for chunks; LMCache 0.5.6 and later say so."""
        for share, own in self.divided(keys):
            share.order.on_keys_reserved(own)

    def on_keys_created(self, keys: list[ObjectKey]) -> None:
        """Chunks were written."""
        for share, own in self.divided(keys):
            share.order.on_keys_created(own)

    def on_keys_touched(self, keys: list[ObjectKey]) -> None:
        """Chunks were used."""
        for share, own in self.divided(keys):
            share.order.on_keys_touched(own)

    def on_keys_removed(self, keys: list[ObjectKey]) -> None:
        """Chunks are gone."""
        for share, own in self.divided(keys):
            share.order.on_keys_removed(own)


def size_of(layout: MemoryLayoutDesc, *, alignment: int) -> int:
    """Bytes that LMCache takes for a chunk."""
    size = sum(math.prod(shape) * dtype.itemsize for shape, dtype in zip(layout.shapes, layout.dtypes, strict=True))
    return -(-size // alignment) * alignment


def divide(quotas: dict[str, int]) -> None:
    """Change LMCache's server in this process; call this before the server starts."""
    from lmcache.v1.distributed import storage_manager  # noqa: PLC0415 - LMCache imports PyTorch for seconds, and a signal to end must find its handler before
    from lmcache.v1.distributed.error import L1Error  # noqa: PLC0415 - as above
    from lmcache.v1.distributed.eviction import L1EvictionPolicy  # noqa: PLC0415 - as above
    from lmcache.v1.distributed.eviction_policy.lru import LRUEvictionPolicy  # noqa: PLC0415 - as above

    class Divided(storage_manager.L1Manager):
        """LMCache's memory, of which nobody takes more than their share."""

        def __init__(self, config: Any) -> None:  # noqa: ANN401 - LMCache's own type
            super().__init__(config)
            memory = config.memory_config
            self._alignment = memory.align_bytes
            self._shares = Shares(quotas, memory.size_in_bytes, LRUEvictionPolicy)
            self._shares.count(self._memory_manager)
            self._admission = threading.Lock()
            self.register_listener(L1EvictionPolicy(self._shares))

        def reserve_write(
            self,
            keys: list[ObjectKey],
            is_temporary: list[bool],
            layout_desc: MemoryLayoutDesc,
            *others: Any,  # noqa: ANN401 - passed on to LMCache, whose releases have different arguments
            **named: Any,  # noqa: ANN401 - as above
        ) -> dict[ObjectKey, Any]:
            """Reserve memory for chunks, as far as there is room or room can be made."""
            temporary = dict(zip(keys, is_temporary, strict=True))

            def reserve(wanted: list[ObjectKey]) -> dict[ObjectKey, Any]:
                return super(Divided, self).reserve_write(
                    wanted, [temporary[key] for key in wanted], layout_desc, *others, **named
                )

            size = size_of(layout_desc, alignment=self._alignment)
            reserved: dict[ObjectKey, Any] = {}
            with self._admission:
                for share, own in self._shares.divided(keys):
                    self._shares.asking = share
                    new = [key for key in own if key not in self._objects]
                    self._make_room(share, size * len(new))
                    refused = set(new[max(0, share.room // size) :])
                    kept = reserve([key for key in own if key not in refused])
                    # There is room, but in pieces that are too small.
                    while (
                        full := [key for key, (error, _) in kept.items() if error == L1Error.OUT_OF_MEMORY]
                    ) and self._evict(share, size):
                        kept |= reserve(full)
                    reserved |= kept | dict.fromkeys(refused, (L1Error.OUT_OF_MEMORY, None))
            return reserved

        def _make_room(self, share: Share, size: int) -> None:
            """Evict until so many bytes are free, or nothing more can go."""
            while share.room < size and self._evict(share, size - share.room):
                pass

        def _evict(self, share: Share, missing: int) -> bool:
            """Evict from a share; whether anything went."""
            before = share.taken
            self.delete(share.oldest(missing, self.is_key_evictable))
            return share.taken < before

    storage_manager.L1Manager = Divided
    logging.getLogger(EVICTION_LOGGER).setLevel(logging.WARNING)


def main() -> int:
    """Run the server until it ends."""
    server = importlib.import_module(sys.argv.pop(1))
    quotas = json.loads(QUOTAS.read_text(encoding="utf-8"))
    keep_out = mp_server.keep_out

    def prepare() -> None:
        keep_out()
        divide(quotas)
        mp_server.say(f"quotas keep {sum(quotas.values()) / GIB:g} GiB of the memory for {len(quotas)} salts")

    # The server calls it once its handler for signals stands.
    mp_server.keep_out = prepare
    code: int = server.main()
    return code


if __name__ == "__main__":
    sys.exit(main())
