"""The adapter for a disk, beside an LMCache that is stood in for; tests/local has it in LMCache's own classes."""

import importlib
import logging
import shutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from rendering import CHART

SIZE = 10
"""Bytes of a chunk."""


@dataclass(frozen=True)
class Usage:
    total_bytes_used: int = 0
    total_capacity_bytes: int = 0


@dataclass(frozen=True)
class Result:
    success: bool
    bytes_transferred: int

    def is_successful(self) -> bool:
        return self.success


@dataclass
class FileAdapter:
    """LMCache's `fs`, whose stores end when a test says so."""

    folder: Path
    waiting: dict[int, Sequence[str]] = field(default_factory=dict)
    done: dict[int, Any] = field(default_factory=dict)
    peak: int = 0
    tasks: int = 0

    def submit_store_task(self, keys: Sequence[str], objects: Sequence[Any]) -> int:
        assert len(keys) == len(objects)
        self.tasks += 1
        self.waiting[self.tasks] = keys
        return self.tasks

    def end_stores(self, *, fail: bool = False) -> None:
        for task, keys in self.waiting.items():
            for key in keys:
                self._key_to_path(key).write_bytes(b"x" * SIZE)
            written = 0 if fail else SIZE * len(keys)
            self.done[task] = SimpleNamespace(
                is_successful=lambda: not fail, bytes_transferred=lambda written=written: written
            )
        self.waiting = {}
        self.peak = max(self.peak, SIZE * len(list(self.folder.glob("*.data"))))

    def pop_completed_store_tasks(self) -> dict[int, Any]:
        done, self.done = self.done, {}
        return done

    def get_usage(self) -> Usage:
        return Usage()

    def _key_to_path(self, key: str) -> Path:
        return self.folder / f"{key}.data"


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    adapters = "lmcache.v1.distributed.l2_adapters.fs_l2_adapter"
    modules: dict[str, dict[str, Any]] = {
        "lmcache.logging": {"init_logger": logging.getLogger},
        "lmcache.v1.distributed.internal_api": {"L2StoreResult": Result},
        adapters: {"FSL2Adapter": FileAdapter, "FSL2AdapterConfig": Path},
    }
    for name, members in modules.items():
        module = ModuleType(name)
        module.__dict__.update(members)
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.syspath_prepend(CHART / "files")
    monkeypatch.delitem(sys.modules, "bounded_disk", raising=False)
    return importlib.import_module("bounded_disk")


@pytest.fixture
def disk(script: ModuleType, tmp_path: Path) -> Callable[[int], Any]:
    """The adapter of a server that starts, for a number of chunks."""
    return lambda chunks: script.BoundedDisk({"base_path": str(tmp_path), "max_bytes": chunks * SIZE})


def store(disk: Any, keys: str, *, fail: bool = False) -> Any:
    """Store a prompt's chunks to the end, and say what LMCache hears of that."""
    task = begin(disk, keys)
    disk.end_stores(fail=fail)
    return disk.pop_completed_store_tasks()[task]


def begin(disk: Any, keys: str) -> int:
    objects = [SimpleNamespace(get_size=lambda: SIZE) for _ in keys]
    task: int = disk.submit_store_task(list(keys), objects)
    return task


def held(folder: Path) -> str:
    return "".join(sorted(file.stem for file in folder.glob("*.data")))


def test_room_is_made_before_a_store(disk: Callable[[int], Any], tmp_path: Path) -> None:
    one = disk(6)
    for keys in ("ab", "cd", "ef", "gh", "ij"):
        assert store(one, keys).is_successful()
    assert one.peak <= 6 * SIZE
    assert held(tmp_path).endswith("ghij")
    assert one.get_usage() == Usage(SIZE * len(held(tmp_path)), 6 * SIZE)


def test_stores_under_way_take_their_room(disk: Callable[[int], Any], tmp_path: Path) -> None:
    one = disk(4)
    first, second = begin(one, "abc"), begin(one, "de")
    one.end_stores()
    done = one.pop_completed_store_tasks()
    assert (done[first].is_successful(), done[second].is_successful()) == (True, False)
    assert held(tmp_path) == "abcd"


def test_a_store_that_ended_before_lmcache_asked_is_counted_and_told_once(
    disk: Callable[[int], Any], tmp_path: Path
) -> None:
    one = disk(4)
    first = begin(one, "abc")
    one.end_stores()
    second = begin(one, "def")
    one.end_stores()
    assert one.pop_completed_store_tasks().keys() == {first, second}
    assert one.pop_completed_store_tasks() == {}
    assert held(tmp_path) == "def"


def test_a_store_that_failed_counts_as_written(disk: Callable[[int], Any]) -> None:
    one = disk(4)
    assert not store(one, "abc", fail=True).is_successful()
    assert one.get_usage().total_bytes_used == 3 * SIZE
    assert store(one, "def").is_successful()
    assert one.peak <= 4 * SIZE


def test_a_volume_that_is_smaller_than_the_bound_is_the_bound(
    disk: Callable[[int], Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def usage(_: str) -> Any:
        return SimpleNamespace(free=4 * SIZE - SIZE * len(held(tmp_path)))

    monkeypatch.setattr(shutil, "disk_usage", usage)
    one = disk(100)
    for keys in ("ab", "cd", "ef"):
        store(one, keys)
    assert one.peak <= 4 * SIZE
    assert held(tmp_path) == "cef"


def test_a_new_server_counts_what_is_there(disk: Callable[[int], Any], tmp_path: Path) -> None:
    store(disk(4), "abc")
    again = disk(4)
    assert again.get_usage().total_bytes_used == 3 * SIZE
    store(again, "de")
    assert again.peak <= 4 * SIZE
    assert {"d", "e"} <= set(held(tmp_path))
