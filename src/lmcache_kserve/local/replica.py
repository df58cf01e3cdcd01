"""The predictor's pods of a release on this machine, and the LMCache servers that they use."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from lmcache_kserve.chart.contract import SERVER_METRICS_PORT
from lmcache_kserve.lmcache.arguments import openai_prefix
from lmcache_kserve.lmcache.metrics import fetch
from lmcache_kserve.local.pod import LocalPod
from lmcache_kserve.target import LOOPBACK, CacheServer, LogLine


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

    def metrics(self) -> str | None:
        """Its page of Prometheus metrics, or None where `lmcache.multiprocess.metrics.enabled` is false.

        Raises:
            HarnessError: it cannot be read.
        """
        for port in self.container.get("ports", ()):
            if port["name"] == SERVER_METRICS_PORT:
                return fetch(f"http://{LOOPBACK}:{self.pod.local_port(port['containerPort'])}/metrics", of=self.name)
        return None

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
        return self.pod.invocation(self.pod.main).arguments

    @property
    def environment(self) -> Mapping[str, str]:
        """The container's environment as started."""
        return self.pod.invocation(self.pod.main).environment

    def metrics(self) -> str:
        """The server's `/metrics` page.

        Raises:
            HarnessError: it cannot be read.
        """
        return fetch(f"{self.url}/metrics", of=self.name)

    def logs(self, *, since: datetime | None = None) -> list[LogLine]:
        """The server's log and that of its LMCache server, across restarts of this replica."""
        lines = self.pod.log.lines(since=since)
        return sorted([*lines, *self.server.logs(since)], key=lambda line: line.time) if self.server else lines
