"""The script that divides the memory of LMCache's server; tests/local has it at work in a real one."""

import importlib
import json
import sys
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from rendering import CHART

SIZE = 4096
"""Bytes of a chunk in the memory, after alignment."""

LAYOUT = SimpleNamespace(shapes=[(1000,), (10, 2)], dtypes=[SimpleNamespace(itemsize=4), SimpleNamespace(itemsize=2)])
FULL = "out of memory"


@dataclass(frozen=True)
class Key:
    """ObjectKey."""

    cache_salt: str
    number: int


def keys(salt: str, *numbers: int) -> list[Key]:
    return [Key(salt, number) for number in numbers]


class Order:
    """LMCache's LRUEvictionPolicy."""

    def __init__(self) -> None:
        self.order: OrderedDict[Key, None] = OrderedDict()

    def on_keys_created(self, created: list[Key]) -> None:
        for key in reversed(created):
            self.order[key] = None
            self.order.move_to_end(key)

    on_keys_reserved = on_keys_touched = on_keys_created

    def on_keys_removed(self, removed: list[Key]) -> None:
        for key in removed:
            self.order.pop(key, None)

    def get_eviction_actions(self, ratio: float, key_eligible_filter: Callable[[Key], bool]) -> list[Any]:
        count = max(1, int(len(self.order) * ratio)) if ratio and self.order else 0
        eligible = [key for key in self.order if key_eligible_filter(key)]
        return [SimpleNamespace(keys=eligible[:count])] if count else []


class Memory:
    """LMCache's memory manager, whose memory may be in pieces."""

    def __init__(self, chunks: int) -> None:
        self.left = chunks
        self.largest = chunks

    def allocate(self, _layout: object, count: int) -> tuple[str, list[Any]]:
        if count > min(self.left, self.largest):
            return FULL, []
        self.left -= count
        return "ok", [SimpleNamespace(get_physical_size=lambda: SIZE) for _ in range(count)]

    def free(self, objects: list[Any]) -> None:
        self.left += len(objects)
        self.largest += len(objects)


