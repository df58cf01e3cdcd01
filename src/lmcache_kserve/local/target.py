"""A release that runs on this machine, as a target of the proof."""

import shutil
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from lmcache_kserve.chart.contract import (
    BACKEND_ANNOTATION,
    BACKEND_COMPONENT,
    CACHE_SERVER_COMPONENT,
    MODE_ANNOTATION,
    PREDICTOR_COMPONENT,
    SERVER_CONTAINER,
)
from lmcache_kserve.chart.environment import Configuration
from lmcache_kserve.chart.manifests import Manifests, sidecars
from lmcache_kserve.concurrency import first_failure
from lmcache_kserve.engine.find import Engine
from lmcache_kserve.errors import HarnessError
from lmcache_kserve.evidence.soak import Watched
from lmcache_kserve.lmcache.arguments import served_model_name
from lmcache_kserve.lmcache.backends import traits
from lmcache_kserve.lmcache.settings import LMCacheSettings, read_server_settings, read_settings
from lmcache_kserve.local.backend import LocalBackend
from lmcache_kserve.local.link import Link
from lmcache_kserve.local.meter import Meter
from lmcache_kserve.local.plan import plan_pods
from lmcache_kserve.local.pod import LocalPod, Release
from lmcache_kserve.local.ports import assign_ports, service_addresses
from lmcache_kserve.local.process import uninterrupted
from lmcache_kserve.local.programs import Programs
from lmcache_kserve.local.replica import LocalCacheServer, LocalReplica
from lmcache_kserve.local.watch import watch

_SERVER_PROGRAMS = {"redis": "redis-server", "redis-sentinel": "redis-server", "valkey": "valkey-server"}
"""Programs of the backends that do not come with the engine."""


