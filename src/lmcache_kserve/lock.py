"""Lets one process at a time make a file or folder that all of a user's processes share."""

import fcntl
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self


class Exclusive:
    """The right to make a file or folder, as a context manager; held through a lock file beside it.

    The lock belongs to an open file, not to a process: a program that inherits `descriptor` (`pass_fds` of
    `subprocess`) keeps the lock for as long as it runs, even when the process that started it was killed.

    Args:
        made: what is to be made; its parent is created.
        waiting: called once, when another process holds the lock.
    """

    def __init__(self, made: Path, *, waiting: Callable[[], None] = lambda: None) -> None:
        made.parent.mkdir(parents=True, exist_ok=True)
        self._file = made.with_suffix(".lock").open("w", encoding="utf-8")
        self._waiting = waiting

    @property
    def descriptor(self) -> int:
        """The lock file's descriptor."""
        return self._file.fileno()

    def __enter__(self) -> Self:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._waiting()
            fcntl.flock(self._file, fcntl.LOCK_EX)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()
