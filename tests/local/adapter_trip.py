"""Store chunks through an adapter of LMCache's server, look for them, or load them, as that server does.

Runs with the engine's Python, the folder of mp_server.py on its path and LMCACHE_RESP_PASSWORD, without an engine. For
each line of its input, `store`, `find` or `load`, it writes one line of JSON: which of the chunks were stored, found or
loaded (`places`), which of the loaded ones differ from what was stored (`wrong`), and how long that took (`seconds`).

Usage: adapter_trip.py ADAPTER CHUNKS
    ADAPTER is the value of `--l2-adapter`.

Source of the interface: LMCache 0.5.0 to 0.5.6, `lmcache/v1/distributed/l2_adapters/base.py`.
"""

import json
import os
import select
import sys
import time
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import mp_server
import torch
from lmcache.v1.config import LMCacheEngineConfig
from lmcache.v1.distributed.api import ObjectKey
from lmcache.v1.distributed.l2_adapters import create_l2_adapter
from lmcache.v1.metadata import LMCacheMetadata
from lmcache.v1.storage_backend.local_cpu_backend import LocalCPUBackend

T = TypeVar("T")
LAYERS, TOKENS, HEADS, HEAD_SIZE = 4, 256, 2, 16
PATIENCE_S = 60.0


class Trip:
    """Chunks, and an adapter to store them with."""

    def __init__(self, adapter: dict[str, Any], count: int) -> None:
        self.metadata = LMCacheMetadata(
            model_name="a/b",
            world_size=1,
            local_world_size=1,
            worker_id=0,
            local_worker_id=0,
            kv_dtype=torch.float32,
            kv_shape=(LAYERS, 2, TOKENS, HEADS, HEAD_SIZE),
            chunk_size=TOKENS,
            role="worker",
        )
        config = LMCacheEngineConfig.from_defaults(chunk_size=TOKENS, max_local_cpu_size=0.1)
        self.memory = LocalCPUBackend(config, self.metadata, "cpu")
        self.keys = [
            ObjectKey(chunk_hash=number.to_bytes(32, "big"), model_name="a/b", kv_rank=0) for number in range(count)
        ]
        torch.manual_seed(0)
        self.chunks = self.allocated()
        for chunk in self.chunks:
            chunk.tensor.copy_(torch.rand(chunk.tensor.shape))
        self.loaded = self.allocated()
        self.adapter = create_l2_adapter(mp_server.configuration(adapter))

    def allocated(self) -> list[Any]:
        """Memory for all chunks."""
        return [self.memory.allocate(self.metadata.get_shapes(), self.metadata.get_dtypes()) for _ in self.keys]

    def store(self) -> list[int]:
        """Store all chunks; all or none count as stored."""
        task = self.adapter.submit_store_task(self.keys, self.chunks)
        event = self.adapter.get_store_event_fd()
        stored = awaited(event, lambda: self.adapter.pop_completed_store_tasks().get(task))
        return list(range(len(self.keys))) if stored.is_successful() else []

    def find(self) -> list[int]:
        """Look for all chunks."""
        task = self.adapter.submit_lookup_and_lock_task(self.keys, {})
        event = self.adapter.get_lookup_and_lock_event_fd()
        found = self.places(awaited(event, lambda: self.adapter.query_lookup_and_lock_result(task)))
        self.adapter.submit_unlock([self.keys[place] for place in found])
        return found

    def load(self) -> list[int]:
        """Load all chunks into memory that holds nothing of them."""
        for chunk in self.loaded:
            chunk.tensor.zero_()
        task = self.adapter.submit_load_task(self.keys, self.loaded)
        return self.places(awaited(self.adapter.get_load_event_fd(), lambda: self.adapter.query_load_result(task)))

    def places(self, bitmap: Any) -> list[int]:
        """The places that are set."""
        return [place for place in range(len(self.keys)) if bitmap.test(place)]

    def wrong(self, places: Iterable[int]) -> list[int]:
        """The places whose chunks did not come back as they were."""
        return [place for place in places if not torch.equal(self.loaded[place].tensor, self.chunks[place].tensor)]


def awaited(event: int, ask: Callable[[], T | None]) -> T:
    """What `ask` answers once it answers; an event says when to ask again."""
    poll = select.poll()
    poll.register(event, select.POLLIN)
    while (answer := ask()) is None:
        if not poll.poll(1000 * PATIENCE_S):
            raise TimeoutError(f"the adapter said nothing for {PATIENCE_S:.0f} s")
        os.eventfd_read(event)
    return answer


def main() -> int:
    """Do what each line says."""
    trip = Trip(json.loads(sys.argv[1]), int(sys.argv[2]))
    for line in sys.stdin:
        what = line.strip()
        started = time.monotonic()
        places = {"store": trip.store, "find": trip.find, "load": trip.load}[what]()
        seconds = time.monotonic() - started
        wrong = trip.wrong(places) if what == "load" else []
        sys.stdout.write(json.dumps({"places": places, "wrong": wrong, "seconds": seconds}) + "\n")
        sys.stdout.flush()
    trip.adapter.close()
    return 0


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    os._exit(code)  # LMCache's threads go on for ever
