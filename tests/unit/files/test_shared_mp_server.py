"""The script that keeps the memory of LMCache's server where an engine shares it."""

import errno
import importlib
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
from rendering import CHART

from lmcache_kserve.chart import contract


class Left(BaseException):
    """In place of the end of the process."""


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(CHART / "files")
    for name in ("mp_server", "shared_mp_server"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    return importlib.import_module("shared_mp_server")


@pytest.fixture
def memory(script: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A folder in the place of /dev/shm, and a server that runs."""
    monkeypatch.setattr(script, "SHARED_MEMORY", tmp_path)
    monkeypatch.setattr(script.mp_server, "storage_manager", lambda: None)
    monkeypatch.setitem(sys.modules, script.SERVER, ModuleType(script.SERVER))
    return tmp_path


def test_what_killed_servers_shared_is_removed_and_nothing_else(script: ModuleType, memory: Path) -> None:
    with subprocess.Popen([sys.executable, "--version"], stdout=subprocess.DEVNULL) as dead:
        dead.wait()
    mine, others = f"{script.SEGMENT}{os.getpid()}", [f"{script.SEGMENT}{os.getppid()}", "lmcache_l1_pool_1", "sem.x"]
    for name in (f"{script.SEGMENT}{dead.pid}", mine, *others):
        (memory / name).touch()
    assert script.free_name() == mine
    assert sorted(path.name for path in memory.iterdir()) == sorted(others)


def test_the_harness_knows_the_name_of_what_a_server_shares(script: ModuleType) -> None:
    assert script.SEGMENT == contract.SHARED_SEGMENT


def test_shared_memory_is_taken_at_the_start_and_keeps_what_it_holds(script: ModuleType, memory: Path) -> None:
    segment = memory / "pool"
    segment.write_bytes(b"chunk")
    os.truncate(segment, 1 << 20)
    script.claim("pool")
    assert segment.stat().st_blocks * 512 >= 1 << 20
    assert segment.read_bytes()[:5] == b"chunk"


def test_nothing_of_lmcache_is_imported_before_the_servers_own_thread_has_it(
    script: ModuleType, memory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (memory / "pool").write_bytes(b"chunk")
    seen: list[str] = []

    def wait(_: float) -> None:
        seen.append("waits")
        if len(seen) == 2:
            monkeypatch.setitem(sys.modules, script.SERVER, ModuleType(script.SERVER))

    monkeypatch.delitem(sys.modules, script.SERVER)
    monkeypatch.setattr(script.time, "sleep", wait)
    monkeypatch.setattr(script.mp_server, "storage_manager", lambda: seen.append("imports"))
    script.claim("pool")
    assert seen == ["waits", "waits", "imports"]


def test_memory_that_cannot_be_shared_is_told(
    script: ModuleType, memory: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    script.claim("pool")
    assert "has no room for the server's memory" in capsys.readouterr().err
    (memory / "pool").write_bytes(b"chunk")
    monkeypatch.setattr(script.os, "posix_fallocate", _full)
    monkeypatch.setattr(script.os, "_exit", _leave)
    with pytest.raises(Left, match="70"):
        script.claim("pool")
    assert "cannot hold the server's memory (No space left on device)" in capsys.readouterr().err


def _full(*_: int) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def _leave(code: int) -> None:
    raise Left(code)


def test_the_server_is_told_the_name(script: ModuleType, memory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["shared_mp_server.py", "--silence=1", "--", "--port=5555"])
    monkeypatch.setattr(script.mp_server, "main", lambda: sys.argv)
    assert memory.is_dir()
    assert script.main() == [*sys.argv[:4], "--shm-name", f"{script.SEGMENT}{os.getpid()}"]
