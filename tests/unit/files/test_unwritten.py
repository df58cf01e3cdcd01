"""The script that keeps unwritten memory out of LMCache's server; tests/local has it at work in a real one."""

import importlib
import sys
import threading
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from rendering import CHART

MINE, OTHERS = 1, 2


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(CHART / "files")
    monkeypatch.delitem(sys.modules, "unwritten", raising=False)
    return importlib.import_module("unwritten")


class Lock:
    """LMCache's lock, as long as its time has not run out."""

    def __init__(self) -> None:
        self.holders = 0

    def lock(self) -> None:
        self.holders += 1

    def unlock(self) -> None:
        self.holders -= 1

    def is_locked(self) -> bool:
        return self.holders > 0


class Memory:
    """The memory of LMCache 0.5.0 to 0.5.5."""

    def __init__(self, script: ModuleType) -> None:
        self.freed: list[str] = []
        self.told: list[str] = []
        self._lock = threading.Lock()
        self._objects = {name: SimpleNamespace(memory_obj=name, write_lock=script.WriteLock(Lock())) for name in "abc"}
        self._memory_manager = SimpleNamespace(free=self.freed.extend)
        self._registered_listeners = [SimpleNamespace(on_l1_keys_deleted_by_manager=self.told.extend)]

    def keys(self) -> set[str]:
        return set(self._objects)

    def begin_writes(self, *keys: str) -> None:
        for key in keys:
            self._objects[key].write_lock.lock()

    def end_writes(self, *keys: str) -> None:
        for key in keys:
            self._objects[key].write_lock.unlock()


def engine(memory: Any, *, stores: dict[tuple[int, str], list[str]]) -> Any:
    """What LMCache's server knows of engines that share its memory."""
    return SimpleNamespace(
        _pending_shm_lock=threading.Lock(),
        _pending_shm_writes=stores,
        _ctx=SimpleNamespace(storage_manager=SimpleNamespace(_l1_manager=memory)),
    )


def test_a_reservation_is_given_up_and_what_was_written_is_kept(script: ModuleType) -> None:
    memory = Memory(script)
    memory.begin_writes("a", "b")
    memory.end_writes("b")
    loads = script.Reservations(memory)
    loads.finish_write(["a", "b", "gone"])
    assert (memory.freed, memory.told) == (["a"], ["a"])
    assert loads.keys() == {"b", "c"}


def test_the_stores_of_an_engine_that_died_are_given_up_before_lmcache_ends_them(script: ModuleType) -> None:
    memory = Memory(script)
    memory.begin_writes("a", "b")
    server = engine(memory, stores={(MINE, "prompt"): ["a"], (OTHERS, "prompt"): ["b"]})
    ended: list[Any] = []
    script.released(lambda self, *_: ended.append(dict(self._pending_shm_writes)))(server, MINE, None)
    assert memory.freed == ["a"]
    assert ended == [{(OTHERS, "prompt"): ["b"]}]


def test_a_newer_lmcache_gives_them_up_itself(script: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    given_up: list[tuple[list[str], str]] = []
    memory = SimpleNamespace(finish_write_and_delete=lambda keys, tag: given_up.append((keys, tag)))
    for name in ("lmcache", "lmcache.v1", "lmcache.v1.distributed"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    stated = SimpleNamespace(_L1_WRITE_TAG="store")
    monkeypatch.setitem(sys.modules, "lmcache.v1.distributed.storage_manager", stated)
    server = engine(memory, stores={(MINE, "prompt"): ["a"]})
    script.released(lambda *_: None)(server, MINE, None)
    assert given_up == [(["a"], "store")]
