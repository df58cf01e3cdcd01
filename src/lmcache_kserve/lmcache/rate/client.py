"""Puts chunks into a remote backend and gets them back through LMCache's own client, and says how fast that was.

The client is the one that the configuration selects: in mode in-process LMCache's remote backend with its connector, in
mode multiprocess the adapter of `--l2-adapter` as the chart's mp_server.py creates it. No engine runs.

Usage: client.py PLAN
    PLAN is JSON: {"adapter": null or {}, "chunk_bytes": N, "in_flight": [], "cell_bytes": N, "pids": []}.
    pids are the backend's processes, whose processor seconds are counted.

It prints a line of JSON for each cell: operation ("put" or "get"), chunk_bytes, in_flight, bytes, seconds,
client_cpu_s, server_cpu_s. A chunk that is lost or comes back changed ends the program with code 1.

Source of the interfaces: LMCache 0.5.6, `lmcache/v1/storage_backend/remote_backend.py` and
`lmcache/v1/distributed/l2_adapters/base.py`.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import select
import sys
import threading
import time
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import psutil
import torch
from lmcache.integration.vllm.utils import lmcache_get_or_create_config
from lmcache.v1.metadata import LMCacheMetadata
from lmcache.v1.storage_backend.local_cpu_backend import LocalCPUBackend

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import Self

    from lmcache.utils import CacheEngineKey
    from lmcache.v1.config import LMCacheEngineConfig
    from lmcache.v1.distributed.api import ObjectKey
    from lmcache.v1.memory_management import MemoryObj

HEAD_SIZE = 128
TOKENS = 256
ELEMENT_BYTES = 2
"""bfloat16."""
LEAST_ROUNDS = 2
PASSES = 4
"""Each chunk is loaded so often: the kernel widens the windows of connections for a second and more."""
PATIENCE_S = 30.0
MODEL = "rate"
T = TypeVar("T")


class Client(Protocol):
    """What moves chunks in a mode; a batch is in flight at once."""

    def put(self, numbers: Sequence[int], chunks: Sequence[MemoryObj]) -> None:
        """Store chunks and return when the backend has them."""

    def get(self, numbers: Sequence[int]) -> Sequence[MemoryObj | None]:
        """Load chunks; None in the place of one that was not found."""

    def free(self, chunks: Sequence[MemoryObj]) -> None:
        """Give back the memory of what `get` returned."""


class InProcess:
    """LMCache's remote backend of mode in-process, with the connector of `remote_url` or of a plugin."""

    def __init__(self, config: LMCacheEngineConfig, metadata: LMCacheMetadata, memory: LocalCPUBackend) -> None:
        """Connect.

        Raises:
            ConnectionError: LMCache cannot connect; its log says why.
        """
        from lmcache.v1.storage_backend.remote_backend import RemoteBackend  # noqa: PLC0415 - mode multiprocess does without this module

        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, daemon=True).start()
        plugin = (config.remote_storage_plugins or [None])[0]
        self._remote = RemoteBackend(config, metadata, self._loop, memory, "cpu", plugin_name=plugin)
        if self._remote.connection is None:
            raise ConnectionError("LMCache has no connection to the backend")
        self._metadata = metadata

    def put(self, numbers: Sequence[int], chunks: Sequence[MemoryObj]) -> None:
        """Store chunks and return when LMCache says that each has been written."""
        keys = [self._key(number) for number in numbers]
        done = {key: threading.Event() for key in keys}
        self._remote.batched_submit_put_task(keys, list(chunks), on_complete_callback=lambda key: done[key].set())
        for key, event in done.items():
            if not event.wait(PATIENCE_S):
                raise TimeoutError(f"{key} was not stored within {PATIENCE_S:.0f} s")

    def get(self, numbers: Sequence[int]) -> Sequence[MemoryObj | None]:
        """Load chunks."""
        found: Sequence[MemoryObj | None] = self._remote.batched_get_blocking([self._key(number) for number in numbers])
        return found

    def free(self, chunks: Sequence[MemoryObj]) -> None:
        """Give back the memory of what `get` returned."""
        for chunk in chunks:
            chunk.ref_count_down()

    def _key(self, number: int) -> CacheEngineKey:
        from lmcache.utils import CacheEngineKey  # noqa: PLC0415 - only mode in-process has keys of this kind

        return CacheEngineKey(MODEL, 1, 0, number, self._metadata.kv_dtype)


