from typing import Any

import pytest

from lmcache_kserve.chart.manifests import Manifests
from lmcache_kserve.chart.predictor import predictor_pod
from lmcache_kserve.errors import HarnessError


def release(*, model: dict[str, Any] | None = None, runtime: dict[str, Any] | None = None) -> Manifests:
    container: dict[str, Any] = {
        "name": "kserve-container",
        "image": "vllm:1",
        "command": ["python3"],
        "args": ["--served-model-name={{.Name}}"],
        "env": [{"name": "SEED", "value": "0"}, {"name": "LEVEL", "value": "INFO"}],
        "volumeMounts": [{"name": "shm", "mountPath": "/dev/shm"}],  # noqa: S108 - a mount path
        "resources": {"limits": {"cpu": "1", "memory": "2Gi"}},
    }
    return Manifests(
        objects=(
            {
                "apiVersion": "serving.kserve.io/v1alpha1",
                "kind": "ServingRuntime",
                "metadata": {"name": "runtime"},
                "spec": {
                    "containers": [container | (runtime or {})],
                    "volumes": [{"name": "shm", "emptyDir": {"medium": "Memory"}}],
                    "annotations": {"from": "runtime"},
                },
            },
            {
                "apiVersion": "serving.kserve.io/v1beta1",
                "kind": "InferenceService",
                "metadata": {"name": "llm", "namespace": "models"},
                "spec": {
                    "predictor": {
                        "minReplicas": 2,
                        "annotations": {"checksum/config": "abc"},
                        "volumes": [{"name": "config", "configMap": {"name": "lmcache"}}],
                        "containers": [{"name": "sidecar", "image": "proxy:1"}],
                        "model": {
                            "modelFormat": {"name": "vLLM"},
                            "runtime": "runtime",
                            "args": ["--model=x"],
                            "env": [{"name": "LEVEL", "value": "DEBUG"}],
                            "volumeMounts": [{"name": "config", "mountPath": "/lmcache"}],
                            "resources": {"limits": {"memory": "6Gi"}},
                        }
                        | (model or {}),
                    }
                },
            },
        ),
        text="",
    )


def test_arguments_of_the_runtime_come_before_those_of_the_inference_service() -> None:
    assert predictor_pod(release()).command_line == ["python3", "--served-model-name=llm", "--model=x"]


def test_environment_merges_by_name_and_the_inference_service_wins() -> None:
    environment = {entry["name"]: entry["value"] for entry in predictor_pod(release()).container["env"]}
    assert environment == {"SEED": "0", "LEVEL": "DEBUG", "INFERENCE_SERVICE_NAME": "llm"}


def test_volumes_mounts_and_resources_of_both_sides_are_kept() -> None:
    pod = predictor_pod(release())
    assert [volume["name"] for volume in pod.spec["volumes"]] == ["shm", "config"]
    assert [mount["mountPath"] for mount in pod.container["volumeMounts"]] == ["/dev/shm", "/lmcache"]  # noqa: S108 - a mount path
    assert pod.container["resources"]["limits"] == {"cpu": "1", "memory": "6Gi"}


def test_sidecars_follow_the_serving_container() -> None:
    assert [container["name"] for container in predictor_pod(release()).spec["containers"]] == [
        "kserve-container",
        "sidecar",
    ]


def test_annotations_of_the_runtime_and_of_the_predictor_reach_the_pod() -> None:
    assert predictor_pod(release()).annotations == {"from": "runtime", "checksum/config": "abc"}


def test_a_placeholder_that_kserve_cannot_fill_is_refused() -> None:
    with pytest.raises(HarnessError, match=r"cannot fill '{{ messages }}'"):
        predictor_pod(release(model={"args": ["--chat-template={{ messages }}"]}))


def test_a_runtime_without_the_serving_container_is_refused() -> None:
    with pytest.raises(HarnessError, match="no container named kserve-container"):
        predictor_pod(release(runtime={"name": "server"}))


def test_a_runtime_that_is_not_part_of_the_release_is_refused() -> None:
    with pytest.raises(HarnessError, match="other"):
        predictor_pod(release(model={"runtime": "other"}))
