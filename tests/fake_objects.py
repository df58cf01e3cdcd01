"""The Kubernetes objects of a release that is not one, as the API server keeps them."""

from collections.abc import Mapping
from typing import Any

from lmcache_kserve.chart.contract import (
    BACKEND_ANNOTATION,
    BACKEND_COMPONENT,
    COMPONENT_LABEL,
    INSTANCE_LABEL,
    MODE_ANNOTATION,
    PREDICTOR_CONTAINER,
    predictor_labels,
)

NAMESPACE = "llm"


RELEASE = "demo"


SERVICE = "demo-lmcache-kserve"


PASSWORD = "hunter2 secret"  # noqa: S105 - of a server that does not exist


BACKEND_LABELS = {INSTANCE_LABEL: RELEASE, COMPONENT_LABEL: BACKEND_COMPONENT}


PREDICTOR_LABELS = predictor_labels(SERVICE)


Manifest = dict[str, Any]


def inference_service(**changes: Any) -> Manifest:
    """A ready InferenceService of the chart; `conditions` and `annotations` may be replaced."""
    return {
        "apiVersion": "serving.kserve.io/v1beta1",
        "kind": "InferenceService",
        "metadata": {
            "name": SERVICE,
            "namespace": NAMESPACE,
            "uid": "isvc-1",
            "generation": changes.get("generation", 1),
            "labels": {INSTANCE_LABEL: RELEASE, "app.kubernetes.io/version": "0.1.0"},
            "annotations": changes.get("annotations", {BACKEND_ANNOTATION: "redis", MODE_ANNOTATION: "in-process"}),
        },
        "spec": {"predictor": {"minReplicas": 2, "model": {"runtime": SERVICE}}},
        "status": {
            "observedGeneration": 1,
            "conditions": changes.get(
                "conditions", [{"type": "PredictorReady", "status": "True"}, {"type": "Ready", "status": "True"}]
            ),
        },
    }


def predictor_container() -> Manifest:
    """A container as KServe makes it from the chart's values for the CPU."""
    return {
        "name": PREDICTOR_CONTAINER,
        "image": "lmcache-kserve/vllm-cpu:0.1.0",
        "command": ["python3", "-m", "vllm.entrypoints.openai.api_server"],
        "args": ["--port=8080", "--served-model-name=tiny", "--max-model-len=10000"],
        "ports": [{"containerPort": 8080, "name": "http1", "protocol": "TCP"}],
        "env": [
            {"name": "PYTHONHASHSEED", "value": "0"},
            {"name": "LMCACHE_CONFIG_FILE", "value": "/etc/lmcache/lmcache_config.yaml"},
            {
                "name": "REMOTE_BACKEND_URL",
                "value": "redis://demo-lmcache-kserve-redis.llm.svc:6379/0?socket_timeout=2",
            },
            {
                "name": "REMOTE_BACKEND_PASSWORD",
                "valueFrom": {"secretKeyRef": {"name": "demo-lmcache-kserve-redis", "key": "password"}},
            },
            {"name": "NODE", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}},
        ],
        "volumeMounts": [{"name": "lmcache-config", "mountPath": "/etc/lmcache", "readOnly": True}],
    }


def pod(name: str, *, labels: Mapping[str, str], container: Manifest, **status: Any) -> Manifest:
    """A pod, ready unless `status` says otherwise."""
    ready: Manifest = {
        "phase": "Running",
        "conditions": [{"type": "PodScheduled", "status": "True"}, {"type": "Ready", "status": "True"}],
        "containerStatuses": [{"name": container["name"], "ready": True, "state": {"running": {}}, "restartCount": 0}],
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": NAMESPACE, "uid": f"uid-of-{name}", "labels": dict(labels)},
        "spec": {
            "containers": [container],
            "volumes": [{"name": "lmcache-config", "configMap": {"name": "demo-lmcache-kserve-lmcache"}}],
        },
        "status": ready | status,
    }
