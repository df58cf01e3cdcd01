"""Preset waiting-requests: KEDA scales KServe's Deployment on vLLM's queue, and KServe keeps out of it."""

import json
import re
from typing import Any

import pytest
from problems.scaling import PRESET
from rendering import CHART, REPOSITORY, Render, merged, scenario_values

from lmcache_kserve.chart import policies, schemas
from lmcache_kserve.chart.manifests import Manifests

CLASS = "serving.kserve.io/autoscalerClass"
TO_ZERO: dict[str, Any] = {"minReplicas": 0, "waitingRequests": {"activationQuery": 'rate(calls{to="llm"}[1m])'}}
SERIES = re.compile(r"vllm:\w+\{([^}]*)\}")


def scaled(render: Render, *, kserve: str = schemas.KSERVE_VERSIONS[-1], **values: Any) -> Manifests:
    more = {"kserve": {"version": kserve.rpartition(".")[0]}, "predictor": {"autoscaling": values}}
    return render(merged(PRESET, more), kserve_version=kserve)


def spec(manifests: Manifests) -> dict[str, Any]:
    found: dict[str, Any] = manifests.one("ScaledObject")["spec"]
    return found


def queries(manifests: Manifests) -> dict[str, str]:
    return {one["name"]: one["metadata"]["query"] for one in spec(manifests)["triggers"]}


@pytest.mark.parametrize("kserve", schemas.KSERVE_VERSIONS)
def test_one_autoscaler_alone_owns_the_number_of_replicas_in_every_kserve(render: Render, kserve: str) -> None:
    manifests = scaled(render, kserve=kserve, minReplicas=2, maxReplicas=6, behavior={"scaleUp": {}})
    service = manifests.one("InferenceService")
    assert service["metadata"]["annotations"][CLASS] == "external"
    assert "autoScaling" not in service["spec"]["predictor"]
    assert spec(manifests)["scaleTargetRef"] == {"name": f"{service['metadata']['name']}-predictor"}
    assert (spec(manifests)["minReplicaCount"], spec(manifests)["maxReplicaCount"]) == (2, 6)


def test_kserve_cannot_take_the_scaled_object_for_its_own(render: Render) -> None:
    # KServe names its own after the Deployment, and deletes objects with both of its labels.
    found = scaled(render).one("ScaledObject")["metadata"]
    assert found["name"] != spec(scaled(render))["scaleTargetRef"]["name"]
    assert "serving.kserve.io/inferenceservice" not in found["labels"]


def test_the_queue_of_this_release_is_asked_for_and_no_other(render: Render) -> None:
    manifests = scaled(render)
    name = manifests.one("PodMonitor")["metadata"]["name"]
    assert queries(manifests) == {
        "waiting": f'sum(vllm:num_requests_waiting{{namespace="models",job="models/{name}"}})'
    }


def test_a_query_threshold_and_pace_of_the_user_reach_keda(render: Render) -> None:
    waiting = {"query": "sum(mine)", "threshold": 12, "pollingSeconds": 7, "cooldownSeconds": 90}
    found = spec(scaled(render, waitingRequests=waiting))
    (trigger,) = found["triggers"]
    assert trigger["metadata"] == {"serverAddress": "http://prometheus:9090", "query": "sum(mine)", "threshold": "12"}
    assert found["pollingInterval"] == 7
    window = {"scaleDown": {"stabilizationWindowSeconds": 90}}
    assert found["advanced"]["horizontalPodAutoscalerConfig"]["behavior"] == window


def test_a_query_of_the_user_needs_no_podmonitor(render: Render) -> None:
    more = {"monitoring": {"podMonitor": {"enabled": False}}}
    values = merged(PRESET, {**more, "predictor": {"autoscaling": {"waitingRequests": {"query": "sum(mine)"}}}})
    assert queries(render(values)) == {"waiting": "sum(mine)"}


def test_behavior_of_the_user_wins_and_a_window_is_at_most_what_kubernetes_takes(render: Render) -> None:
    behavior = {"scaleDown": {"stabilizationWindowSeconds": 5}, "scaleUp": {"stabilizationWindowSeconds": 9}}
    found = spec(scaled(render, behavior=behavior))["advanced"]["horizontalPodAutoscalerConfig"]
    assert found["behavior"] == behavior
    found = spec(scaled(render, waitingRequests={"cooldownSeconds": 9000}))["advanced"]["horizontalPodAutoscalerConfig"]
    assert found["behavior"]["scaleDown"] == {"stabilizationWindowSeconds": 3600}


def test_keda_logs_in_to_prometheus_where_it_has_to(render: Render) -> None:
    login = {"name": "prometheus", "kind": "ClusterTriggerAuthentication", "modes": "bearer"}
    manifests = scaled(render, **merged(TO_ZERO, {"waitingRequests": {"authentication": login}}))
    for trigger in spec(manifests)["triggers"]:
        assert trigger["metadata"]["authModes"] == "bearer"
        assert trigger["authenticationRef"] == {"name": "prometheus", "kind": "ClusterTriggerAuthentication"}


def test_a_release_at_zero_is_called_by_what_stands_before_it_and_kept_by_what_runs(render: Render) -> None:
    manifests = scaled(render, **TO_ZERO)
    activation = queries(manifests)["activation"]
    # Never more than 1, at a threshold of 1: it calls the first replica and no other.
    assert re.fullmatch(r"clamp_max\(.*, 1\)", activation)
    assert spec(manifests)["triggers"][1]["metadata"]["threshold"] == "1"
    assert '(sum(rate(calls{to="llm"}[1m])) or vector(0))' in activation
    assert "vllm:num_requests_running" in activation
    assert len(set(SERIES.findall(str(queries(manifests))))) == 1


def test_a_new_release_at_zero_has_the_time_to_load_its_first_replica(render: Render) -> None:
    found = spec(scaled(render, **merged(TO_ZERO, {"waitingRequests": {"cooldownSeconds": 900}})))
    assert (found["initialCooldownPeriod"], found["cooldownPeriod"]) == (900, 900)


def test_the_metrics_of_the_preset_are_those_of_a_real_engine() -> None:
    served = (REPOSITORY / "tests" / "metrics" / "engine.txt").read_text(encoding="utf-8")
    template = (CHART / "templates" / "inference" / "_autoscaling.tpl").read_text(encoding="utf-8")
    asked = set(re.findall(r"vllm:\w+", template))
    assert {name for name in asked if f"{name}{{" not in served and f"\n{name}\n" not in served} == set()
    assert asked == {"vllm:num_requests_waiting", "vllm:num_requests_running"}


def test_the_example_keeps_every_policy(render: Render) -> None:
    file = REPOSITORY / "values" / "autoscaling-keda.yaml"
    manifests = render(files=[file])
    external = policies.external_names(scenario_values(file))
    assert [str(one) for one in policies.check(manifests, external=external)] == []
    assert queries(manifests)


def test_without_a_preset_nothing_of_keda_is_rendered(render: Render) -> None:
    assert "keda.sh" not in json.dumps(list(render()))
    keda = {"predictor": {"autoscaling": {"enabled": True, "class": "keda"}}}
    manifests = render(keda)
    assert manifests.of_kind("ScaledObject") == []
    assert manifests.one("InferenceService")["metadata"]["annotations"][CLASS] == "keda"
