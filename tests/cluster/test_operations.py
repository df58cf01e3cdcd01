"""What an operator sees of a release with traffic: targets, recorded series, panels, and alerts that real faults raise.

The cluster needs Prometheus Operator and a Prometheus that takes every PodMonitor and PrometheusRule. The variable
LMCACHE_KSERVE_TEST_PROMETHEUS names its Service, as namespace/name:port.
"""

import itertools
import json
import os
import re
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
import yaml
from kube import ALL_AT_ONCE, CPU_VALUES, Installed, Kubectl, master
from rendering import REPOSITORY

from lmcache_kserve.waiting import Pending, wait_for

pytestmark = [pytest.mark.cluster, pytest.mark.functional, pytest.mark.long]

PROMETHEUS = os.environ.get("LMCACHE_KSERVE_TEST_PROMETHEUS", "monitoring/prometheus-k8s:9090")
VALUES = Path(__file__).parent / "operations.yaml"
PATIENCE_S = 240.0
QUIET_S = float(os.environ.get("LMCACHE_KSERVE_TEST_QUIET_S", "120"))
"""How long nothing may fire while all is well."""
EVALUATION_S = 15.0
"""The longest time between two evaluations of a rule."""
WORDS = "harbor candle orange silver window engine".split()  # noqa: SIM905 - words in plain text are easier to read
OUT = REPOSITORY / "out" / "operations"
"""Where what the dashboards show is left; scripts/dashboard_picture.py draws it."""
SHOWN_S, STEP_S = 300.0, 5.0
AGAIN, WORDS_OF_A_PROMPT = 3, 400
"""Each prompt comes back so often, to either replica; it has two to four whole chunks."""
PAUSE_MS = 500
"""A load takes as long as the prompt takes to compute. LMCache waits for a lookup, a pause for each chunk, for 3 s."""
LOOPS = 4
"""Busy loops that share the processor time of each replica."""
MODES = {"in-process": (), "multiprocess": ("lmcache.mode=multiprocess",)}
SENTINEL = {"redis-sentinel": ("remoteBackend.type=redis-sentinel",)}


def legend(text: str, labels: dict[str, str]) -> str:
    """A legend with the labels of a series in the places that Grafana fills."""
    return re.sub(r"\{\{(\w+)\}\}", lambda match: labels.get(match[1], ""), text)


class Prompts:
    """Long prompts of which each comes back, unless somebody wants otherwise."""

    def __init__(self) -> None:
        self.again = AGAIN

    def __iter__(self) -> Iterator[str]:
        for number in itertools.count():
            text = " ".join(WORDS[(number * 7 + place * place) % len(WORDS)] for place in range(WORDS_OF_A_PROMPT))
            yield from itertools.repeat(f"{number} {text}", self.again)


FAULTS = {
    "in-process": {
        "slow_backend": {"LMCacheCostsMoreThanItSaves"},
        "busy_replicas": {"LMCacheTtftAboveItsHistory"},
        "strangers": {"LMCacheHitShareCollapsed"},
        "refused_engine": {"LMCacheNotStarted", "LMCacheReplicaFindsNothing"},
    },
    "multiprocess": {
        "full_backend": {"LMCacheChunksNotStored"},
        "without_backend": {"LMCacheBackendUnreachable"},
        "another_server": {"LMCacheServerRestarted"},
    },
    "redis-sentinel": {"another_master": {"LMCacheFailover"}, "without_master": {"LMCacheRedisWithoutMaster"}},
}
"""Faults of a release, and the alerts that they raise.

LMCacheBackendTurnsOverFast looks at an hour, so promtool alone tries that alert.
"""
REMEMBERED = {"LMCacheServerRestarted", "LMCacheFailover"}
"""Alerts that go on for a quarter of an hour after the fault."""


