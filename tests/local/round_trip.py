"""Store chunks through LMCache's own remote backend, or find them, with the configuration that LMCache loads itself.

Runs with the engine's Python and a predictor's environment (LMCACHE_CONFIG_FILE, LMCACHE_*, PYTHONHASHSEED), without an
engine. The last line of its output is JSON; `watch` writes one such line for each line of its input.

Usage: round_trip.py store|load|watch MODEL CHUNKS [ADAPTER]
"""

import asyncio
import json
import sys
import threading
import time
from typing import Any

import torch
from lmcache.integration.vllm.utils import lmcache_get_or_create_config
from lmcache.v1.metadata import LMCacheMetadata
from lmcache.v1.storage_backend.local_cpu_backend import LocalCPUBackend
from lmcache.v1.storage_backend.remote_backend import RemoteBackend
from lmcache.v1.token_database import ChunkedTokenDatabase

LAYERS, HEADS, HEAD_SIZE = 2, 2, 16
STORE_TIMEOUT_S = 30.0
PROMPT_CHUNKS = 4
PROMPT_PAUSE_S = 0.05
"""Between the chunks of one prompt and those of the next: time for a store to evict."""


def main() -> int:
    """Store, load or look up, and say what was found."""
    action, model, count, *adapter = sys.argv[1:]
    config = lmcache_get_or_create_config()
    metadata = LMCacheMetadata(
        model_name=model,
        world_size=1,
        local_world_size=1,
        worker_id=0,
        local_worker_id=0,
        kv_dtype=torch.float32,
        kv_shape=(LAYERS, 2, config.chunk_size, HEADS, HEAD_SIZE),
        chunk_size=config.chunk_size,
        role="worker",
    )
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, daemon=True).start()
    local = LocalCPUBackend(config, metadata, "cpu")
    plugin = (config.remote_storage_plugins or [None])[0]
    remote = RemoteBackend(config, metadata, loop, local, "cpu", plugin_name=plugin)
    tokens = list(range(int(count) * config.chunk_size))
    tags = {"lmcache.tag.lora": adapter[0]} if adapter else None
    chunks = ChunkedTokenDatabase(config, metadata).process_tokens(tokens=tokens, request_configs=tags)
    keys = [key for _, _, key in chunks]
    if action == "watch":
        remote.min_reconnect_interval = 0
        for _ in sys.stdin:
            remote.init_connection()  # as LMCache's health monitor does, now and then
            report({"found": sum(bool(remote.contains(key)) for key in keys)})
        return 0
    found = [remote.contains(key) for key in keys]
    result: dict[str, Any] = {
        "found": sum(map(bool, found)),
        "missing": [number for number, there in enumerate(found) if not there],
        "keys": [key.to_string() for key in keys],
    }
    if action == "store":
        done = {key: threading.Event() for key in keys}
        for first in range(0, len(keys), PROMPT_CHUNKS):
            numbers = range(len(keys))[first : first + PROMPT_CHUNKS]
            remote.batched_submit_put_task(
                [keys[number] for number in numbers],
                [filled(local, metadata, number) for number in numbers],
                on_complete_callback=lambda key: done[key].set(),
            )
            time.sleep(PROMPT_PAUSE_S)
        result["stored"] = sum(event.wait(STORE_TIMEOUT_S) for event in done.values())
    else:
        loaded = remote.batched_get_blocking(keys) if all(found) else []
        result["intact"] = sum(
            chunk is not None and bool((chunk.tensor == number + 1).all()) for number, chunk in enumerate(loaded)
        )
    report(result)
    return 0


def report(result: dict[str, Any]) -> None:
    """Write a line of JSON."""
    sys.stdout.write(f"{json.dumps(result)}\n")
    sys.stdout.flush()


def filled(local: LocalCPUBackend, metadata: LMCacheMetadata, number: int) -> Any:
    """Make a chunk whose every element says which it is."""
    chunk = local.allocate(metadata.get_shapes(), metadata.get_dtypes())
    chunk.tensor.fill_(number + 1)
    return chunk


if __name__ == "__main__":
    sys.exit(main())
