"""What the parts of a release take of this machine while a load runs: processor seconds and peak memory."""

import contextlib
import threading
from collections.abc import Iterator, Mapping, Sequence
from types import TracebackType
from typing import Self

import psutil

from lmcache_kserve.chart.contract import BACKEND_COMPONENT, PREDICTOR_CONTAINER, SERVER_CONTAINER
from lmcache_kserve.evidence.comparison import BACKEND, ENGINE, LMCACHE, PARTS, Use
from lmcache_kserve.local.pod import LocalPod

_EVERY_S = 0.25


class Meter:
    """Watches the processes of some pods, as a context manager; `use` tells what they took inside.

    A process that ends inside counts up to the last sample.
    """

    def __init__(self, pods: Sequence[LocalPod]) -> None:
        self._pods = pods
        self._before: dict[tuple[str, int], float] = {}
        self._now: dict[tuple[str, int], float] = {}
        self._peak = dict.fromkeys(PARTS, 0)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="meter", daemon=True)

    def __enter__(self) -> Self:
        self._sample()
        self._before = self._now.copy()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()
        self._sample()

    @property
    def use(self) -> Mapping[str, Use]:
        """By part, what its processes took; parts without a process are left out."""
        return {
            part: Use(
                cpu_s=sum(
                    seconds - self._before.get((of, pid), 0.0) for (of, pid), seconds in self._now.items() if of == part
                ),
                peak_bytes=self._peak[part],
            )
            for part in PARTS
            if any(of == part for of, _ in self._now)
        }

    def _watch(self) -> None:
        while not self._over.wait(_EVERY_S):
            self._sample()

    def _sample(self) -> None:
        resident = dict.fromkeys(PARTS, 0)
        for part, pid in self._processes():
            with contextlib.suppress(psutil.NoSuchProcess):
                process = psutil.Process(pid)
                times = process.cpu_times()
                self._now[part, pid] = times.user + times.system
                resident[part] += process.memory_info().rss
        for part, size in resident.items():
            self._peak[part] = max(self._peak[part], size)

    def _processes(self) -> Iterator[tuple[str, int]]:
        for pod in self._pods:
            for name, process in pod.processes.items():
                part = _part(pod.plan.component, name)
                if part:
                    yield from ((part, pid) for pid in process.pids)


def _part(component: str, container: str) -> str | None:
    """The part that a container belongs to; None for one that has no share in serving, such as an exporter."""
    if component == BACKEND_COMPONENT:
        return BACKEND
    return {PREDICTOR_CONTAINER: ENGINE, SERVER_CONTAINER: LMCACHE}.get(container)
