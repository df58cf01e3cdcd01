"""Counts the chunks in a folder that the replicas share.

Usage: python3 folder.py FOLDER

Source of the names: LMCache 0.5.6, `fs_connector.py`, which renames a file into the folder when it is whole.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

_CHUNK_FILES = "*.data"


def count(folder: Path) -> tuple[int, int]:
    """Count the whole chunks in a folder that the replicas share, and their bytes.

    Raises:
        OSError: there is no such folder.
    """
    if not folder.is_dir():
        raise FileNotFoundError(f"there is no folder {folder}")
    sizes = [file.stat().st_size for file in chunks(folder)]
    return len(sizes), sum(sizes)


def chunks(folder: Path) -> Iterator[Path]:
    """The files of the whole chunks in a folder."""
    return folder.glob(_CHUNK_FILES)


def main() -> int:
    """Print what the folder holds."""
    entries, size = count(Path(sys.argv[1]))
    sys.stdout.write(f"{entries} {size}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