@dataclass(slots=True)
class LocalTarget:
    """A release as processes of this machine.

    Use it as a context manager: whatever happens inside, every process is ended and every file removed.

    Attributes:
        manifests: what the chart rendered.
        namespace: the namespace it was rendered for.
        directory: a folder for this release alone; removed at the end.
        engine: where vLLM and LMCache are installed.
        chart_versions: versions that only the caller knows (chart, Helm).
        given_secrets: Secrets that a cluster would hold already: by name, their data by key.
        linked: whether to put a network that can be slow or cut between the replicas and the backend's Services.
    """

    manifests: Manifests
    namespace: str
    directory: Path
    engine: Engine
    chart_versions: Mapping[str, str] = field(default_factory=dict)
    given_secrets: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    linked: bool = False
    _links: dict[int, Link] = field(default_factory=dict)
    _pods: list[LocalPod] = field(default_factory=list)
    _release: Release = field(init=False)
    _settings: LMCacheSettings = field(init=False)

    def __post_init__(self) -> None:
        """Plan every pod and see that this machine can run it.

        Raises:
            HarnessError: it cannot; nothing was started.
        """
        plans = plan_pods(self.manifests)
        ports = assign_ports(plans)
        addresses = service_addresses(self.manifests.of_kind("Service"), plans, ports, namespace=self.namespace)
        if self.linked:
            # Its pods reach each other by their own names, past the links.
            entrances = set(addresses.ports.values())
            backends = [ports[plan.name] for plan in plans if plan.component == BACKEND_COMPONENT]
            behind = {local for assigned in backends for local in assigned.values()} & entrances
            self._links = {local: Link(local) for local in behind}
            addresses = addresses.detoured({local: link.port for local, link in self._links.items()})
        self._release = Release(
            namespace=self.namespace,
            directory=self.directory,
            configuration=Configuration.of(self.manifests, secrets=self.given_secrets),
            addresses=addresses,
            programs=Programs.find(self.engine, folder=self.directory / "programs"),
            compiled=self.engine.compiled,
        )
        self._pods = [LocalPod(plan, release=self._release, ports=ports[plan.name]) for plan in plans]
        for pod in self._pods:
            pod.check()
        self._settings = self._read_settings()
        if self.backend_type != "none":
            traits(self.backend_type, self.mode)

    def __enter__(self) -> Self:
        """Return the target; `start` runs it."""
        return self

    def __exit__(self, *_: object) -> None:
        """End every process and remove every file of the release, whatever signal arrives meanwhile."""
        with uninterrupted():
            self.stop()
            for link in self._links.values():
                link.close()
            shutil.rmtree(self.directory, ignore_errors=True)

    def start(self, *, ready: Callable[[str], None] = lambda _: None, backend: bool = True) -> None:
        """Start all pods side by side and return when all are ready.

        Args:
            ready: told the name of each pod that became ready.
            backend: whether the backend starts too; `LocalBackend.start` starts it later.

        Raises:
            HarnessError: a pod did not become ready; the others are ended.
        """

        def run(pod: LocalPod) -> None:
            pod.start()
            ready(pod.plan.name)

        for link in self._links.values():
            link.start()
        pods = [pod for pod in self._pods if backend or pod.plan.component != BACKEND_COMPONENT]
        with ThreadPoolExecutor(max_workers=len(pods)) as pool:
            first_failure([pool.submit(run, pod) for pod in pods], then=self.stop)

    def stop(self) -> None:
        """End every process of the release, and start none from now on; a second call does nothing more."""
        self._release.closing.set()
        with ThreadPoolExecutor(max_workers=len(self._pods)) as pool:
            list(pool.map(LocalPod.stop, self._pods))

    @property
    def links(self) -> Sequence[Link]:
        """The network between the replicas and the backend, where there is one of our own."""
        return list(self._links.values())

    @property
    def pod_count(self) -> int:
        """How many pods the release has."""
        return len(self._pods)

    @property
    def kind(self) -> str:
        """`local`."""
        return "local"

    @property
    def model_name(self) -> str:
        """The served model name."""
        return served_model_name(self.replicas[0].arguments)

    @property
    def mode(self) -> str:
        """The value of `lmcache.mode`, or `none` when LMCache is off."""
        return self._annotation(MODE_ANNOTATION)

    @property
    def chunk_size(self) -> int:
        """LMCache's chunk size in tokens."""
        return self._settings.chunk_size

    @property
    def settings(self) -> LMCacheSettings:
        """What LMCache was told."""
        return self._settings

    @property
    def replicas(self) -> Sequence[LocalReplica]:
        """The predictor's replicas."""
        pods = [pod for pod in self._pods if pod.plan.component == PREDICTOR_COMPONENT]
        return [LocalReplica(pod, self._cache_server(pod)) for pod in pods]

    @property
    def backend_type(self) -> str:
        """The value of `remoteBackend.type`."""
        return self._annotation(BACKEND_ANNOTATION)

    @property
    def backend(self) -> LocalBackend | None:
        """The remote backend, or None without one."""
        if self.backend_type == "none":
            return None
        return LocalBackend(
            type=self.backend_type,
            mode=self.mode,
            settings=self._settings,
            environment=self.replicas[0].environment,
            pods=[pod for pod in self._pods if pod.plan.component == BACKEND_COMPONENT],
        )

    @property
    def cache_server(self) -> LocalCacheServer | None:
        """The LMCache server of the last replica in mode multiprocess, else None."""
        return self.replicas[-1].server

    @property
    def versions(self) -> Mapping[str, str]:
        """Versions of everything that runs."""
        server = _SERVER_PROGRAMS.get(self.backend_type)
        backend = {self.backend_type: self._release.programs.version(server)} if server else {}
        return {**self.chart_versions, **self.engine.versions, **backend}

    @property
    def secrets(self) -> Sequence[str]:
        """Every value of the release's Secrets."""
        secrets = self._release.configuration.secrets
        return sorted({value for data in secrets.values() for value in data.values() if value})

    @property
    def log_files(self) -> Sequence[Path]:
        """The log of every container, as files."""
        return sorted((self.directory / "logs").glob("*.log"))

    def watch(self) -> Watched:
        """What the release takes of this machine now; a container that has just ended is left out."""
        return watch(self._pods, self.directory, self.log_files)

    def meter(self) -> Meter:
        """What watches the processor time and the memory of its parts, as a context manager."""
        return Meter(self._pods)

    def server_metrics(self) -> str | None:
        """The metrics page of the last replica's LMCache server; None where there is none, or where it serves none.

        Raises:
            HarnessError: it cannot be read.
        """
        server = self.cache_server
        return server.metrics() if server else None

    def restart_replica(self, index: int) -> None:
        """Replace a replica by a new one at the same address."""
        pod = self.replicas[index].pod
        pod.stop()
        pod.start()

    def kill_replica(self, index: int) -> None:
        """End a replica at once."""
        self.replicas[index].pod.kill()

    def _annotation(self, name: str) -> str:
        annotations: Mapping[str, Any] = self.manifests.one("InferenceService")["metadata"].get("annotations", {})
        if name not in annotations:
            raise HarnessError(f"the InferenceService has no annotation {name}: was it rendered by this chart?")
        return str(annotations[name])

    def _cache_server(self, pod: LocalPod) -> LocalCacheServer | None:
        for container in sidecars(pod.plan.spec):
            if container["name"] == SERVER_CONTAINER:
                return LocalCacheServer(pod, container)
        nodes = [other for other in self._pods if other.plan.component == CACHE_SERVER_COMPONENT]
        return LocalCacheServer(nodes[0], nodes[0].main) if nodes else None

    def _read_settings(self) -> LMCacheSettings:
        pod = self.replicas[0].pod
        invocation = pod.invocation(pod.main)
        if server := self.replicas[0].server:
            told = server.pod.invocation(server.container)
            return read_server_settings(invocation.arguments, told.arguments, told.environment)
        config_file = None
        if path := invocation.environment.get("LMCACHE_CONFIG_FILE"):
            config_file = pod.read_mounted(path)
        return read_settings(invocation.arguments, invocation.environment, config_file=config_file)
