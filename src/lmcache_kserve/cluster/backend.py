"""The remote backend of a release on a cluster: looked into through its pod, stopped by scaling it to nothing."""

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from lmcache_kserve.backends import BackendTraits, redis_contents, traits
from lmcache_kserve.cluster.api import DEPLOYMENTS, PODS, STATEFUL_SETS, Api, NotFoundError, Resource
from lmcache_kserve.cluster.forward import LOOPBACK, Forward
from lmcache_kserve.cluster.pods import Pod, problems
from lmcache_kserve.errors import HarnessError
from lmcache_kserve.target import Contents
from lmcache_kserve.waiting import Pending, wait_for

_GONE_TIMEOUT_S = 60.0
_READY_TIMEOUT_S = 300.0
_POLL_S = 0.5
_COUNT = """
import os, sys, redis
names = {key: ("REMOTE_BACKEND_" + key.upper(), "LMCACHE_RESP_" + key.upper()) for key in ("username", "password")}
secret = {key: "".join(os.environ.get(name, "") for name in both).rstrip("\\r\\n") for key, both in names.items()}
client = redis.Redis.from_url(sys.argv[1], **{key: value for key, value in secret.items() if value})
print(client.dbsize(), client.info("memory")["used_memory_dataset"])
"""
"""Runs where LMCache does, which brings redis-py; the container's environment, of either mode, has the credentials."""


@dataclass(frozen=True, slots=True)
class Workload:
    """A Deployment or StatefulSet of the backend, and the replicas that it is meant to have."""

    resource: Resource
    name: str
    replicas: int


@dataclass(slots=True)
class ClusterBackend:
    """The backend that a release runs.

    Attributes:
        api: its namespace.
        type: the value of `remoteBackend.type`.
        mode: the value of `lmcache.mode`.
        labels: what its objects carry.
        url: its address as the replicas know it, without credentials.
        username: user to log in as, or None.
        password: its password, or None.
        neighbour: names a pod and its container that reach the backend and hold its credentials.
    """

    api: Api
    type: str
    mode: str
    labels: Mapping[str, str]
    url: str
    username: str | None = field(repr=False)
    password: str | None = field(repr=False)
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
    def traits(self) -> BackendTraits:
        """How this type behaves."""
        return traits(self.type, self.mode)

    @property
    def client_reconnects(self) -> bool:
        """Whether LMCache's client finds the backend again after a restart."""
        return self.traits.client_reconnects

    @property
    def controllable(self) -> bool:
        """Whether the release runs it, so that it can be stopped."""
        return bool(self._workloads)

    @property
    def was_stopped(self) -> bool:
        """Whether it was stopped at least once."""
        return self._was_stopped

    def image(self) -> str | None:
        """The image of its server, where the release runs one."""
        pods = self._pods()
        return str(pods[0].container()["image"]) if pods else None

    def contents(self) -> Contents:
        """What the backend holds now: its own answer, or its process's memory where it cannot be asked.

        Raises:
            HarnessError: it cannot be read.
        """
        if not self._workloads:
            return self._contents_from_inside()
        if self.traits.lists_entries:
            database = urlsplit(self.url).path
            return redis_contents(
                f"redis://{LOOPBACK}:{self._local_port()}{database}",
                username=self.username,
                password=self.password,
                entries_per_chunk=self.traits.entries_per_chunk,
            )
        return Contents(
            entries=None,
            size_bytes=sum(self._resident_bytes(pod) for pod in self._pods() if pod.ready),
            entries_per_chunk=self.traits.entries_per_chunk,
        )

    def _contents_from_inside(self) -> Contents:
        """What a backend holds that others run: it may be reachable from the predictor's pods alone."""
        if not self.traits.lists_entries:
            raise HarnessError(f"an external backend of type {self.type} has no way to say what it holds")
        command = ["python3", "-c", _COUNT, self.url]
        entries, size = self.api.execute(*self.neighbour(), command).split()
        return Contents(entries=int(entries), size_bytes=int(size), entries_per_chunk=self.traits.entries_per_chunk)

    def stop(self) -> None:
        """Scale the backend to 0 and end its pods at once; what they held in memory is gone.

        Raises:
            HarnessError: the release does not run it, or it does not end.
        """
        if not self._workloads:
            raise HarnessError("the release does not run the backend: an external one cannot be stopped from here")
        self._stopped = self._was_stopped = True
        for workload in self._workloads:
            self.api.scale(workload.resource, workload.name, 0)
        for pod in self._pods():
            with suppress(NotFoundError):
                self.api.delete_pod(pod.name, uid=pod.uid)
        wait_for(
            lambda: not (left := self._pods()) or Pending(", ".join(pod.name for pod in left)),
            timeout=_GONE_TIMEOUT_S,
            delay=_POLL_S,
            describe="the backend's pods to end",
        )

    def start(self) -> None:
        """Scale the backend back and wait until it is ready.

        Raises:
            HarnessError: it does not become ready.
        """
        for workload in self._workloads:
            self.api.scale(workload.resource, workload.name, workload.replicas)
        self._stopped = False
        wanted = sum(workload.replicas for workload in self._workloads)

        def ready() -> bool | Pending:
            pods = self._pods()
            enough = sum(pod.ready for pod in pods) >= wanted
            return enough or Pending("; ".join(problems(pods)) or f"{len(pods)} of {wanted} pods")

        wait_for(ready, timeout=_READY_TIMEOUT_S, delay=_POLL_S, describe="the backend's pods to be ready")

    def close(self) -> None:
        """Scale the backend back where something ended between stop and start, and close the way into it."""
        try:
            if self._stopped:
                self.start()
        finally:
            if self._forward:
                self._forward.close()

    def _pods(self) -> list[Pod]:
        return [Pod(manifest) for manifest in self.api.list(PODS, labels=self.labels)]

    def _local_port(self) -> int:
        """The port of this machine that leads to the backend's pod."""
        if self._forward is None:
            pods = self._pods()
            if not pods:
                raise HarnessError("the backend has no pod")
            self._forward = Forward(self.api, pod=self._ready_pod, port=pods[0].port())
        return self._forward.local_port

    def _ready_pod(self) -> str | None:
        try:
            return next((pod.name for pod in self._pods() if pod.ready), None)
        except HarnessError:
            return None

    def _resident_bytes(self, pod: Pod) -> int:
        """Memory of a container's first process, which the kernel tells."""
        status = self.api.execute(pod.name, str(pod.container()["name"]), ["cat", "/proc/1/status"])
        for line in status.splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024
        raise HarnessError(f"/proc/1/status of pod {pod.name} has no VmRSS")
