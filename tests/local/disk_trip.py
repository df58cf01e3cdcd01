"""Store, look up and load chunks through the chart's adapter for a disk, as LMCache's server makes and uses it.

Runs with the engine's Python, without an engine. Every chunk has `CHUNK_BYTES` and is full of its own number. The last
line of its output is JSON: for each step what it found, and the bytes that were in the folder after it.

Usage: disk_trip.py FILES ADAPTER STEP ...
    FILES is the folder of the chart's scripts, ADAPTER the value of `--l2-adapter`. A STEP is an action and the chunks
    of one prompt: store:0-7 (in batches), store-at-once:0-7 (all batches under way together), find:0-7, load:0-7,
    or tear:0-7 (leave half of their files, as a node without power does).
"""

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from lmcache.v1.distributed.api import ObjectKey
from lmcache.v1.distributed.l2_adapters import create_l2_adapter
from lmcache.v1.memory_management import MemoryObjMetadata, TensorMemoryObj

CHUNK_BYTES = 64 << 10
BATCH = 4
PATIENCE_S = 20.0


def key(number: int) -> ObjectKey:
    return ObjectKey(chunk_hash=number.to_bytes(8, "big"), model_name="a/b", kv_rank=0)


def memory(number: int) -> TensorMemoryObj:
    """Memory of LMCache for one chunk."""
    raw = torch.zeros(CHUNK_BYTES, dtype=torch.uint8)
    shape = torch.Size([CHUNK_BYTES // 4])
    described = MemoryObjMetadata(shape, torch.float32, 0, CHUNK_BYTES, 1, shapes=[shape], dtypes=[torch.float32])
    chunk = TensorMemoryObj(raw, described, None)
    chunk.tensor.fill_(number)
    return chunk


def awaited(ask: Callable[[], Any]) -> Any:
    """What a question that LMCache polls answers in the end."""
    give_up = time.monotonic() + PATIENCE_S
    while (answer := ask()) is None:
        assert time.monotonic() < give_up, "LMCache's adapter does not end what it was told to do"
        time.sleep(0.001)
    return answer


class Trip:
    """The adapter, as LMCache's command line makes it."""

    def __init__(self, settings: dict[str, Any]) -> None:
        import mp_server  # noqa: PLC0415 - the chart's, whose folder an argument names

        self.folder = Path(settings["adapter_params"]["base_path"])
        self.adapter = create_l2_adapter(mp_server.configuration(settings))

    def held(self) -> int:
        """Bytes of all files in the folder."""
        return sum(file.stat().st_size for file in self.folder.rglob("*") if file.is_file())

    def store(self, numbers: list[int], *, at_once: bool = False) -> dict[str, Any]:
        peak, done = 0, {}
        tasks = []
        for first in range(0, len(numbers), BATCH):
            batch = numbers[first : first + BATCH]
            tasks.append(self.adapter.submit_store_task([*map(key, batch)], [*map(memory, batch)]))
            while not at_once and tasks[-1] not in done:
                done |= self.adapter.pop_completed_store_tasks()
            peak = max(peak, self.held())
        while len(done) < len(tasks):
            done |= self.adapter.pop_completed_store_tasks()
            peak = max(peak, self.held())
        return {"peak": peak, "whole": [done[task].is_successful() for task in tasks]}

    def find(self, numbers: list[int]) -> dict[str, Any]:
        task = self.adapter.submit_lookup_and_lock_task([*map(key, numbers)], {})
        found = awaited(lambda: self.adapter.query_lookup_and_lock_result(task))
        return {"found": found.gather(numbers)}

    def load(self, numbers: list[int]) -> dict[str, Any]:
        into = [memory(-1) for _ in numbers]
        task = self.adapter.submit_load_task([*map(key, numbers)], into)
        loaded = awaited(lambda: self.adapter.query_load_result(task))
        right = [bool((into[place].tensor == number).all()) for place, number in enumerate(numbers)]
        return {"loaded": loaded.gather(numbers), "right": loaded.gather(right)}

    def tear(self, numbers: list[int]) -> dict[str, Any]:
        for number in numbers:
            (file,) = self.folder.glob(f"*@{key(number).chunk_hash.hex()}.data")
            os.truncate(file, CHUNK_BYTES // 2)
        return {}

    def step(self, text: str) -> dict[str, Any]:
        action, _, span = text.partition(":")
        first, _, last = span.partition("-")
        numbers = list(range(int(first), int(last or first) + 1))
        match action:
            case "store":
                done = self.store(numbers)
            case "store-at-once":
                done = self.store(numbers, at_once=True)
            case "find":
                done = self.find(numbers)
            case "load":
                done = self.load(numbers)
            case "tear":
                done = self.tear(numbers)
            case _:
                raise ValueError(text)
        return {**done, "held": self.held(), "counted": self.adapter.get_usage().total_bytes_used}


def main() -> None:
    files, settings, *steps = sys.argv[1:]
    sys.path.insert(0, files)
    trip = Trip(json.loads(settings))
    answers = [{"held": trip.held()}, *map(trip.step, steps)]
    trip.adapter.close()
    sys.stdout.write(f"\n{json.dumps(answers)}\n")


if __name__ == "__main__":
    main()
