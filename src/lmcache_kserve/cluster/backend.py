"""The remote backend of a release on a cluster: its pod says what it holds, and scaling to 0 stops it."""

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from lmcache_kserve.chart.contract import METRICS_PORT, PART_LABEL
from lmcache_kserve.cluster.api import DEPLOYMENTS, PODS, STATEFUL_SETS, Api, NotFoundError, Resource
from lmcache_kserve.cluster.forward import Forward
from lmcache_kserve.cluster.pod import Pod, problems
from lmcache_kserve.errors import HarnessError
from lmcache_kserve.lmcache import count
from lmcache_kserve.lmcache.backends import (
    Source,
    TypedBackend,
    mooncake_contents,
    redis_contents,
    traits,
)
from lmcache_kserve.lmcache.count import bucket, folder, resp
from lmcache_kserve.lmcache.settings import LMCacheSettings
from lmcache_kserve.target import LOOPBACK, Contents
from lmcache_kserve.waiting import Pending, wait_for

_GONE_TIMEOUT_S = 60.0
_READY_TIMEOUT_S = 300.0
_POLL_S = 0.5


@dataclass(frozen=True, slots=True)
class Workload:
    """A Deployment or StatefulSet of the backend; `replicas` is the number before anything was scaled."""

    resource: Resource
    name: str
    replicas: int


