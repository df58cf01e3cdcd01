"""LMCache's file adapter for a folder that stays within a bound: the disk tier of LMCache's server.

LMCache's own adapters keep no folder within a bound (0.5.0 to 0.5.6). `fs` finds what an earlier server has stored, and
never deletes. `fs_native` evicts, but counts and deletes only what its own process has stored: what an earlier one left
stays for ever, and comes on top of `max_capacity_gb`. This adapter extends `fs`. It makes room before it stores. The
folder itself says what is there and when each chunk was used last, so a new server goes on where the last one ended.

- A use sets the time of the chunk's file. The first chunk of a prompt is the last to go: without it no other is found.
- A file of the wrong size, which a node that lost its power may leave, is deleted as soon as its load fails.
- The bound is the volume's size where the volume is smaller.

LMCache loads it by `--l2-adapter` of type `plugin`. clean_filesystem.py lies beside it and deletes the oldest chunks.
The folder belongs to one server. It needs LMCache 0.5.0 or later.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

from clean_filesystem import chunks, delete_oldest, remove_abandoned
from lmcache.logging import init_logger
from lmcache.v1.distributed.internal_api import L2StoreResult
from lmcache.v1.distributed.l2_adapters.fs_l2_adapter import FSL2Adapter, FSL2AdapterConfig

if TYPE_CHECKING:
    from pathlib import Path

    from lmcache.lmcache_native import Bitmap
    from lmcache.v1.distributed.api import ObjectKey
    from lmcache.v1.distributed.l2_adapters.base import AdapterUsage
    from lmcache.v1.memory_management import MemoryObj

STEP_NS = 1000
"""Between the times of two chunks of a prompt; times in seconds, which are compared, tell less apart."""

logger = init_logger(__name__)


class Store(NamedTuple):
    """A store under way: its chunks, their bytes, and whether some of its chunks do not fit into the folder."""

    keys: list[ObjectKey]
    size: int
    cut: bool


class BoundedDisk(FSL2Adapter):
    """One server's folder. LMCache calls the stores from one thread and the loads from another."""

    def __init__(self, settings: dict[str, Any], **_: object) -> None:
        """Take over what the last server left in the folder `base_path`, down to `max_bytes`."""
        super().__init__(FSL2AdapterConfig(settings["base_path"]))
        self._folder = settings["base_path"]
        self._limit = settings["max_bytes"]
        self._stores: dict[int, Store] = {}
        self._settled: dict[int, L2StoreResult] = {}
        self._loads: dict[int, tuple[list[ObjectKey], list[int]]] = {}
        remove_abandoned(self._folder, time.time())
        self._delete_down_to(self._limit)

    def submit_store_task(self, keys: list[ObjectKey], objects: list[MemoryObj]) -> int:
        """Store chunks after the ones that were not used for longest have made room."""
        self._settle()
        sizes = [one.get_size() for one in objects]
        fitting = self._make_room(sizes)
        task: int = super().submit_store_task(keys[:fitting], objects[:fitting])
        self._stores[task] = Store(keys, sum(sizes[:fitting]), fitting < len(keys))
        return task

    def pop_completed_store_tasks(self) -> dict[int, L2StoreResult]:
        """What became of the stores; one that stored a part of its chunks has failed, as LMCache has no word for it."""
        self._settle()
        settled, self._settled = self._settled, {}
        return settled

    def submit_load_task(self, keys: list[ObjectKey], objects: list[MemoryObj]) -> int:
        """Load chunks."""
        task: int = super().submit_load_task(keys, objects)
        self._loads[task] = (keys, [one.get_size() for one in objects])
        return task

    def query_load_result(self, task_id: int) -> Bitmap | None:
        """Which chunks were loaded; these were used now, and a broken one is deleted."""
        loaded = super().query_load_result(task_id)
        if loaded is not None:
            keys, sizes = self._loads.pop(task_id)
            self._use(loaded.gather(keys))
            for place, key in enumerate(keys):
                if not loaded.test(place):
                    self._delete_broken(key, sizes[place])
        return loaded

    def get_usage(self) -> AdapterUsage:
        """What the folder holds, for LMCache's metrics; LMCache counts what this process has stored."""
        counted = super().get_usage()
        return replace(counted, total_bytes_used=self._held, total_capacity_bytes=self._limit)

    def _settle(self) -> None:
        """Count what completed stores have written."""
        for task, result in super().pop_completed_store_tasks().items():
            store = self._stores.pop(task)
            # A store that failed does not say how much it has written.
            self._held += result.bytes_transferred() if result.is_successful() else store.size
            self._use(store.keys)
            self._settled[task] = L2StoreResult(success=False, bytes_transferred=0) if store.cut else result

    def _make_room(self, sizes: list[int]) -> int:
        """Delete until chunks of these sizes fit; returns how many fit, from the first on."""
        under_way = sum(store.size for store in self._stores.values())
        fitting, ahead = 0, under_way
        while fitting < len(sizes) and ahead + sizes[fitting] <= self._limit:
            ahead += sizes[fitting]
            fitting += 1
        free = shutil.disk_usage(self._folder).free
        if self._held + ahead > self._limit or ahead > free:
            held = sum(size for _, size, _ in chunks(self._folder))
            self._delete_down_to(min(self._limit, held + free) - ahead)
        if fitting < len(sizes):
            logger.warning("%s has no room for %d of %d chunks", self._folder, len(sizes) - fitting, len(sizes))
        return fitting

    def _delete_down_to(self, limit: int) -> None:
        """Delete the chunks that were not used for longest, if there are more bytes than this."""
        count, _, self._held = delete_oldest(self._folder, limit)
        logger.info("%s: deleted %d chunks; %d of %d bytes used", self._folder, count, self._held, self._limit)

    def _use(self, keys: list[ObjectKey]) -> None:
        """Say in the folder that these chunks of a prompt were used now."""
        now = time.time_ns()
        for place, key in enumerate(reversed(keys)):
            used = now + place * STEP_NS
            with contextlib.suppress(FileNotFoundError):
                os.utime(self._key_to_path(key), ns=(used, used))

    def _delete_broken(self, key: ObjectKey, size: int) -> None:
        """Delete a chunk's file unless it has the chunk's size; LMCache stores no chunk whose file is there."""
        path: Path = self._key_to_path(key)
        with contextlib.suppress(FileNotFoundError):
            if path.stat().st_size != size:
                path.unlink()