class Watched:
    """A release, and what Prometheus knows about it."""

    def __init__(self, release: Installed, mode: str) -> None:
        self.release = release
        self.mode = mode
        self.prompts = Prompts()
        self.kubectl = release.kubectl
        self.panels: list[dict[str, Any]] = []
        self.own = f'namespace="{self.kubectl.namespace}",inferenceservice="{release.service}"'

    def ask(self, route: str, **parameters: str) -> Any:
        namespace, _, service = PROMETHEUS.partition("/")
        path = f"/api/v1/namespaces/{namespace}/services/{service}/proxy/api/v1/{route}?{urlencode(parameters)}"
        return json.loads(self.kubectl.text("get", "--raw", path))["data"]

    def query(self, expression: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.ask("query", query=expression)["result"]
        return found

    def drawn(self, panels: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """What a dashboard shows of the last minutes: its panels with the points of their series."""
        now = time.time()
        span = {"start": f"{now - SHOWN_S:.0f}", "end": f"{now:.0f}", "step": f"{STEP_S:.0f}"}

        def series(target: dict[str, Any]) -> Iterator[dict[str, Any]]:
            for found in self.ask("query_range", query=target["expr"], **span)["result"]:
                points = [[float(at) - now, float(value)] for at, value in found["values"]]
                yield {"legend": legend(target["legendFormat"], found["metric"]), "points": points}

        return [
            {
                "type": panel["type"],
                "title": panel["title"],
                "unit": panel["fieldConfig"]["defaults"]["unit"],
                "series": [one for target in panel["targets"] for one in series(target)],
            }
            for panel in panels
            if "targets" in panel
        ]

    def targets(self) -> dict[tuple[str, str], str]:
        """Health of what is scraped, by PodMonitor and address."""
        found = self.ask("targets", state="active")["activeTargets"]
        own = f"{self.kubectl.namespace}/{self.release.service}-"
        jobs = {(one["labels"]["job"], one["scrapeUrl"]): one["health"] for one in found}
        return {key: health for key, health in jobs.items() if key[0].startswith(own)}

    def wait_until_scraped(self) -> None:
        """Wait until something of each PodMonitor is scraped: Prometheus sees a change only of what it saw before."""
        names = [one["metadata"]["name"] for one in self.rendered("PodMonitor")]
        jobs = {f"{self.kubectl.namespace}/{name}" for name in names}

        def scraped() -> bool | Pending:
            missing = jobs - {job for (job, _), health in self.targets().items() if health == "up"}
            return not missing or Pending(f"no target of {missing}")

        wait_for(scraped, timeout=PATIENCE_S, delay=3.0, describe="every PodMonitor to have a target")

    def rendered(self, kind: str) -> list[dict[str, Any]]:
        """Objects of a kind that the release consists of."""
        return [one for one in yaml.safe_load_all(self.release.template()) if one and one["kind"] == kind]

    def firing(self) -> set[str]:
        """Alerts of the release that fire."""
        return {one["metric"]["alertname"] for one in self.query(f'ALERTS{{alertstate="firing",{self.own}}}')}

    def wait_for_data(self, expressions: list[str]) -> None:
        def missing() -> bool | Pending:
            without = [expression for expression in expressions if not self.query(expression)]
            return not without or Pending(f"no data for {without[0]} and {len(without) - 1} more")

        wait_for(missing, timeout=PATIENCE_S, delay=5.0, describe="data of every query")

    def wait_for_alert(self, name: str, *, fires: bool) -> None:
        wait_for(
            lambda: (name in self.firing()) is fires or Pending(f"firing: {self.firing()}"),
            timeout=PATIENCE_S,
            delay=3.0,
            describe=f"{name} to {'fire' if fires else 'clear'}",
        )

    @contextmanager
    def _away(self, workload: str, replicas: int) -> Iterator[None]:
        self.kubectl.run("scale", workload, "--replicas=0")
        try:
            yield
        finally:
            self.kubectl.run("scale", workload, f"--replicas={replicas}")

    @contextmanager
    def slow_backend(self) -> Iterator[None]:
        """Let Redis answer each command late, until the input of the loop ends.

        One connection asks for the pauses, and always has another one waiting: between two of them Redis answers what
        has waited, and nothing that is asked next.
        """
        pause = f"echo client pause {PAUSE_MS}"
        loop = (
            f"({pause}; while kill -0 $watcher 2>/dev/null; do {pause}; sleep {0.9 * PAUSE_MS / 1000}; done) "
            "| redis-cli >/dev/null"
        )
        with self._runs(f"deployment/{self.release.service}-redis", loop):
            yield

    @contextmanager
    def busy_replicas(self) -> Iterator[None]:
        """Give each engine a small share of its processor time."""
        loops = " ".join("(while kill -0 $watcher 2>/dev/null; do :; done) &" for _ in range(LOOPS))
        with ExitStack() as stack:
            for pod in self.kubectl.items("pods", labels=self.release.predictor):
                stack.enter_context(self._runs(f"pod/{pod['metadata']['name']}", f"{loops} wait"))
            yield

    def _runs(self, where: str, script: str) -> AbstractContextManager[None]:
        """Run a shell script in a container as long as the process $watcher lives."""
        shell = f"exec 3<&0; cat <&3 >/dev/null & watcher=$!; {script}"
        return self.kubectl.started("exec", "--stdin", where, "--", "sh", "-c", shell)

    @contextmanager
    def full_backend(self) -> Iterator[None]:
        """Let Redis refuse what it is told to store, until Redis starts anew.

        LMCache's native client stores nothing any more after one error, also when there is room again.
        """
        redis = f"deployment/{self.release.service}-redis"
        limits = ("maxmemory-policy", "noeviction", "maxmemory", "1")
        self.kubectl.run("exec", redis, "--", "redis-cli", "config", "set", *limits)
        try:
            yield
        finally:
            self.kubectl.run("rollout", "restart", redis)

    @contextmanager
    def strangers(self) -> Iterator[None]:
        """Ask nothing twice."""
        self.prompts.again = 1
        try:
            yield
        finally:
            self.prompts.again = AGAIN

    @contextmanager
    def refused_engine(self) -> Iterator[None]:
        """Start one replica with a list that calls its engine unproven, so that it serves without LMCache."""
        scripts = f"configmap/{self.release.service}-scripts"
        kept = json.loads(self.kubectl.text("get", scripts, "--output=json"))["data"]["unproven.yaml"]
        row = {"reason": "LMCache is wrong here", "thread": "a test", "mode": self.mode}
        self._list_engines(scripts, json.dumps({"unproven": [row]}))
        self._start_one_again()
        try:
            yield
        finally:
            self._list_engines(scripts, kept)
            self._start_one_again()

    def _list_engines(self, scripts: str, unproven: str) -> None:
        self.kubectl.run("patch", scripts, f"--patch={json.dumps({'data': {'unproven.yaml': unproven}})}")

    def _start_one_again(self) -> None:
        pods = sorted(
            self.kubectl.items("pods", labels=self.release.predictor),
            key=lambda pod: pod["metadata"]["creationTimestamp"],
        )
        self.kubectl.run("delete", "pod", pods[-1]["metadata"]["name"], "--wait=false")
        self.release.wait_until_ready()

    def without_backend(self) -> AbstractContextManager[None]:
        """Stop the backend for a while."""
        return self._away(f"deployment/{self.release.service}-redis", 1)

    def without_master(self) -> AbstractContextManager[None]:
        """Stop every node of Redis for a while."""
        return self._away(f"statefulset/{self.release.service}-redis-node", 3)

    @contextmanager
    def another_master(self) -> Iterator[None]:
        """Lose the master of Redis."""
        self.kubectl.run("delete", "pod", master(self.release), "--wait=false", "--grace-period=0", "--force")
        yield

    @contextmanager
    def another_server(self) -> Iterator[None]:
        """End LMCache's server in one pod."""
        pod = self.kubectl.items("pods", labels=self.release.predictor)[0]["metadata"]["name"]
        end = "import os, signal; os.kill(1, signal.SIGTERM)"
        self.kubectl.run("exec", pod, "--container=lmcache-server", "--", "python3", "-c", end)
        yield


@pytest.fixture(scope="module", params=MODES)
def watched(request: pytest.FixtureRequest, namespace: Kubectl, helm4: Path) -> Iterator[Watched]:
    settings = (*ALL_AT_ONCE, *{**MODES, **SENTINEL}[request.param])
    release = Installed(helm4, namespace, f"ops-{request.param[:2]}", settings=settings, files=(CPU_VALUES, VALUES))
    watched = Watched(release, request.param)
    release.install()
    with ExitStack() as stack:
        stack.callback(release.uninstall)
        if request.param in MODES:
            # The first replica waits for the backend, and nobody serves metrics meanwhile.
            with watched.without_backend():
                watched.wait_for_alert("LMCacheScrapeMissing", fires=True)
        release.wait_until_ready()
        failed = stack.enter_context(release.traffic(watched.prompts))
        yield watched
        assert failed == []


def rules(watched: Watched) -> list[dict[str, Any]]:
    (rule,) = watched.rendered("PrometheusRule")
    return [one for group in rule["spec"]["groups"] for one in group["rules"]]


def test_everything_that_serves_metrics_is_scraped(watched: Watched) -> None:
    replicas, ports = 2, 2 if watched.mode == "multiprocess" else 1
    wait_for(
        lambda: list(watched.targets().values()) == ["up"] * replicas * ports or Pending(str(watched.targets())),
        timeout=PATIENCE_S,
        delay=3.0,
        describe="the targets to be up",
    )


def test_every_recording_rule_has_data(watched: Watched) -> None:
    recorded = [one for one in rules(watched) if "record" in one]
    assert recorded
    labels = (",".join(f'{name}="{value}"' for name, value in one["labels"].items()) for one in recorded)
    watched.wait_for_data([f"{one['record']}{{{own}}}" for one, own in zip(recorded, labels, strict=True)])


def test_every_panel_has_data(watched: Watched) -> None:
    name = f"{watched.release.service}-dashboard"
    data = json.loads(watched.kubectl.text("get", "configmap", name, "--output=json"))["data"]
    panels = json.loads(data[f"{watched.release.service}.json"])["panels"]
    watched.wait_for_data([target["expr"] for panel in panels for target in panel.get("targets", ())])
    watched.panels = panels


def test_missing_metrics_are_told_until_a_replica_serves_them(watched: Watched) -> None:
    watched.wait_for_alert("LMCacheScrapeMissing", fires=False)


def test_nothing_fires_while_all_is_well(watched: Watched) -> None:
    watched.wait_for_data([f"lmcache_kserve:hit_share:ratio{{{watched.own}}} > 0"])
    watched.wait_for_alert("LMCacheScrapeMissing", fires=False)
    time.sleep(QUIET_S + EVALUATION_S)
    expression = f'max_over_time(ALERTS{{alertstate="firing",{watched.own}}}[{QUIET_S:.0f}s])'
    assert [one["metric"]["alertname"] for one in watched.query(expression)] == []
    OUT.mkdir(parents=True, exist_ok=True)
    (OUT / f"dashboard-{watched.mode}.json").write_text(json.dumps(watched.drawn(watched.panels), indent=1) + "\n")


@pytest.mark.parametrize("watched", FAULTS, indirect=True)
def test_every_fault_that_can_be_made_is_told_until_it_is_over(watched: Watched) -> None:
    watched.wait_until_scraped()
    for fault, alerts in FAULTS[watched.mode].items():
        with getattr(watched, fault)():
            for alert in sorted(alerts):
                watched.wait_for_alert(alert, fires=True)
        for alert in sorted(alerts - REMEMBERED):
            watched.wait_for_alert(alert, fires=False)
