"""A release that runs on this machine, as a target of the proof."""

import shutil
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Self

import httpx2

from lmcache_kserve.backends import (
    METRICS_PORT,
    BackendTraits,
    Source,
    bucket_contents,
    file_contents,
    mooncake_contents,
    redis_contents,
    traits,
)
from lmcache_kserve.concurrency import first_failure
from lmcache_kserve.engine import Engine
from lmcache_kserve.environment import Configuration
from lmcache_kserve.errors import HarnessError
from lmcache_kserve.lmcache import SERVER_CONTAINER, LMCacheSettings, read_server_settings, read_settings
from lmcache_kserve.local.link import Link
from lmcache_kserve.local.plan import BACKEND_COMPONENT, CACHE_SERVER_COMPONENT, PREDICTOR_COMPONENT, plan_pods
from lmcache_kserve.local.pod import LocalPod, Release
from lmcache_kserve.local.ports import assign_ports, service_addresses
from lmcache_kserve.local.process import uninterrupted
from lmcache_kserve.local.programs import Programs
from lmcache_kserve.local.rewrite import LOOPBACK
from lmcache_kserve.manifests import Manifests, sidecars
from lmcache_kserve.server import openai_prefix, served_model_name
from lmcache_kserve.target import CacheServer, Contents, LogLine

BACKEND_ANNOTATION = "lmcache-kserve/remote-backend"
MODE_ANNOTATION = "lmcache-kserve/mode"
_METRICS_TIMEOUT_SECONDS = 10.0
_SERVER_PROGRAMS = {"redis": "redis-server", "redis-sentinel": "redis-server", "valkey": "valkey-server"}
"""Programs of the backends that do not come with the engine."""


@dataclass(frozen=True, slots=True)
class LocalCacheServer(CacheServer):
    """A container that runs `lmcache server`: a sidecar of the predictor's pod, or the one of this node."""

    pod: LocalPod
    container: Mapping[str, Any]

    @property
    def name(self) -> str:
        """Unique within the release."""
        return f"{self.pod.plan.name}/{self.container['name']}"

    def stop(self) -> None:
        """End its container at once."""
        self.pod.kill_container(self.container)

    def start(self) -> None:
        """Start its container again, as the kubelet does, and wait until it is ready."""
        self.pod.start_container(self.container)

    def logs(self, since: datetime | None) -> list[LogLine]:
        """Its log, across restarts."""
        return self.pod.container_log(self.container["name"]).lines(since=since)


@dataclass(frozen=True, slots=True)
class LocalReplica:
    """A predictor pod that runs as processes of this machine."""

    pod: LocalPod
    server: LocalCacheServer | None = None

    @property
    def name(self) -> str:
        """The pod's name."""
        return self.pod.plan.name

    @property
    def cache_server(self) -> str | None:
        """The LMCache server that it uses in mode multiprocess."""
        return self.server.name if self.server else None

    @property
    def url(self) -> str:
        """The server's address, without a path."""
        port = self.pod.main["ports"][0]["containerPort"]
        return f"http://{LOOPBACK}:{self.pod.local_port(port)}"

    @property
    def openai_url(self) -> str:
        """Base of the OpenAI routes."""
        return self.url + openai_prefix(self.arguments, self.environment)

    @property
    def arguments(self) -> Sequence[str]:
        """The server's command line as started."""
        return self.pod.invocation(self.pod.main).command

    @property
    def environment(self) -> Mapping[str, str]:
        """The container's environment as started."""
        return self.pod.invocation(self.pod.main).environment

    def metrics(self) -> str:
        """The server's `/metrics` page.

        Raises:
            HarnessError: it cannot be read.
        """
        try:
            response = httpx2.get(f"{self.url}/metrics", timeout=_METRICS_TIMEOUT_SECONDS, trust_env=False)
            response.raise_for_status()
        except httpx2.HTTPError as error:
            raise HarnessError(f"cannot read {self.url}/metrics of {self.name}: {error}") from error
        return response.text

    def logs(self, *, since: datetime | None = None) -> list[LogLine]:
        """The server's log and that of its LMCache server, across restarts of this replica."""
        lines = self.pod.log.lines(since=since)
        return sorted([*lines, *self.server.logs(since)], key=lambda line: line.time) if self.server else lines


@dataclass(frozen=True, slots=True)
class LocalBackend:
    """The remote backend of a release that runs on this machine, or an external one that it names."""

    type: str
    mode: str
    settings: LMCacheSettings
    environment: Mapping[str, str] = field(repr=False)
    pods: Sequence[LocalPod]

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
                    username=self.settings.username,
                    password=self.settings.password,
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
                raise HarnessError(f"a backend of type {self.type} has no way to say what it holds")

    def _metrics_url(self) -> str:
        for pod in self.pods:
            for port in pod.main.get("ports", ()):
                if port.get("name") == METRICS_PORT:
                    return f"http://{LOOPBACK}:{pod.local_port(port['containerPort'])}/metrics"
        raise HarnessError(f"an external backend of type {self.type} has no way to say what it holds")

    def _memory(self) -> Contents:
        if not self.pods:
            raise HarnessError(f"an external backend of type {self.type} has no way to say what it holds")
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
            raise HarnessError("the release does not run the backend: an external one cannot be stopped from here")
        self._all(LocalPod.kill)

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
        given_secrets: data by key of Secrets that a cluster would hold already, by name.
        linked: put a network that can be slow or cut between the replicas and the backend's Services.
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

    def start(self, *, progress: Callable[[str], None], backend: bool = True) -> None:
        """Start all pods side by side and return when all are ready.

        Args:
            progress: told the name of each pod that became ready.
            backend: whether the backend starts too; `LocalBackend.start` makes good for it.

        Raises:
            HarnessError: a pod did not become ready; the others are ended.
        """

        def run(pod: LocalPod) -> None:
            pod.start()
            progress(pod.plan.name)

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
            return read_server_settings(invocation.command, told.command, told.environment)
        config_file = None
        if path := invocation.environment.get("LMCACHE_CONFIG_FILE"):
            config_file = pod.read_mounted(path)
        return read_settings(invocation.command, invocation.environment, config_file=config_file)
