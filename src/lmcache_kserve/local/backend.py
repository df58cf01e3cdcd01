"""The remote backend of a release on this machine: asked what it holds, stopped and started."""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from lmcache_kserve.chart.contract import METRICS_PORT
from lmcache_kserve.concurrency import first_failure
from lmcache_kserve.errors import HarnessError
from lmcache_kserve.lmcache.backends import (
    Source,
    TypedBackend,
    bucket_contents,
    file_contents,
    mooncake_contents,
    redis_contents,
)
from lmcache_kserve.lmcache.settings import LMCacheSettings
from lmcache_kserve.local.pod import LocalPod
from lmcache_kserve.target import LOOPBACK, Contents


@dataclass(frozen=True, slots=True)
class LocalBackend(TypedBackend):
    """The remote backend of a release on this machine; without pods the backend is external."""

    type: str
    mode: str
    settings: LMCacheSettings
    environment: Mapping[str, str] = field(repr=False)
    pods: Sequence[LocalPod]

    @property
    def controllable(self) -> bool:
        """Whether the release runs it, so that a fault can be made."""
        return bool(self.pods)

    def contents(self) -> Contents:
        """What the backend holds now: its own answer, or its process's memory where it cannot be asked.

        Raises:
            HarnessError: it cannot be read.
        """
        match self.traits.source:
            case Source.REDIS:
                return redis_contents(
                    self.settings.redis_url,
                    self.settings.login,
                    entries_per_chunk=self.settings.entries_per_chunk,
                )
            case Source.BUCKET:
                return bucket_contents(*self.settings.bucket, self.environment)
            case Source.FILES:
                return file_contents(Path(self.settings.shared_folder or ""))
            case Source.MOONCAKE:
                return mooncake_contents(self._metrics_url())
            case Source.MEMORY:
                return self._memory()
            case Source.NOTHING:
                raise self.silent()

    def _metrics_url(self) -> str:
        for pod in self.pods:
            for port in pod.main.get("ports", ()):
                if port.get("name") == METRICS_PORT:
                    return f"http://{LOOPBACK}:{pod.local_port(port['containerPort'])}/metrics"
        raise self.silent("an external")

    def _memory(self) -> Contents:
        if not self.pods:
            raise self.silent("an external")
        return Contents(
            entries=None,
            size_bytes=sum(pod.process.resident_bytes for pod in self.pods),
            entries_per_chunk=self.settings.entries_per_chunk,
        )

    def stop(self) -> None:
        """End the backend's pods at once; what they held in memory is gone.

        Raises:
            HarnessError: the release does not run the backend.
        """
        if not self.pods:
            raise self.external()
        self._all(LocalPod.kill)

    @property
    def pids(self) -> list[int]:
        """Numbers of all its processes; none where the release does not run the backend."""
        return [pid for pod in self.pods for pid in pod.pids]

    @property
    def resident_bytes(self) -> int:
        """Memory of all its processes; 0 while it does not run."""
        total = 0
        for pod in self.pods:
            with suppress(HarnessError):
                total += pod.process.resident_bytes
        return total

    def start(self) -> None:
        """Start the backend's pods again, side by side as they may wait for each other, and wait until all are ready.

        Raises:
            HarnessError: one did not become ready; all are ended.
        """
        with ThreadPoolExecutor(max_workers=len(self.pods)) as pool:
            first_failure([pool.submit(pod.start) for pod in self.pods], then=lambda: self._all(LocalPod.kill))

    def _all(self, action: Callable[[LocalPod], None]) -> None:
        with ThreadPoolExecutor(max_workers=len(self.pods)) as pool:
            list(pool.map(action, self.pods))
