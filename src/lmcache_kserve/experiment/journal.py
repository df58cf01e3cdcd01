"""What happened when: for the timeline, for the check of the logs, and for people who watch."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from lmcache_kserve.evidence import FaultWindow, Moment
from lmcache_kserve.progress import Progress, untold


class Journal:
    """Collects the timeline and the fault windows of one experiment, and passes progress on."""

    def __init__(self, *, progress: Progress = untold, now: Callable[[], datetime] | None = None) -> None:
        self._progress = progress
        self.now = now or (lambda: datetime.now(UTC))
        self._timeline: list[Moment] = []
        self._faults: list[FaultWindow] = []

    @property
    def timeline(self) -> tuple[Moment, ...]:
        """All moments, in order."""
        return tuple(self._timeline)

    @property
    def faults(self) -> tuple[FaultWindow, ...]:
        """All fault windows, in order."""
        return tuple(self._faults)

    def note(self, kind: str, text: str) -> None:
        """Add a moment to the timeline; `kind` as in `Moment`."""
        self._timeline.append(Moment(self.now(), kind, text))

    def progress(self, stage: str, done: int, total: int, note: str = "") -> None:
        """Tell how far a stage is; its start and its end enter the timeline."""
        if done == 0:
            self.note("stage", stage)
        self._progress(stage, done, total, note)

    @contextmanager
    def fault(self, reason: str, *, stays_open: bool = False) -> Iterator[None]:
        """A time in which connection errors are provoked; `stays_open` where the client never recovers."""
        start = self.now()
        try:
            yield
        finally:
            self._faults.append(FaultWindow(start, None if stays_open else self.now(), reason))
