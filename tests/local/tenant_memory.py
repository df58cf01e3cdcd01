"""Store chunks of several tenants in LMCache's server, and say what is left of them.

    tenant_memory.py quotas FILES {divided,whole}
    tenant_memory.py store FILES ADAPTER
    tenant_memory.py load FILES ADAPTER

Runs with the engine's Python, LMCache 0.5.6 or later. FILES is the folder of the chart's scripts. `quotas` floods the
memory with one tenant's chunks, and is LMCache's own without the chart's shares when `whole`. ADAPTER is the JSON of a
backend, which `store` fills and `load` reads. The last line of output is JSON.
"""

import importlib
import json
import logging
import sys
import time
from collections.abc import Iterable
from typing import Any

import torch
from lmcache.v1.distributed import storage_manager
from lmcache.v1.distributed.api import GroupedObjectKeys, MemoryLayoutDesc, ObjectKey, PrefetchTaskSpec
from lmcache.v1.distributed.config import EvictionConfig, L1ManagerConfig, L1MemoryManagerConfig, StorageManagerConfig
from lmcache.v1.distributed.l2_adapters.config import L2AdaptersConfig

MIB = 1 << 20
MEMORY, QUOTAS = 32, {"a": 16, "b": 8}
"""In chunks, which have a MiB."""

LAYOUT = MemoryLayoutDesc(shapes=[torch.Size([MIB // 4])], dtypes=[torch.float32])
CHUNKS = 4
PATIENCE_S = 20.0


def key(salt: str, number: int) -> ObjectKey:
    return ObjectKey(chunk_hash=f"{number:08d}".encode(), model_name="tiny", kv_rank=0, cache_salt=salt)


def content(number: int) -> float:
    """What a chunk is full of."""
    return number + 0.7182818


def manager(policy: str, *adapters: Any) -> Any:
    """LMCache's memory and backends, without the engine and the network."""
    memory = L1MemoryManagerConfig(size_in_bytes=MEMORY * MIB, use_lazy=False, shm_name="")
    return storage_manager.StorageManager(
        StorageManagerConfig(
            l1_manager_config=L1ManagerConfig(memory_config=memory),
            eviction_config=EvictionConfig(eviction_policy=policy),
            l2_adapter_config=L2AdaptersConfig(list(adapters)),
        )
    )


def store(memory: Any, salt: str, numbers: Iterable[int]) -> int:
    """Store chunks; returns how many were taken."""
    keys = [key(salt, number) for number in numbers]
    reserved = memory.reserve_write(keys, LAYOUT)
    for one, chunk in reserved.items():
        chunk.tensor.fill_(content(int(one.chunk_hash)))
    memory.finish_write(list(reserved))
    return len(reserved)


def found(memory: Any, salt: str, numbers: Iterable[int]) -> tuple[int, int]:
    """How many of these chunks are found, one lookup each, and how many of those hold something else."""
    right = wrong = 0
    for number in numbers:
        keys = [key(salt, number)]
        group = GroupedObjectKeys(keys=keys, object_group_id=0, layout_desc=LAYOUT)
        handle = memory.submit_prefetch_task(PrefetchTaskSpec(key_groups=[group]))
        result = None
        while result is None:
            time.sleep(0.002)
            result = memory.query_prefetch_status(handle)
        if not result.hit_cells[0].popcount():
            continue
        with memory.read_prefetched_results(keys) as chunks:
            intact = bool(chunks) and bool((chunks[0].tensor == content(number)).all())
        right += intact
        wrong += not intact
        memory.finish_read_prefetched(keys)
    return right, wrong


def quotas(how: str) -> dict[str, int]:
    """Who has how many chunks after another tenant and requests without a quota stored far too many."""
    divided = how == "divided"
    if divided:
        importlib.import_module("tenant_mp_server").divide({salt: size * MIB for salt, size in QUOTAS.items()})
    memory = manager("noop" if divided else "LRU")
    answer = {"a stored": store(memory, "a", range(QUOTAS["a"]))}
    for first in range(0, 10 * MEMORY, CHUNKS):
        store(memory, "b", range(first, first + CHUNKS))
        if not divided:
            time.sleep(0.2)  # LMCache evicts once a second
    for first in range(0, 10 * MEMORY, CHUNKS):
        store(memory, "someone", range(first, first + CHUNKS))
        store(memory, "", range(first, first + CHUNKS))
    answer["a"], answer["wrong"] = found(memory, "a", range(QUOTAS["a"]))
    answer["b"] = found(memory, "b", range(10 * MEMORY))[0]
    answer["newest of b"] = found(memory, "b", range(10 * MEMORY - QUOTAS["b"], 10 * MEMORY))[0]
    answer["others"] = sum(found(memory, salt, range(10 * MEMORY))[0] for salt in ("someone", ""))
    answer["taken of a prompt longer than b's quota"] = store(memory, "b", range(20 * MEMORY, 20 * MEMORY + 12))
    answer["a at last"] = found(memory, "a", range(QUOTAS["a"]))[0]
    memory.clear(force=True)
    answer["b again"] = store(memory, "b", range(30 * MEMORY, 31 * MEMORY))
    eviction = importlib.import_module("lmcache.v1.distributed.storage_controllers.eviction_controller")
    answer["says what it evicts"] = int(eviction.logger.isEnabledFor(logging.INFO))
    return answer


def backend(action: str, adapter: str) -> dict[str, int]:
    """Store chunks, or say which are found and hold what was stored."""
    configuration = importlib.import_module("mp_server").configuration(json.loads(adapter))
    memory = manager("LRU", configuration)
    if action == "store":
        taken = store(memory, "a", range(CHUNKS))
        deadline = time.monotonic() + PATIENCE_S
        usage = [0]
        while sum(usage) < CHUNKS * MIB and time.monotonic() < deadline:
            time.sleep(0.05)
            usage = [int(size) for size, _ in memory.get_l2_usages()]
        memory.close()
        return {"taken": taken, "bytes": sum(usage)}
    right, wrong = found(memory, "a", range(CHUNKS))
    others = found(memory, "b", range(CHUNKS))
    memory.close()
    return {"right": right, "wrong": wrong, "of others": sum(others)}


def main() -> None:
    action, files, rest = sys.argv[1:]
    sys.path.insert(0, files)
    importlib.import_module("unwritten").keep_out()
    answer = quotas(rest) if action == "quotas" else backend(action, rest)
    sys.stdout.write("\n" + json.dumps(answer) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
