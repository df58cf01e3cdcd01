"""Replicas that come and go with the load, the first one among them, and a cache that is warm before the first request.

The cluster needs KEDA, and a Prometheus as test_operations.py does.
"""

import itertools
import json
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from kube import CPU_VALUES, IMAGE, CommandError, Installed, Kubectl

from lmcache_kserve.chart.contract import COMPONENT_LABEL, WARM_UP_COMPONENT
from lmcache_kserve.lmcache.metrics import counter
from lmcache_kserve.waiting import Pending, wait_for

pytestmark = [pytest.mark.cluster, pytest.mark.functional, pytest.mark.long]

PROMETHEUS = os.environ.get("LMCACHE_KSERVE_TEST_PROMETHEUS", "monitoring/prometheus-k8s:9090")
VALUES = Path(__file__).parent / "scaling.yaml"
PATIENCE_S = 300.0
WORDS = "harbor candle orange silver window engine".split()  # noqa: SIM905 - words in plain text are easier to read
PREFIX_WORDS, PREFIX_TOKENS = 700, 512
"""Words of a prefix, and the tokens in its first two chunks."""
CLIENTS, LOAD_WORDS = 6, 2500
"""Clients that each send one long prompt after another, to a replica that takes one request at a time."""
JOB = {COMPONENT_LABEL: WARM_UP_COMPONENT}
SERVE = """
import http.server
class Page(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; version=0.0.4")
        self.end_headers()
        self.wfile.write(b"gateway_calls 1\\n")
http.server.ThreadingHTTPServer(("", 9000), Page).serve_forever()
"""


def text(words: int, seed: int) -> str:
    return f"{seed} " + " ".join(WORDS[(seed * 7 + place * place) % len(WORDS)] for place in range(words))


def load(client: int) -> Iterator[str]:
    """Prompts of which no two are alike, and none begins as a prefix of the tests does.

    A replica stores nothing that its own memory has, also when Redis has evicted it meanwhile.
    """
    return (text(LOAD_WORDS, 10_000 + client * 1000 + number) for number in itertools.count())


def replicas(release: Installed) -> list[dict[str, Any]]:
    return release.kubectl.items("pods", labels=release.predictor)


def wait_for_replicas(release: Installed, wanted: int) -> None:
    wait_for(
        lambda: len(replicas(release)) == wanted or Pending(f"{len(replicas(release))} replicas"),
        timeout=PATIENCE_S,
        delay=3.0,
        describe=f"{wanted} replicas",
    )


def found(release: Installed) -> float:
    """Tokens that LMCache has supplied to the replicas that run now, since each of them started."""
    tokens = 0.0
    for pod in replicas(release):
        route = f"/api/v1/namespaces/{release.kubectl.namespace}/pods/{pod['metadata']['name']}:8080/proxy/metrics"
        tokens += counter(release.kubectl.text("get", "--raw", route), "vllm:external_prefix_cache_hits_total") or 0.0
    return tokens


def ask(release: Installed, prompt: str) -> None:
    """One request, repeated while no replica is there or the cluster's network does not know it yet."""

    def answered() -> bool | Pending:
        try:
            release.complete(prompt)
        except CommandError as error:
            return Pending(str(error))
        return True

    wait_for(answered, timeout=PATIENCE_S, delay=2.0, describe="an answer")


GATEWAY = {"app": "gateway"}
GATEWAYS = {
    "apiVersion": "monitoring.coreos.com/v1",
    "kind": "PodMonitor",
    "metadata": {"name": "gateway"},
    "spec": {"selector": {"matchLabels": GATEWAY}, "podMetricsEndpoints": [{"port": "metrics", "interval": "5s"}]},
}
"""Scrapes each gateway. A Prometheus may take minutes to read a new PodMonitor, so this one stays."""


