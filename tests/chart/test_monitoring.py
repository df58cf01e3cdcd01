"""PodMonitors: what they select serves the ports that they name, and the policies let Prometheus in."""

from typing import Any

import pytest
from network import Connection, Pod, lets_in, pods
from rendering import Render, merged, remote_backend, with_exporter

PROMETHEUS = Pod(name="Pod/prometheus", labels={"app": "prometheus"}, text="", ports={})
FROM_PROMETHEUS = {"ingressFrom": [{"podSelector": {"matchLabels": PROMETHEUS.labels}}]}
ON: dict[str, Any] = {
    "monitoring": {"podMonitor": {"enabled": True}},
    "networkPolicy": {"backend": FROM_PROMETHEUS},
}
SERVER: dict[str, Any] = {"mode": "multiprocess", "multiprocess": {"metrics": {"enabled": True}}}
PARTS: dict[str, tuple[dict[str, Any], set[str]]] = {
    "redis": (remote_backend("redis"), {"predictor"}),
    "redis with an exporter": (with_exporter("redis"), {"predictor", "backend"}),
    "valkey with an exporter and a claim": (
        with_exporter("valkey", persistence={"enabled": True}),
        {"predictor", "backend"},
    ),
    "redis-sentinel": (remote_backend("redis-sentinel"), {"predictor", "backend"}),
    "redis-sentinel with exporters": (
        with_exporter("redis-sentinel"),
        {"predictor", "backend", "backend-redis", "backend-sentinel"},
    ),
    "mooncake": (
        {"runtime": {"image": {"repository": "a/b", "tag": "1"}}, **remote_backend("mooncake")},
        {"predictor", "backend"},
    ),
    "sidecar": ({"lmcache": SERVER}, {"predictor"}),
    "daemonset": (
        {
            "lmcache": {
                **SERVER,
                "multiprocess": {**SERVER["multiprocess"], "placement": "daemonset", "transferMode": "engine_driven"},
            }
        },
        {"predictor", "cache-server"},
    ),
    "without LMCache": ({"lmcache": {"enabled": False}, "remoteBackend": {"type": "none"}}, {"predictor"}),
}


@pytest.mark.parametrize("case", PARTS)
def test_every_port_that_is_scraped_is_served_and_open(render: Render, case: str) -> None:
    values, parts = PARTS[case]
    manifests = render(merged(ON, values))
    monitors = manifests.of_kind("PodMonitor")
    assert {one["metadata"]["name"].removeprefix("llm-lmcache-kserve-") for one in monitors} == parts
    for monitor in monitors:
        wanted = monitor["spec"]["selector"]["matchLabels"]
        selected = [pod for pod in pods(manifests) if wanted.items() <= pod.labels.items()]
        assert selected
        for endpoint in monitor["spec"]["podMetricsEndpoints"]:
            for pod in selected:
                assert endpoint["port"] in pod.ports, pod.name
                assert lets_in(manifests, Connection(PROMETHEUS, pod, pod.ports[endpoint["port"]])), pod.name
            assert set(monitor["spec"]["podTargetLabels"]) <= set(selected[0].labels)


def test_a_server_of_mode_multiprocess_is_scraped_where_it_serves_metrics(render: Render) -> None:
    def ports(*, served: bool) -> list[str]:
        mode = {"mode": "multiprocess", "multiprocess": {"metrics": {"enabled": served}}}
        monitor = render(merged(ON, {"lmcache": mode})).one("PodMonitor")
        return [endpoint["port"] for endpoint in monitor["spec"]["podMetricsEndpoints"]]

    assert ports(served=True) == ["http1", "lmcache-metrics"]
    assert ports(served=False) == ["http1"]


def test_a_prometheus_finds_the_objects_by_its_labels_and_scrapes_as_often_as_it_should(render: Render) -> None:
    monitoring = {"labels": {"release": "prometheus"}, "podMonitor": {"enabled": True, "interval": "15s"}}
    monitor = render({"monitoring": monitoring}).one("PodMonitor")
    assert monitor["metadata"]["labels"]["release"] == "prometheus"
    assert monitor["spec"]["podMetricsEndpoints"] == [{"port": "http1", "path": "/metrics", "interval": "15s"}]


def test_nothing_of_an_operator_is_rendered_unless_it_is_asked_for(render: Render) -> None:
    assert "monitoring.coreos.com" not in render().text