@dataclass(slots=True)
class ClusterBackend(TypedBackend):
    """The backend that a release runs.

    Attributes:
        api: its namespace.
        type: the value of `remoteBackend.type`.
        mode: the value of `lmcache.mode`.
        labels: the labels of its objects.
        settings: what the replicas' LMCache was told.
        neighbour: returns a pod and its container that reach the backend and hold its credentials.
    """

    api: Api
    type: str
    mode: str
    labels: Mapping[str, str]
    settings: LMCacheSettings
    neighbour: Callable[[], tuple[str, str]]
    _workloads: list[Workload] = field(init=False)
    _forward: Forward | None = None
    _stopped: bool = False
    _was_stopped: bool = False

    def __post_init__(self) -> None:
        """Find the workloads that run it.

        Raises:
            HarnessError: they are scaled to 0, or the harness cannot verify this type.
        """
        self._workloads = [
            Workload(resource, str(item["metadata"]["name"]), int(item["spec"].get("replicas", 1)))
            for resource in (DEPLOYMENTS, STATEFUL_SETS)
            for item in self.api.list(resource, labels=self.labels)
        ]
        traits(self.type, self.mode)
        for workload in self._workloads:
            if not workload.replicas:
                raise HarnessError(
                    f"the backend is scaled to 0, by someone or by a run that was killed: kubectl -n "
                    f"{self.api.namespace} scale {workload.resource.name}/{workload.name} --replicas=1"
                )

    @property
    def controllable(self) -> bool:
        """Whether the release runs it, so that it can be stopped."""
        return bool(self._workloads)

    @property
    def was_stopped(self) -> bool:
        """Whether it was stopped at least once."""
        return self._was_stopped

    def image(self) -> str | None:
        """The images of its pods, where the release runs it."""
        return ", ".join(sorted({str(pod.container()["image"]) for pod in self._pods()})) or None

    def contents(self) -> Contents:
        """What the backend holds now: its own answer, or its process's memory where it cannot be asked.

        Raises:
            HarnessError: it cannot be read.
        """
        if not self._workloads or self.traits.source is Source.NOTHING:
            return self._contents_from_inside()
        if self.traits.source is Source.REDIS:
            database = urlsplit(self.settings.redis_url).path
            return redis_contents(
                f"redis://{LOOPBACK}:{self._local_port()}{database}",
                self.settings.login,
                entries_per_chunk=self.settings.entries_per_chunk,
            )
        if self.traits.source is Source.MOONCAKE:
            return mooncake_contents(f"http://{LOOPBACK}:{self._local_port()}/metrics")
        return Contents(
            entries=None,
            size_bytes=sum(self._resident_bytes(pod) for pod in self._pods() if pod.ready),
            entries_per_chunk=self.settings.entries_per_chunk,
        )

    def _contents_from_inside(self) -> Contents:
        """What an external backend holds, counted in a pod of the release: only such a pod may reach the backend."""
        match self.traits.source:
            case Source.REDIS:
                command = count.command(resp, self.settings.redis_url)
            case Source.BUCKET:
                command = count.command(bucket, *self.settings.bucket)
            case Source.FILES:
                command = count.command(folder, self.settings.shared_folder or "")
            case Source.MOONCAKE | Source.MEMORY | Source.NOTHING:
                raise self.silent()
        entries, size = self.api.execute(*self.neighbour(), command).split()
        entries_per_chunk = self.settings.entries_per_chunk if self.traits.source is Source.REDIS else 1
        return Contents(entries=int(entries), size_bytes=int(size), entries_per_chunk=entries_per_chunk)

    def stop(self) -> None:
        """Scale the backend to 0 and end its pods at once; what they held in memory is gone.

        Raises:
            HarnessError: the release does not run it, it does not end, or something else scales it back.
        """
        if not self._workloads:
            raise self.external()
        self._stopped = self._was_stopped = True
        for workload in self._workloads:
            self.api.scale(workload.resource, workload.name, 0)
        for pod in self._pods():
            with suppress(NotFoundError):
                self.api.delete_pod(pod.name, uid=pod.uid)
        wait_for(
            lambda: not (left := self._pods()) or Pending(", ".join(pod.name for pod in left)),
            timeout=_GONE_TIMEOUT_S,
            failed=self._scaled_back,
            delay=_POLL_S,
            describe="the backend's pods to end",
        )

    def start(self) -> None:
        """Scale the backend back and wait until it is ready.

        Raises:
            HarnessError: it does not become ready, or something else had scaled it back while it was to be stopped.
        """
        interference = None
        if self._stopped:
            with suppress(HarnessError):  # scaling back matters more than who did so before
                interference = self._scaled_back()
        self._scale_back()
        if interference:
            raise HarnessError(f"the fault ended early: {interference}")

    def _scale_back(self) -> None:
        for workload in self._workloads:
            self.api.scale(workload.resource, workload.name, workload.replicas)
        self._stopped = False
        wanted = sum(workload.replicas for workload in self._workloads)

        def ready() -> bool | Pending:
            pods = self._pods()
            enough = sum(pod.ready for pod in pods) >= wanted
            return enough or Pending("; ".join(problems(pods)) or f"{len(pods)} of {wanted} pods")

        wait_for(ready, timeout=_READY_TIMEOUT_S, delay=_POLL_S, describe="the backend's pods to be ready")

    def _scaled_back(self) -> str | None:
        """Who undoes a fault that is still meant to last, in words; None while nobody does."""
        stopped = {(workload.resource, workload.name) for workload in self._workloads}
        for resource in {workload.resource for workload in self._workloads}:
            for item in self.api.list(resource, labels=self.labels):
                name = item["metadata"]["name"]
                if (resource, name) in stopped and item["spec"].get("replicas", 1):
                    return (
                        f"something scaled {resource.name}/{name} back from 0, as selfHeal of Argo CD does: pause it "
                        "for the time of the run, or leave the faults out (--no-faults)"
                    )
        return None

    def close(self) -> None:
        """Scale the backend back where something ended between stop and start, and close the way into it."""
        try:
            if self._stopped:
                self._scale_back()
        finally:
            if self._forward:
                self._forward.close()

    def _pods(self) -> list[Pod]:
        return [Pod(manifest) for manifest in self.api.list(PODS, labels=self.labels)]

    def _entrances(self) -> list[Pod]:
        """The pods that clients connect to."""
        part = self.traits.entrance
        labels = {PART_LABEL: part} if part else {}
        return [Pod(manifest) for manifest in self.api.list(PODS, labels={**self.labels, **labels})]

    def _local_port(self) -> int:
        """The port of this machine that leads to a pod which counts the backend's objects."""
        if self._forward is None:
            pods = self._telling()
            if not pods:
                raise HarnessError("the backend has no pod")
            name = METRICS_PORT if self.traits.source is Source.MOONCAKE else None
            self._forward = Forward(self.api, pod=self._ready_pod, port=pods[0].port(name=name))
        return self._forward.local_port

    def _telling(self) -> list[Pod]:
        """The pods that count the backend's objects; for Mooncake the master."""
        if self.traits.source is Source.MOONCAKE:
            return [pod for pod in self._pods() if pod.has_port(METRICS_PORT)]
        return self._entrances()

    def _ready_pod(self) -> str | None:
        try:
            return next((pod.name for pod in self._telling() if pod.ready), None)
        except HarnessError:
            return None

    def _resident_bytes(self, pod: Pod) -> int:
        """Memory of a container's first process, which the kernel tells."""
        status = self.api.execute(pod.name, str(pod.container()["name"]), ["cat", "/proc/1/status"])
        for line in status.splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024
        raise HarnessError(f"/proc/1/status of pod {pod.name} has no VmRSS")
