"""Delete the chunks that were not used for longest until the rest fits: LMCache's file system connector deletes none.

Usage: clean_filesystem.py FOLDER BYTES

Above BYTES it deletes until 90 % of them are left, so that not every run deletes. A chunk counts as used when it was
read or written last; on a volume that records no reads (noatime), when it was written. A replica that misses a chunk
computes it again, and one that is reading it keeps the open file, so chunks may go at any time. What a killed replica
left behind, a temporary file, goes after an hour; its empty folder stays, because nobody can tell it from an idle
replica's.

Source of the names: LMCache 0.5.6, `lmcache/v1/storage_backend/connector/fs_connector.py` (`*.data` in the folder
itself, temporary files of the same name in the folder `fs_connector_relative_tmp_dir`).
"""

from __future__ import annotations

import contextlib
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

CHUNK_SUFFIX = ".data"
TEMPORARY_SUFFIX = ".tmp"
TEMPORARY_FOLDER_PREFIX = ".tmp-"
ABANDONED_AFTER_S = 3600.0
KEPT_SHARE = 0.9
USAGE = 2


def chunks(folder: str) -> Iterator[tuple[float, int, str]]:
    """Every chunk: when it was used last (seconds since 1970), its size in bytes, its path."""
    with os.scandir(folder) as entries:
        for entry in entries:
            # Another cleaner or a replica may have removed it meanwhile.
            with contextlib.suppress(FileNotFoundError):
                if entry.name.endswith(CHUNK_SUFFIX) and entry.is_file(follow_symlinks=False):
                    status = entry.stat(follow_symlinks=False)
                    yield max(status.st_atime, status.st_mtime), status.st_size, entry.path


def delete_oldest(folder: str, limit: int) -> tuple[int, int, int]:
    """Delete until `KEPT_SHARE` of `limit` bytes are left, if there are more than `limit`.

    Returns:
        How many chunks were deleted, how many bytes they had, and how many bytes are left.
    """
    found = sorted(chunks(folder))
    left = sum(size for _, size, _ in found)
    if left <= limit:
        return 0, 0, left
    count = freed = 0
    for _, size, path in found:
        if left <= limit * KEPT_SHARE:
            break
        with contextlib.suppress(FileNotFoundError):
            Path(path).unlink()
            count += 1
            freed += size
        left -= size
    return count, freed, left


def abandoned(folder: str, before: float) -> Iterator[str]:
    """Temporary files that nobody has written to since `before`."""
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                if entry.name.startswith(TEMPORARY_FOLDER_PREFIX):
                    with os.scandir(entry.path) as files:
                        yield from (file.path for file in files if is_older(file, before))
            elif entry.name.endswith(TEMPORARY_SUFFIX) and is_older(entry, before):
                yield entry.path


def is_older(entry: os.DirEntry[str], before: float) -> bool:
    """Whether it was last changed before that time; not for one that is gone."""
    try:
        return entry.stat(follow_symlinks=False).st_mtime < before
    except FileNotFoundError:
        return False


def remove_abandoned(folder: str, before: float) -> int:
    """Remove the temporary files that nobody writes to, and return how many they were."""
    count = 0
    for path in list(abandoned(folder, before)):
        with contextlib.suppress(FileNotFoundError):
            Path(path).unlink()
            count += 1
    return count


def main() -> int:
    """Clean once and say what was done."""
    try:
        folder, limit = sys.argv[1], int(sys.argv[2])
    except (IndexError, ValueError):
        sys.stderr.write("usage: clean_filesystem.py FOLDER BYTES\n")
        return USAGE
    temporary = remove_abandoned(folder, time.time() - ABANDONED_AFTER_S)
    count, freed, left = delete_oldest(folder, limit)
    sys.stdout.write(
        f"{folder}: {left} of {limit} bytes used; deleted {count} chunks of {freed} bytes and {temporary} files of "
        "unfinished writes\n"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
