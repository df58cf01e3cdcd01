"""Look up prompts with a common beginning at the same time in LMCache's server, and say what became of their chunks.

Runs with the engine's Python. With an argument, the folder of the chart's scripts, LMCache runs as mp_server.py runs
it. The backend is LMCache's own slow one for tests. The one line of output is JSON.
"""

import json
import sys
import time
from typing import Any

import torch
from lmcache.v1.distributed import storage_manager
from lmcache.v1.distributed.api import MemoryLayoutDesc, ObjectKey
from lmcache.v1.distributed.config import EvictionConfig, L1ManagerConfig, L1MemoryManagerConfig, StorageManagerConfig
from lmcache.v1.distributed.l2_adapters.config import L2AdaptersConfig
from lmcache.v1.distributed.l2_adapters.mock_l2_adapter import MockL2Adapter, MockL2AdapterConfig

CHUNKS, ROUNDS = 8, 40
LAYOUT = MemoryLayoutDesc(shapes=[torch.Size([4096])], dtypes=[torch.float32])
PATIENCE_S = 10.0
GARBAGE = -1.0


def key(prompt: int, chunk: int) -> ObjectKey:
    return ObjectKey(chunk_hash=f"{prompt}-{chunk}".encode(), model_name="tiny", kv_rank=0)


def content(prompt: int, chunk: int) -> float:
    """What a chunk is full of."""
    return float(prompt * CHUNKS + chunk + 1)


store = MockL2Adapter.submit_store_task


def replace(self: MockL2Adapter, keys: list[ObjectKey], objects: list[Any]) -> int:
    """Store as Redis does; LMCache's backend for tests keeps what it has."""
    for one in keys:
        self._memory_objects.pop(one, None)
    return store(self, keys, objects)


class Server:
    """LMCache's memory and backend, without the engine and the network."""

    def __init__(self, *, write_timeout_s: int = 600) -> None:
        memory = L1MemoryManagerConfig(size_in_bytes=64 << 20, use_lazy=False)
        self.manager = storage_manager.StorageManager(
            StorageManagerConfig(
                l1_manager_config=L1ManagerConfig(memory_config=memory, write_ttl_seconds=write_timeout_s),
                eviction_config=EvictionConfig(eviction_policy="noop"),
                l2_adapter_config=L2AdaptersConfig([MockL2AdapterConfig(max_size_gb=1, mock_bandwidth_gb=0.005)]),
            )
        )
        (self.backend,) = self.manager._l2_adapters.values()  # noqa: SLF001 - LMCache has no public name for it
        self.contents = self.backend._memory_objects  # noqa: SLF001 - it tells publicly which keys it has, and not what they hold

    def store(self, prompt: int) -> None:
        """Store a prompt's chunks, and wait until the backend has them."""
        keys = [key(prompt, chunk) for chunk in range(CHUNKS)]
        for place, memory in self.manager.reserve_write(keys, LAYOUT, "new").items():
            memory.tensor.fill_(content(prompt, keys.index(place)))
        self.manager.finish_write(keys)
        give_up = time.monotonic() + PATIENCE_S
        while not all(self.backend.debug_has_key(one) for one in keys) and time.monotonic() < give_up:
            time.sleep(0.01)
        self.manager.clear(force=True)
        # What a chunk's memory holds before the chunk is there must not be the chunk, which lay there before.
        for memory in self.manager.reserve_write(
            [key(-1, chunk) for chunk in range(2 * CHUNKS)], LAYOUT, "new"
        ).values():
            memory.tensor.fill_(GARBAGE)
        self.manager.clear(force=True)

    def ask_at_once(self, prompt: int) -> int:
        """Look up ever longer beginnings of a prompt at the same time; returns how many chunks were found wrong."""
        lookups = []
        for chunks in range(1, CHUNKS + 1):
            keys = [key(prompt, chunk) for chunk in range(chunks)]
            lookups.append((keys, self.manager.submit_prefetch_task(keys, LAYOUT)))
        wrong = 0
        for keys, handle in lookups:
            found = None
            while found is None:
                time.sleep(0.005)
                found = self.manager.query_prefetch_status(handle)
            count = found.count_leading_ones()
            if not count:
                continue
            with self.manager.read_prefetched_results(keys[:count]) as memories:
                wrong += sum(
                    not bool((memory.tensor == content(prompt, chunk)).all())
                    for chunk, memory in enumerate(memories or ())
                )
            self.manager.finish_read_prefetched(keys[:count])
        return wrong

    def changed(self, prompt: int) -> int:
        """How many of a prompt's chunks the backend no longer holds as they were stored."""
        stored = [self.contents.get(key(prompt, chunk)) for chunk in range(CHUNKS)]
        return sum(
            memory is None or not bool((memory.raw_tensor.view(torch.float32) == content(prompt, chunk)).all())
            for chunk, memory in enumerate(stored)
        )


def unfinished() -> int:
    """How many chunks are found that somebody began to write, and did not end to write in time."""
    server = Server(write_timeout_s=1)
    keys = [key(0, chunk) for chunk in range(CHUNKS)]
    server.manager.reserve_write(keys, LAYOUT, "new")
    time.sleep(2)
    handle = server.manager.submit_prefetch_task(keys, LAYOUT)
    found = None
    while found is None:
        time.sleep(0.005)
        found = server.manager.query_prefetch_status(handle)
    return int(found.count_leading_ones())


def main() -> None:
    if sys.argv[1:]:
        sys.path.insert(0, sys.argv[1])
        from unwritten import keep_out  # noqa: PLC0415 - of the chart, whose folder the argument names

        keep_out()
    # Threads take turns as often as they do on a busy machine with many cores.
    sys.setswitchinterval(1e-6)
    MockL2Adapter.submit_store_task = replace
    server = Server()
    found = changed = 0
    for prompt in range(ROUNDS):
        server.store(prompt)
        found += server.ask_at_once(prompt)
        found += server.ask_at_once(prompt)
        time.sleep(0.1)  # what was announced as written is stored behind the scenes
        changed += server.changed(prompt)
        server.manager.clear(force=True)
    answer = {"found wrong": found, "changed in the backend": changed, "found unfinished": unfinished()}
    sys.stdout.write("\n" + json.dumps(answer) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
