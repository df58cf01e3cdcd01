"""Shows how far a run is: bars on a terminal, one line for each step in a log."""

import time
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn


class Stages:
    """The stages of one run, as a context manager."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._started = time.monotonic()
        self._tasks: dict[str, TaskID] = {}
        self._bars = Progress(
            SpinnerColumn(finished_text="[green]✓[/]"),
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("[dim]{task.fields[note]}[/]"),
            console=console,
            disable=not console.is_terminal,
        )

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bars.stop()

    def update(self, stage: str, done: int, total: int, note: str = "") -> None:
        """Say that `done` of `total` steps of `stage` are behind us; for `note` see `Progress`."""
        if self._bars.disable:
            elapsed = time.monotonic() - self._started
            self._console.print(
                f"[{elapsed:6.1f} s] {stage} {done}/{total} {note}".rstrip(),
                markup=False,
                highlight=False,
                soft_wrap=True,
            )
            return
        if stage not in self._tasks:
            self._tasks[stage] = self._bars.add_task(escape(stage), total=total, note="")
        self._bars.update(self._tasks[stage], completed=done, total=total, note=escape(note))