class Manager:
    """L1Manager of LMCache 0.5.6."""

    def __init__(self, config: Any) -> None:
        self._objects: dict[Key, Any] = {}
        self._memory_manager = Memory(config.memory_config.size_in_bytes // SIZE)
        self.objects, self.memory = self._objects, self._memory_manager
        self.listeners: list[Any] = []
        self.in_use: set[Key] = set()

    def register_listener(self, listener: Any) -> None:
        self.listeners.append(listener)

    def is_key_evictable(self, key: Key) -> bool:
        return key not in self.in_use

    def reserve_write(
        self, keys: list[Key], is_temporary: list[bool], layout_desc: object, tag: str = ""
    ) -> dict[Key, tuple[str, Any]]:
        assert len(keys) == len(is_temporary)
        assert tag == "store"
        new = [key for key in keys if key not in self._objects]
        error, objects = self._memory_manager.allocate(layout_desc, len(new))
        if error == "ok":
            self._objects.update(zip(new, objects, strict=True))
            for listener in self.listeners:
                listener.on_keys_created(new)
        answer = {key: (error, self._objects.get(key)) for key in new}
        return dict.fromkeys(keys, ("not writable", None)) | answer

    def delete(self, keys: list[Key]) -> None:
        gone = [key for key in keys if key not in self.in_use]
        self._memory_manager.free([self._objects.pop(key) for key in gone])
        for listener in self.listeners:
            listener.on_keys_removed(gone)


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(CHART / "files")
    modules: dict[str, dict[str, Any]] = {
        "lmcache.v1.distributed": {"storage_manager": SimpleNamespace(L1Manager=Manager)},
        "lmcache.v1.distributed.error": {"L1Error": SimpleNamespace(OUT_OF_MEMORY=FULL)},
        "lmcache.v1.distributed.eviction": {"L1EvictionPolicy": lambda policy: policy},
        "lmcache.v1.distributed.eviction_policy.lru": {"LRUEvictionPolicy": Order},
    }
    for name, content in modules.items():
        stub = ModuleType(name)
        stub.__dict__.update(content)
        monkeypatch.setitem(sys.modules, name, stub)
    for name in ("mp_server", "shared_mp_server", "tenant_mp_server"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    return importlib.import_module("tenant_mp_server")


def divided(script: ModuleType, *, chunks: int, **quotas: int) -> Any:
    """A memory of so many chunks, of which tenants have their own."""
    script.divide({name: count * SIZE for name, count in quotas.items()})
    memory = SimpleNamespace(size_in_bytes=chunks * SIZE, align_bytes=SIZE)
    return sys.modules["lmcache.v1.distributed"].storage_manager.L1Manager(SimpleNamespace(memory_config=memory))


def store(manager: Any, *wanted: Key) -> list[int]:
    """Reserve memory as LMCache does; returns the numbers of the chunks that got some."""
    answer = manager.reserve_write(
        keys=list(wanted), is_temporary=[False] * len(wanted), layout_desc=LAYOUT, tag="store"
    )
    assert list(answer) == list(wanted) or set(answer) == set(wanted)
    return [key.number for key in wanted if answer[key][0] == "ok"]


def held(manager: Any, salt: str) -> list[int]:
    return sorted(key.number for key in manager.objects if key.cache_salt == salt)


def test_a_tenant_over_its_quota_evicts_its_own_oldest_chunks_only(script: ModuleType) -> None:
    manager = divided(script, chunks=8, a=3, b=3)
    store(manager, *keys("a", 1, 2, 3))
    store(manager, *keys("c", 1))
    for number in range(10):
        assert store(manager, *keys("b", number)) == [number]
    assert (held(manager, "a"), held(manager, "b"), held(manager, "c")) == ([1, 2, 3], [7, 8, 9], [1])


def test_requests_without_a_quota_share_the_rest(script: ModuleType) -> None:
    manager = divided(script, chunks=6, a=3)
    store(manager, *keys("a", 1, 2, 3))
    store(manager, *keys("", 1, 2))
    store(manager, *keys("c", 1, 2))
    assert (held(manager, "a"), held(manager, ""), held(manager, "c")) == ([1, 2, 3], [1], [1, 2])


def test_nothing_is_kept_for_requests_without_a_quota_where_there_is_no_rest(script: ModuleType) -> None:
    manager = divided(script, chunks=3, a=3)
    assert store(manager, *keys("c", 1, 2)) == []
    assert store(manager, *keys("a", 1, 2, 3)) == [1, 2, 3]


def test_a_prompt_longer_than_the_quota_keeps_its_beginning(script: ModuleType) -> None:
    manager = divided(script, chunks=8, a=3)
    store(manager, *keys("a", 10, 11))
    assert store(manager, *keys("a", 1, 2, 3, 4, 5)) == [1, 2, 3]
    assert held(manager, "a") == [1, 2, 3]


def test_chunks_in_use_stay_and_what_does_not_fit_is_refused(script: ModuleType) -> None:
    manager = divided(script, chunks=8, a=3)
    store(manager, *keys("a", 1, 2, 3))
    manager.in_use = set(keys("a", 1, 2))
    assert store(manager, *keys("a", 4, 5)) == [4]
    assert held(manager, "a") == [1, 2, 4]


def test_what_is_there_already_costs_nothing(script: ModuleType) -> None:
    manager = divided(script, chunks=8, a=3)
    store(manager, *keys("a", 1, 2, 3))
    assert store(manager, *keys("a", 1, 2, 3)) == []
    assert held(manager, "a") == [1, 2, 3]


def test_one_call_for_chunks_of_two_tenants_counts_for_each(script: ModuleType) -> None:
    manager = divided(script, chunks=8, a=1, b=2)
    assert store(manager, *keys("a", 1, 2), *keys("b", 3, 4, 5)) == [1, 3, 4]


def test_room_in_pieces_is_made_from_the_own_share(script: ModuleType) -> None:
    manager = divided(script, chunks=8, a=4, b=4)
    store(manager, *keys("a", 1, 2))
    store(manager, *keys("b", 1, 2))
    manager.memory.largest = 0
    assert store(manager, *keys("b", 3, 4)) == [3, 4]
    assert (held(manager, "a"), held(manager, "b")) == ([1, 2], [3, 4])


def test_memory_that_is_given_back_can_be_taken_again(script: ModuleType) -> None:
    manager = divided(script, chunks=4, a=2)
    for _ in range(3):
        assert store(manager, *keys("a", 1, 2)) == [1, 2]
        manager.delete(keys("a", 1, 2))
    manager.memory.free([SimpleNamespace()])  # what LMCache took before it was counted
    assert store(manager, *keys("c", 1, 2)) == [1, 2]


@pytest.mark.parametrize("server", ["mp_server", "shared_mp_server"])
def test_either_server_runs_with_quotas_that_apply_before_it_starts(
    script: ModuleType, server: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    quotas = tmp_path / "quotas.json"
    quotas.write_text(json.dumps({"name": 3 << 29}))
    monkeypatch.setattr(script, "QUOTAS", quotas)
    monkeypatch.setattr(sys, "argv", ["tenant_mp_server.py", server, "--silence=1", "--", "--port=1"])
    called: list[Any] = []
    monkeypatch.setattr(script.mp_server, "keep_out", lambda: called.append("kept out"))
    monkeypatch.setattr(script, "divide", called.append)

    def main() -> int:
        called.append(sys.argv[1:])
        script.mp_server.keep_out()
        return 7

    monkeypatch.setattr(importlib.import_module(server), "main", main)
    assert script.main() == 7
    assert called == [["--silence=1", "--", "--port=1"], "kept out", {"name": 3 << 29}]
    assert "quotas keep 1.5 GiB of the memory for 1 salts" in capsys.readouterr().err
