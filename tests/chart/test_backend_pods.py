"""The pods of a backend run where remoteBackend.pod says, and the places that earlier charts had for it are named."""

from collections.abc import Iterator
from typing import Any

import pytest
from rendering import CHART, Render, default_values, merged, moved_values, remote_backend

from lmcache_kserve.chart.helm import Helm, HelmError
from lmcache_kserve.chart.manifests import Manifests

KSERVE_BACKENDS: dict[str, Any] = {
    "runtime": {"image": {"repository": "example.com/kserve-backends", "tag": "1"}},
    "predictor": {"resources": {"limits": {"memory": "24Gi", "rdma/hca": 1}}},
}
TOLERATION = {"key": "cache", "operator": "Exists"}
AFFINITY: dict[str, Any] = {"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": []}}
POD: dict[str, Any] = {
    "nodeSelector": {"pool": "cache"},
    "tolerations": [TOLERATION],
    "affinity": AFFINITY,
    "priorityClassName": "high",
    "podLabels": {"team": "search", "lmcache-kserve/part": "none", "app.kubernetes.io/component": "none"},
    "podAnnotations": {"example.com/note": "yes"},
}
WORKLOADS = {
    "redis": 1,
    "valkey": 1,
    "redis-sentinel": 3,
    "lmcache-server": 1,
    "filesystem": 1,
    "mooncake": 2,
    "infinistore": 1,
}
"""How many workloads the chart deploys for a type; the one of filesystem cleans."""


def chosen(kind: str, **values: Any) -> dict[str, Any]:
    backend = remote_backend(kind)["remoteBackend"]
    return {**KSERVE_BACKENDS, "remoteBackend": {**backend, **values}}


def workloads(manifests: Manifests) -> Iterator[tuple[dict[str, str], dict[str, Any]]]:
    """The labels that select the pods of each workload of the backend, and the pods' template."""
    for component in ("remote-backend", "cache-cleaner"):
        for manifest in manifests.labelled(component=component):
            spec = manifest.get("spec", {})
            if manifest["kind"] == "CronJob":
                yield {}, spec["jobTemplate"]["spec"]["template"]
            elif "template" in spec:
                yield spec["selector"]["matchLabels"], spec["template"]


@pytest.mark.parametrize("kind", WORKLOADS)
def test_every_pod_of_a_backend_runs_where_the_user_says(render: Render, kind: str) -> None:
    found = list(workloads(render(chosen(kind, pod=POD))))
    assert len(found) == WORKLOADS[kind]
    for _, template in found:
        spec = template["spec"]
        assert {key: spec[key] for key in ("nodeSelector", "tolerations", "affinity", "priorityClassName")} == {
            key: POD[key] for key in ("nodeSelector", "tolerations", "affinity", "priorityClassName")
        }
        assert template["metadata"]["annotations"]["example.com/note"] == "yes"
        assert template["metadata"]["labels"]["team"] == "search"


@pytest.mark.parametrize("kind", WORKLOADS)
def test_labels_of_the_user_take_no_pod_from_its_workload(render: Render, kind: str) -> None:
    found = list(workloads(render(chosen(kind, pod=POD))))
    for selector, template in found:
        labels = template["metadata"]["labels"]
        assert selector.items() <= labels.items()
        assert labels["app.kubernetes.io/component"] != "none"
    selectors = [selector for selector, _ in found]
    assert all(one == other or "lmcache-kserve/part" in one for one in selectors for other in selectors)


@pytest.mark.parametrize("kind", WORKLOADS)
def test_by_default_a_pod_runs_anywhere(render: Render, kind: str) -> None:
    for _, template in workloads(render(chosen(kind))):
        assert not {"nodeSelector", "tolerations", "priorityClassName"} & set(template["spec"])
        assert "affinity" not in template["spec"] or kind == "redis-sentinel"


def at(path: str, value: Any) -> dict[str, Any]:
    """Values with one value set."""
    key, _, rest = path.partition(".")
    return {key: at(rest, value) if rest else value}


def test_a_value_at_its_old_place_is_refused_with_the_new_one(helm: Helm) -> None:
    values: dict[str, Any] = {}
    for old, new in moved_values().items():
        if new:
            values = merged(values, at(old, POD[old.rpartition(".")[2]]))
    with pytest.raises(HelmError) as caught:
        helm.template(CHART, release="llm", namespace="models", values=values)
    said = [line.strip() for line in str(caught.value).splitlines() if line.strip().startswith("- ")]
    assert said == sorted(f"- {old}: has moved to {new}" for old, new in moved_values().items() if new)


@pytest.mark.parametrize(("old", "new"), moved_values().items(), ids=list(moved_values()))
def test_a_value_has_left_its_old_place_and_has_a_new_one(old: str, new: str) -> None:
    def known(path: str) -> bool:
        node: Any = default_values()
        for key in path.split("."):
            if not isinstance(node, dict) or key not in node:
                return False
            node = node[key]
        return True

    assert not known(old)
    assert known(new) or not new


def test_the_defaults_of_an_earlier_chart_are_accepted(render: Render) -> None:
    empty: dict[str, Any] = {"tolerations": [], "priorityClassName": "", "replicas": 1, "enabled": False}
    before: dict[str, Any] = {"remoteBackend": {"type": "none"}}
    values = before
    for old in moved_values():
        values = merged(values, at(old, empty.get(old.rpartition(".")[2], {})))
    assert render(values).text == render(before).text
