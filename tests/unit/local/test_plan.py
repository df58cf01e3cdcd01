"""Which pods a rendered release has."""

import pytest

from lmcache_kserve.chart.manifests import Manifests
from lmcache_kserve.errors import HarnessError
from lmcache_kserve.local.plan import plan_pods

SERVICE = {
    "apiVersion": "serving.kserve.io/v1beta1",
    "kind": "InferenceService",
    "metadata": {"name": "llm"},
    "spec": {"predictor": {"minReplicas": 1, "model": {"runtime": "rt"}}},
}
RUNTIME = {
    "apiVersion": "serving.kserve.io/v1alpha1",
    "kind": "ServingRuntime",
    "metadata": {"name": "rt"},
    "spec": {"containers": [{"name": "kserve-container"}]},
}


def test_hooks_are_no_part_of_a_running_release() -> None:
    hook = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "test", "annotations": {"helm.sh/hook": "test"}},
        "spec": {"containers": []},
    }
    assert [pod.name for pod in plan_pods(Manifests(objects=(hook, SERVICE, RUNTIME), text=""))] == ["llm-predictor-0"]
    pod_without_hook = hook | {"metadata": {"name": "test"}}
    with pytest.raises(HarnessError, match="Pod/test cannot run as local processes"):
        plan_pods(Manifests(objects=(pod_without_hook, SERVICE, RUNTIME), text=""))


def test_what_only_reads_metrics_is_no_part_of_a_proof() -> None:
    containers = [{"name": "redis"}, {"name": "exporter"}]
    redis = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "redis"},
        "spec": {"template": {"metadata": {}, "spec": {"containers": containers}}},
    }
    pods = plan_pods(Manifests(objects=(redis, SERVICE, RUNTIME), text=""))
    assert [pod.spec["containers"] for pod in pods if pod.name == "redis-0"] == [[{"name": "redis"}]]