@contextmanager
def gateway(kubectl: Kubectl) -> Iterator[None]:
    """Something that says by a metric that somebody asks, as a gateway in front of the release would."""
    security = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    container = {
        "name": "gateway",
        "image": IMAGE,
        "command": ["python3", "-c", SERVE],
        "ports": [{"name": "metrics", "containerPort": 9000}],
        "securityContext": security,
    }
    kubectl.apply(
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "gateway", "labels": GATEWAY},
            "spec": {
                "terminationGracePeriodSeconds": 1,
                "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
                "containers": [container],
            },
        }
    )
    try:
        yield
    finally:
        kubectl.run("delete", "pod/gateway", "--wait=true")


@pytest.fixture(scope="module")
def scaled(namespace: Kubectl, helm4: Path) -> Iterator[Installed]:
    prometheus, _, service = PROMETHEUS.partition("/")
    name, _, port = service.partition(":")
    url = f"http://{name}.{prometheus}:{port}"
    settings = (f"predictor.autoscaling.waitingRequests.prometheusUrl={url}",)
    release = Installed(helm4, namespace, "scaled", settings=settings, files=(CPU_VALUES, VALUES))
    namespace.apply(GATEWAYS)
    release.install()
    release.wait_until_ready(replicas=1)
    yield release
    release.uninstall()


def warmed(release: Installed) -> str:
    """The name of the release's only Job, once the Job has sent its prompts."""
    (job,) = release.kubectl.items("jobs", labels=JOB)
    name: str = job["metadata"]["name"]
    release.kubectl.run("wait", f"job/{name}", "--for=condition=complete", f"--timeout={PATIENCE_S:.0f}s")
    assert "WARM: 1 prompts" in release.kubectl.text("logs", f"job/{name}")
    return name


def test_the_first_request_of_a_new_release_finds_what_the_warm_up_has_sent(scaled: Installed, helm4: Path) -> None:
    # Beside the release that is scaled: Prometheus takes minutes to read its PodMonitor.
    prefix = text(PREFIX_WORDS, 2)
    release = Installed(
        helm4, scaled.kubectl, "warm", settings=("predictor.replicas=1", f"warmup.prompts={{{prefix}}}")
    )
    release.install()
    try:
        release.wait_until_ready(replicas=1)
        first = warmed(release)
        assert found(release) == 0
        ask(release, f"{prefix} What is it?")
        assert found(release) >= PREFIX_TOKENS
        release.upgrade()
        assert warmed(release) != first
    finally:
        release.uninstall()


def test_requests_that_wait_make_a_second_replica_and_their_absence_takes_it_away(scaled: Installed) -> None:
    with ExitStack() as stack:
        failed = [stack.enter_context(scaled.traffic(load(client))) for client in range(CLIENTS)]
        wait_for_replicas(scaled, 2)
        scaled.wait_until_ready(replicas=2)
    assert list(itertools.chain(*failed)) == []
    wait_for_replicas(scaled, 1)


def test_no_other_autoscaler_has_a_say(scaled: Installed) -> None:
    (autoscaler,) = scaled.kubectl.items("horizontalpodautoscalers")
    assert autoscaler["metadata"]["name"] == f"keda-hpa-{scaled.service}"
    (scaler,) = scaled.kubectl.items("scaledobjects")
    conditions = {one["type"]: one["status"] for one in scaler["status"]["conditions"]}
    assert conditions["Ready"] == "True", json.dumps(scaler["status"])


def test_a_release_at_zero_comes_when_it_is_called_and_its_first_request_finds_the_prefix(scaled: Installed) -> None:
    query = "predictor.autoscaling.waitingRequests.activationQuery=sum(gateway_calls)"
    prefix = text(PREFIX_WORDS, 1)
    with gateway(scaled.kubectl):
        scaled.upgrade("predictor.autoscaling.minReplicas=0", query)
        # KEDA may take the replica away before Prometheus has seen the gateway, and then brings another.
        ask(scaled, f"{prefix} What is it?")
    wait_for_replicas(scaled, 0)
    with gateway(scaled.kubectl):
        wait_for_replicas(scaled, 1)
        scaled.wait_until_ready(replicas=1)
        assert found(scaled) == 0
        ask(scaled, f"{prefix} And where?")
        assert found(scaled) >= PREFIX_TOKENS