class Multiprocess:
    """An L2 adapter of LMCache's server."""

    def __init__(self, adapter: dict[str, Any], memory: LocalCPUBackend, metadata: LMCacheMetadata) -> None:
        import mp_server  # noqa: PLC0415 - the chart's, which mode multiprocess alone has on its path
        from lmcache.v1.distributed.l2_adapters import create_l2_adapter  # noqa: PLC0415 - releases before 0.5.0 have none

        self._adapter = create_l2_adapter(mp_server.configuration(adapter))
        self._memory, self._metadata = memory, metadata
        self._stored, self._loaded = self._adapter.get_store_event_fd(), self._adapter.get_load_event_fd()

    def put(self, numbers: Sequence[int], chunks: Sequence[MemoryObj]) -> None:
        """Store chunks and return when the adapter says that they are stored."""
        task = self._adapter.submit_store_task([self._key(number) for number in numbers], list(chunks))
        results = _awaited(self._stored, lambda: self._adapter.pop_completed_store_tasks().get(task))
        if not results.is_successful():
            raise ConnectionError("the adapter could not store the chunks")

    def get(self, numbers: Sequence[int]) -> Sequence[MemoryObj | None]:
        """Load chunks into fresh memory."""
        keys = [self._key(number) for number in numbers]
        chunks = [allocated(self._memory, self._metadata) for _ in keys]
        task = self._adapter.submit_load_task(keys, chunks)
        found = _awaited(self._loaded, lambda: self._adapter.query_load_result(task))
        return [chunk if found.test(place) else None for place, chunk in enumerate(chunks)]

    def free(self, chunks: Sequence[MemoryObj]) -> None:
        """Give back the memory of what `get` returned."""
        for chunk in chunks:
            chunk.ref_count_down()

    @staticmethod
    def _key(number: int) -> ObjectKey:
        from lmcache.v1.distributed.api import ObjectKey  # noqa: PLC0415 - LMCache before 0.5.0, which has no mode multiprocess, lacks the module

        return ObjectKey(chunk_hash=number.to_bytes(32, "big"), model_name=MODEL, kv_rank=0)


def _awaited(events: int, ask: Callable[[], T | None]) -> T:
    """What `ask` answers once it answers; the file descriptor of events says when to ask again."""
    poll = select.poll()
    poll.register(events, select.POLLIN)
    deadline = time.monotonic() + PATIENCE_S
    while (answer := ask()) is None:
        left = deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError(f"the adapter did not answer within {PATIENCE_S:.0f} s")
        if poll.poll(1000 * left):
            os.eventfd_read(events)
    return answer


def allocated(memory: LocalCPUBackend, metadata: LMCacheMetadata) -> MemoryObj:
    """Memory for a chunk, as LMCache itself takes it."""
    chunk = memory.allocate(metadata.get_shapes(), metadata.get_dtypes())
    if chunk is None:
        raise MemoryError("LMCache's memory is too small for the chunks in flight: raise lmcache.localCpu.sizeGB")
    return chunk


