"""The predictor's pods of a release on a cluster, and the LMCache servers that they use."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from lmcache_kserve.chart.contract import PREDICTOR_CONTAINER, SERVER_CONTAINER
from lmcache_kserve.cluster.api import Api
from lmcache_kserve.cluster.forward import Forward
from lmcache_kserve.cluster.logs import PodLog
from lmcache_kserve.cluster.pod import Invocation, Pod
from lmcache_kserve.cluster.release import Release
from lmcache_kserve.errors import HarnessError
from lmcache_kserve.lmcache.arguments import openai_prefix
from lmcache_kserve.lmcache.metrics import fetch
from lmcache_kserve.target import CacheServer, LogLine
from lmcache_kserve.waiting import Pending, wait_for

GONE_TIMEOUT_S = 120.0
READY_TIMEOUT_S = 1800.0
"""As long as the chart's startup probe allows: a large model takes its time to load."""
POLL_S = 0.5
_END_FIRST_PROCESS = "import os, signal; os.kill(1, signal.SIGTERM)"


@dataclass(slots=True)
class ClusterReplica:
    """A place for one predictor pod; another pod may take it, the name and the address stay."""

    api: Api
    name: str
    pod: Pod
    invocation: Invocation
    server: Pod | None = None
    forward: Forward = field(init=False)
    _logs: list[PodLog] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Open the way to the pod and begin to read its log."""
        self.forward = Forward(self.api, pod=lambda: self.pod.name, port=self.pod.port(PREDICTOR_CONTAINER))
        self._read_log()

    def take(self, pod: Pod, invocation: Invocation, server: Pod | None = None) -> None:
        """Put another pod into this place."""
        self.pod, self.invocation, self.server = pod, invocation, server
        self._read_log()

    def close(self) -> None:
        """Close the way to the pod and read its log no more."""
        self.forward.close()
        for log in self._logs:
            log.close()

    @property
    def url(self) -> str:
        """The server's address, without a path."""
        return self.forward.url

    @property
    def openai_url(self) -> str:
        """Base of the OpenAI routes."""
        return self.url + openai_prefix(self.invocation.arguments, self.invocation.environment)

    @property
    def cache_server(self) -> str | None:
        """The LMCache server that it uses in mode multiprocess."""
        return self.server.name if self.server else None

    @property
    def arguments(self) -> Sequence[str]:
        """The server's command line as started."""
        return self.invocation.arguments

    @property
    def environment(self) -> Mapping[str, str]:
        """The container's environment as started."""
        return self.invocation.environment

    def metrics(self) -> str:
        """The server's `/metrics` page.

        Raises:
            HarnessError: it cannot be read.
        """
        return fetch(f"{self.url}/metrics", of=f"pod {self.pod.name}")

    def logs(self, *, since: datetime | None = None) -> list[LogLine]:
        """The server's log and its LMCache server's, across all pods that had this place.

        Raises:
            HarnessError: the account may not read logs.
        """
        lines = [line for log in self._logs for line in log.lines(since=since)]
        return sorted(lines, key=lambda line: line.time) if self.server else lines

    def _read_log(self) -> None:
        self._logs.append(PodLog(self.api, pod=self.pod.name, container=PREDICTOR_CONTAINER))
        if self.server and (self.server.name, SERVER_CONTAINER) not in {(log.pod, log.container) for log in self._logs}:
            self._logs.append(PodLog(self.api, pod=self.server.name, container=SERVER_CONTAINER))


@dataclass(frozen=True, slots=True)
class ClusterCacheServer(CacheServer):
    """The LMCache server that a replica uses; when its container ends, the kubelet starts it again.

    Attributes:
        api: its namespace.
        release: finds its pod.
        replica: the replica that uses it.
    """

    api: Api
    release: Release
    replica: ClusterReplica

    def stop(self) -> None:
        """End the container's first process.

        Raises:
            HarnessError: the replica has no server, or nothing can be run in it.
        """
        if self.replica.server is None:
            raise HarnessError(f"pod {self.replica.pod.name} has no LMCache server")
        name = self.replica.server.name
        self.api.execute(name, SERVER_CONTAINER, ["python3", "-c", _END_FIRST_PROCESS])
        wait_for(
            lambda: not self.release.pod(name).ready,
            timeout=GONE_TIMEOUT_S,
            delay=POLL_S,
            describe=f"container {SERVER_CONTAINER} of pod {name} to end",
        )

    def start(self) -> None:
        """Wait until it is ready again.

        Raises:
            HarnessError: it does not become ready.
        """
        name = self.replica.server.name if self.replica.server else self.replica.pod.name

        def ready() -> bool | Pending:
            pod = self.release.pod(name)
            return pod.ready or Pending(pod.state)

        wait_for(
            ready,
            timeout=READY_TIMEOUT_S,
            delay=POLL_S,
            describe=f"container {SERVER_CONTAINER} of pod {name} to be ready",
        )
