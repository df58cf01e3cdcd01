"""A folder that is small: a file system in memory, mounted for one run, so that it can be full."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lmcache_kserve.errors import HarnessError

_MOUNTS = Path("/proc/self/mounts")
_FULL_SHARE = 0.97


@contextmanager
def mounted(place: Path, *, size_bytes: int) -> Iterator[None]:
    """Mount an empty file system of this size in a folder, and unmount it at the end.

    Raises:
        HarnessError: this process may not mount one.
    """
    if os.geteuid() != 0:
        raise HarnessError("only root may mount a small file system, and this process is not root")
    place.mkdir(parents=True, exist_ok=True)
    words = ["mount", "-t", "tmpfs", "-o", f"size={size_bytes},mode=0777", "lmcache-kserve", str(place)]
    try:
        done = subprocess.run(words, capture_output=True, text=True, check=False)
    except OSError as error:
        raise HarnessError(f"a small file system cannot be mounted here: {error}") from error
    if done.returncode:
        raise HarnessError(f"a small file system cannot be mounted here: {done.stderr.strip()}")
    try:
        yield
    finally:
        _unmount(place)


def is_full(place: Path) -> bool:
    """Whether the file system of a folder has hardly any room left."""
    usage = shutil.disk_usage(place)
    return usage.used >= usage.total * _FULL_SHARE


def unmount_below(folder: Path) -> None:
    """Unmount what a killed harness left mounted below a folder."""
    for line in _MOUNTS.read_text(encoding="utf-8").splitlines() if _MOUNTS.exists() else ():
        place = Path(line.split(" ")[1].encode().decode("unicode_escape"))
        if folder in place.parents:
            _unmount(place)


def _unmount(place: Path) -> None:
    # Lazily: a process that is just ending may still have a file open.
    words = ["umount", "--lazy", str(place)]
    subprocess.run(words, capture_output=True, check=False)
