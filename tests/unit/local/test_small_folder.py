"""A folder can be made small and full, where the process may mount one."""

import errno
import os
import subprocess
from pathlib import Path

import pytest

from lmcache_kserve.errors import HarnessError
from lmcache_kserve.local.small_folder import is_full, mounted, unmount_below

MIB = 2**20


def mount_or_skip(place: Path) -> None:
    """Skip where a mount is not allowed, as in a container without the capability."""
    try:
        with mounted(place, size_bytes=MIB):
            pass
    except HarnessError as error:
        pytest.skip(str(error))


def test_a_small_folder_is_full_soon_and_is_gone_afterwards(tmp_path: Path) -> None:
    place = tmp_path / "claim"
    mount_or_skip(place)
    with mounted(place, size_bytes=MIB):
        assert place.is_mount()
        assert not is_full(place)
        with pytest.raises(OSError, match="No space") as full:
            (place / "chunk.data").write_bytes(bytes(2 * MIB))
        assert full.value.errno == errno.ENOSPC
        assert is_full(place)
    assert not place.is_mount()
    assert list(place.iterdir()) == []


def test_what_a_killed_harness_left_is_unmounted(tmp_path: Path) -> None:
    place = tmp_path / "run" / "a claim"
    mount_or_skip(place)
    with mounted(place, size_bytes=MIB):
        unmount_below(tmp_path / "another")
        assert place.is_mount()
        unmount_below(tmp_path / "run")
        assert not place.is_mount()


def test_a_process_that_is_not_root_is_told_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(HarnessError, match="not root"), mounted(tmp_path, size_bytes=MIB):
        pass


def test_a_mount_that_is_refused_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    refused = subprocess.CompletedProcess([], 32, stdout="", stderr="mount: permission denied.\n")
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: refused)
    with pytest.raises(HarnessError, match="permission denied"), mounted(tmp_path, size_bytes=MIB):
        pass
