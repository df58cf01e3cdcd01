"""A Kubernetes cluster that is not one, with one release of two replicas and a Redis.

It keeps complete objects, lets replicas of `fake_release` stand for the containers, and does at once what Kubernetes'
controllers do in a while: a deleted predictor pod is replaced, a workload that is scaled loses or gets its pod.
"""

import base64
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml
from fake_api import ApiServer
from fake_objects import (
    BACKEND_LABELS,
    PASSWORD,
    PREDICTOR_LABELS,
    SERVICE,
    Manifest,
    inference_service,
    pod,
    predictor_container,
)
from fake_redis import FakeRedis
from fake_release import FakeReplica, FakeTarget

from lmcache_kserve.chart.contract import (
    CHART_LABEL,
)
from lmcache_kserve.cluster.api import Api
from lmcache_kserve.cluster.target import ClusterTarget
from lmcache_kserve.errors import HarnessError
from lmcache_kserve.target import LogLine

_TICK_S = 0.01


@dataclass
class Rule:
    """One rule of a Role, and whether a request ever needed it."""

    groups: Sequence[str]
    resources: Sequence[str]
    verbs: Sequence[str]
    names: Sequence[str] | None
    used: set[tuple[str, str]] = field(default_factory=set)

    def allows(self, verb: str, group: str, resource: str, name: str | None) -> bool:
        allowed = group in self.groups and resource in self.resources and verb in self.verbs
        if not allowed or (self.names is not None and name not in self.names):
            return False
        self.used.add((resource, verb))
        return True


def read_role(path: Path) -> list[Rule]:
    """The rules of a Role."""
    rules = yaml.safe_load(path.read_text(encoding="utf-8"))["rules"]
    return [Rule(rule["apiGroups"], rule["resources"], rule["verbs"], rule.get("resourceNames")) for rule in rules]