def metadata_of(chunk_bytes: int) -> LMCacheMetadata:
    """A model whose chunks have this size: bfloat16, keys and values, heads of 128."""
    rows = chunk_bytes // (2 * TOKENS * HEAD_SIZE * ELEMENT_BYTES)
    heads = min(rows, 8)
    shape = (rows // heads, 2, TOKENS, heads, HEAD_SIZE)
    return LMCacheMetadata(
        model_name=MODEL,
        world_size=1,
        local_world_size=1,
        worker_id=0,
        local_worker_id=0,
        kv_dtype=torch.bfloat16,
        kv_shape=shape,
        chunk_size=TOKENS,
        role="worker",
    )


def cells(
    client: Client, fresh: Iterator[int], chunks: Sequence[MemoryObj], plan: dict[str, Any]
) -> Iterator[dict[str, Any]]:
    """Put and get as many chunks at once as `chunks` has, with new keys in each round."""
    size = sum(chunk.get_size() for chunk in chunks)
    rounds = max(LEAST_ROUNDS, plan["cell_bytes"] // size)
    numbers = [[next(fresh) for _ in chunks] for _ in range(rounds)]
    # The first use makes connections, widens their windows and brings the memory's pages.
    first = [next(fresh) for _ in chunks]
    client.put(first, chunks)
    loaded = client.get(first)
    _check(loaded, chunks)
    client.free(loaded)
    put, get = Meter(plan["pids"]), Meter(plan["pids"])
    for batch in numbers:
        with put:
            client.put(batch, chunks)
    yield {"operation": "put", "bytes": rounds * size, **put.result}
    for batch in numbers * PASSES:
        with get:
            loaded = client.get(batch)
        _check(loaded, chunks)
        client.free(loaded)
    yield {"operation": "get", "bytes": PASSES * rounds * size, **get.result}


def _check(loaded: Sequence[MemoryObj | None], chunks: Sequence[MemoryObj]) -> None:
    """See that the first and the last element of each chunk are those that were stored."""
    for chunk, stored in zip(loaded, chunks, strict=True):
        if chunk is None:
            raise LookupError("a chunk that was just stored is not found: is the backend too small for a cell?")
        found, expected = (one.tensor.flatten()[[0, -1]] for one in (chunk, stored))
        if not torch.equal(found, expected):
            raise ValueError("a chunk came back changed")


class Meter:
    """Seconds, and processor seconds of this process and of the backend's, each time between its start and its end."""

    def __init__(self, pids: Sequence[int]) -> None:
        # A probe that ran in a container when the processes were counted has ended.
        self._servers = [psutil.Process(pid) for pid in pids if psutil.pid_exists(pid)]
        self.result = dict.fromkeys(("seconds", "client_cpu_s", "server_cpu_s"), 0.0)

    def __enter__(self) -> Self:
        """Start."""
        self._before = self._now()
        return self

    def __exit__(self, *_: object) -> None:
        """Add what has passed."""
        for name, end, start in zip(self.result, self._now(), self._before, strict=True):
            self.result[name] += end - start

    def _now(self) -> tuple[float, float, float]:
        return time.perf_counter(), time.process_time(), sum(map(_spent, self._servers))


def _spent(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def main() -> None:
    """Measure every cell of the plan."""
    plan = json.loads(sys.argv[1])
    metadata = metadata_of(plan["chunk_bytes"])
    config = lmcache_get_or_create_config()
    memory = LocalCPUBackend(config, metadata, "cpu")
    adapter = plan["adapter"]
    client = Multiprocess(adapter, memory, metadata) if adapter else InProcess(config, metadata, memory)
    fresh = itertools.count(plan["chunk_bytes"])  # sizes do not share keys: a backend holds those of all
    for in_flight in plan["in_flight"]:
        chunks = [allocated(memory, metadata) for _ in range(in_flight)]
        for place, chunk in enumerate(chunks, start=1):
            chunk.tensor.fill_(place)
        for cell in cells(client, fresh, chunks, plan):
            sys.stdout.write(json.dumps({"chunk_bytes": plan["chunk_bytes"], "in_flight": in_flight, **cell}) + "\n")
        for chunk in chunks:
            chunk.ref_count_down()


if __name__ == "__main__":
    main()
    sys.stdout.flush()
    # LMCache's threads and connections go on for ever; the backend sees the process end.
    os._exit(0)
