"""A container's log, read while it is written: a killed pod takes its log with it."""

import threading
from collections.abc import Iterator
from datetime import UTC, datetime

from lmcache_kserve.cluster.api import Api, ForbiddenError, NotFoundError
from lmcache_kserve.errors import HarnessError
from lmcache_kserve.target import LogLine

_AGAIN_S = 1.0


class PodLog:
    """All lines of one container of one pod, from its start until it is gone."""

    def __init__(self, api: Api, *, pod: str, container: str) -> None:
        self._api = api
        self.pod = pod
        self.container = container
        self._lines: list[LogLine] = []
        self._refused: ForbiddenError | None = None
        self._closed = threading.Event()
        threading.Thread(target=self._follow, name=f"log of {pod}", daemon=True).start()

    def close(self) -> None:
        """Read no more; what was read stays."""
        self._closed.set()

    def lines(self, *, since: datetime | None) -> Iterator[LogLine]:
        """The lines at or after `since`, oldest first.

        Raises:
            ForbiddenError: the account may not read logs.
        """
        if self._refused:
            raise self._refused
        return (line for line in list(self._lines) if since is None or line.time >= since)

    def _follow(self) -> None:
        while not self._closed.is_set():
            try:
                self._read()
            except ForbiddenError as error:
                self._refused = error
                return
            except NotFoundError:
                return
            except HarnessError:
                # The container has not started yet, or the connection broke: asked again below.
                pass
            # A container that ended in its pod starts again, and its log goes on.
            self._closed.wait(_AGAIN_S)

    def _read(self) -> None:
        last = self._lines[-1].time if self._lines else None
        # Known to the second only: what was read before comes again.
        since = last.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ") if last else None
        for text in self._api.follow_log(self.pod, self.container, since=since):
            if self._closed.is_set():
                return
            line = parse(text)
            if line and (last is None or line.time > last):
                self._lines.append(line)


def parse(text: str) -> LogLine | None:
    """A line with the kubelet's time in front; None for one without (the kubelet's own error messages)."""
    stamp, _, rest = text.partition(" ")
    try:
        time = datetime.fromisoformat(stamp)
    except ValueError:
        return None
    return LogLine(time, rest) if time.tzinfo else None