class FakeCluster:
    """One namespace with one release of two replicas and a Redis."""

    def __init__(self, release: FakeTarget | None = None, *, rules: Sequence[Rule] | None = None) -> None:
        self.release = release or FakeTarget()
        self.rules = rules
        self.refused: set[str] = set()
        """Resources that the account may not touch, whatever the rules say: `pods/log`."""
        self.lock = threading.RLock()
        self.requests: list[str] = []
        self.objects: dict[str, dict[str, Manifest]] = {
            "inferenceservices": {SERVICE: inference_service()},
            "servingruntimes": {
                SERVICE: {"metadata": {"name": SERVICE, "labels": {CHART_LABEL: "lmcache-kserve-0.2.0"}}}
            },
            "pods": {},
            "configmaps": {
                "demo-lmcache-kserve-lmcache": {
                    "metadata": {"name": "demo-lmcache-kserve-lmcache", "labels": {}},
                    "data": {"lmcache_config.yaml": "chunk_size: 256\n"},
                }
            },
            "secrets": {
                "demo-lmcache-kserve-redis": {
                    "metadata": {"name": "demo-lmcache-kserve-redis", "labels": {}},
                    "data": {"password": base64.b64encode(PASSWORD.encode()).decode()},
                }
            },
            "deployments": {
                "demo-lmcache-kserve-redis": {
                    "metadata": {"name": "demo-lmcache-kserve-redis", "labels": BACKEND_LABELS},
                    "spec": {"replicas": 1},
                }
            },
            "statefulsets": {},
        }
        self.logs: dict[str, tuple[FakeReplica, int]] = {}
        """By pod: whose lines are its log, and from which on."""
        self.executed: list[str] = []
        """Paths of the requests to run something in a pod."""
        self.exec_output: str | None = "Name:\tlmcache_server\nVmRSS:\t    2048 kB\n"
        self.recreates = True
        self._count = 0
        self._redis = FakeRedis(self)
        self._server = ApiServer(self)
        for replica in self.release.replicas:
            self.add_predictor(replica)
        self.add_redis()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def add_predictor(self, replica: FakeReplica) -> str:
        """A new predictor pod that `replica` is the container of."""
        self._count += 1
        name = f"{SERVICE}-predictor-{self._count}"
        self.logs[name] = (replica, len(replica.all_lines()) if self._count > len(self.release.replicas) else 0)
        self.objects["pods"][name] = pod(name, labels=PREDICTOR_LABELS, container=predictor_container())
        return name

    def add_redis(self) -> None:
        self._count += 1
        name = f"{SERVICE}-redis-{self._count}"
        container = {"name": "redis", "image": "redis:8.2.1", "ports": [{"containerPort": 6379}]}
        self.objects["pods"][name] = pod(name, labels=BACKEND_LABELS, container=container)

    def port_of(self, name: str, port: int) -> int | None:
        """The port of this machine that a pod's port is."""
        with self.lock:
            if name not in self.objects["pods"]:
                return None
            if name in self.logs:
                return self.logs[name][0].port if port == 8080 else None
            return self._redis.port if port == 6379 else None

    def log_of(self, name: str) -> list[LogLine]:
        replica, begin = self.logs[name]
        return replica.all_lines()[begin:]

    def delete_pod(self, name: str) -> None:
        """End a pod; the Deployment behind it makes another one."""
        with self.lock:
            del self.objects["pods"][name]
            if name in self.logs:
                replica = self.logs[name][0]
                replica.end()
                if self.recreates:
                    replica.start()
                    self.add_predictor(replica)
            elif self.objects["deployments"]["demo-lmcache-kserve-redis"]["spec"]["replicas"]:
                self.add_redis()

    def scale(self, name: str, replicas: int) -> None:
        """Scale the backend."""
        with self.lock:
            self.objects["deployments"][name]["spec"]["replicas"] = replicas
            backend = self.release.backend
            if replicas:
                self.add_redis()
                if backend:
                    backend.start()
            elif backend:
                backend.stop()

    def allows(self, verb: str, group: str, resource: str, name: str | None) -> bool:
        if resource in self.refused:
            return False
        return self.rules is None or any(rule.allows(verb, group, resource, name) for rule in self.rules)

    def start(self) -> None:
        for server in (self._server, self._redis.server):
            threading.Thread(target=lambda one=server: one.serve_forever(poll_interval=_TICK_S), daemon=True).start()

    def stop(self) -> None:
        for server in (self._server, self._redis.server):
            server.shutdown()
            server.server_close()
        for replica in self.release.replicas:
            replica.end()


@contextmanager
def cluster(release: FakeTarget | None = None, **options: Any) -> Iterator[FakeCluster]:
    """A cluster for the time of a `with` block."""
    fake = FakeCluster(release, **options)
    fake.start()
    try:
        yield fake
    finally:
        fake.stop()


def write_kubeconfig(path: Path, fake: FakeCluster) -> Path:
    """A kubeconfig for the fake."""
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "fake",
        "clusters": [{"name": "fake", "cluster": {"server": fake.url}}],
        "users": [{"name": "someone", "user": {"token": "t"}}],
        "contexts": [{"name": "fake", "context": {"cluster": "fake", "user": "someone"}}],
    }
    path.write_text(yaml.safe_dump(config), encoding="utf-8")
    return path


def connect(fake: FakeCluster, folder: Path, *, namespace: str = "llm") -> Api:
    return Api.connect(namespace=namespace, kubeconfig=write_kubeconfig(folder / "kubeconfig", fake))


def failure(api: Api, release: str = "demo") -> str:
    with pytest.raises(HarnessError) as raised:
        ClusterTarget(api, release)
    return "\n".join([str(raised.value), *getattr(raised.value, "__notes__", ())])


def unready(name: str, **status: Any) -> dict[str, Any]:
    return pod(name, labels=PREDICTOR_LABELS, container=predictor_container(), **status)


def lmcache_server(fake: FakeCluster) -> None:
    annotations = {"lmcache-kserve/remote-backend": "lmcache-server", "lmcache-kserve/mode": "in-process"}
    fake.objects["inferenceservices"][SERVICE] = inference_service(annotations=annotations)
