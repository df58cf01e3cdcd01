"""The predictor's pod as KServe's controller builds it in Standard mode, from the chart's rendered objects.

Source: kserve v0.20.0, `pkg/controller/v1beta1/inferenceservice/utils/utils.go` (MergeRuntimeContainers, MergePodSpec,
ReplacePlaceholders) and `components/predictor.go` (buildPodSpec).
"""

import copy
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lmcache_kserve.chart.contract import PREDICTOR_CONTAINER
from lmcache_kserve.chart.manifests import Manifests
from lmcache_kserve.errors import HarnessError

_LIST_MERGE_KEYS = {
    "env": "name",
    "ports": "containerPort",
    "volumeMounts": "mountPath",
    "volumeDevices": "devicePath",
    "volumes": "name",
    "imagePullSecrets": "name",
    "containers": "name",
    "initContainers": "name",
    "resourceClaims": "name",
}
"""Merge keys of core/v1's strategic merge patch, for the lists that a pod template holds."""

_RUNTIME_POD_FIELDS = (
    "nodeSelector",
    "affinity",
    "tolerations",
    "volumes",
    "imagePullSecrets",
    "schedulerName",
    "resourceClaims",
)
"""The fields of a ServingRuntime's pod spec that MergePodSpec carries over."""

_PREDICTOR_OWN_FIELDS = frozenset(
    {
        "annotations",
        "autoScaling",
        "batcher",
        "canaryTrafficPercent",
        "containerConcurrency",
        "deploymentStrategy",
        "labels",
        "logger",
        "maxReplicas",
        "minReplicas",
        "model",
        "name",
        "scaleMetric",
        "scaleMetricType",
        "scaleTarget",
        "timeout",
        "workerSpec",
    }
)
"""What an InferenceService's predictor has beside its inlined pod spec."""

_PLACEHOLDER = re.compile(r"{{(.*?)}}")


@dataclass(frozen=True, slots=True)
class PredictorPod:
    """The pod template of the Deployment that KServe makes for an InferenceService.

    Attributes:
        name: the Deployment's name, `<inferenceservice>-predictor`.
        replicas: how many pods the controller starts with.
        spec: the pod spec; the container `kserve-container` is first.
        annotations: annotations of the pod template.
    """

    name: str
    replicas: int
    spec: Mapping[str, Any]
    annotations: Mapping[str, str]

    @property
    def container(self) -> Mapping[str, Any]:
        """The container that serves the model."""
        container: Mapping[str, Any] = self.spec["containers"][0]
        return container

    @property
    def command_line(self) -> list[str]:
        """Command and arguments of the container that serves the model."""
        return [*self.container.get("command", ()), *self.container.get("args", ())]


def predictor_pod(manifests: Manifests) -> PredictorPod:
    """Build the predictor's pod of the one InferenceService in `manifests`.

    Raises:
        HarnessError: the InferenceService names a runtime that is not among the objects, or a placeholder is
            none that KServe fills.
    """
    service = manifests.one("InferenceService")
    predictor = service["spec"]["predictor"]
    model = predictor["model"]
    runtime = manifests.one("ServingRuntime", model["runtime"])
    template = _runtime_container(runtime)

    container = _merge(template, {key: value for key, value in model.items() if key not in _MODEL_OWN_FIELDS})
    container["args"] = [*template.get("args", ()), *model.get("args", ())]
    container["name"] = PREDICTOR_CONTAINER
    container = _fill_placeholders(container, service["metadata"])
    container["env"] = _merge_lists(
        container.get("env", []), [{"name": "INFERENCE_SERVICE_NAME", "value": service["metadata"]["name"]}], "name"
    )

    spec = _merge(
        {field: runtime["spec"][field] for field in _RUNTIME_POD_FIELDS if field in runtime["spec"]},
        {field: value for field, value in predictor.items() if field not in _PREDICTOR_OWN_FIELDS},
    )
    sidecars = [extra for extra in predictor.get("containers", ()) if extra["name"] != PREDICTOR_CONTAINER]
    runtime_sidecars = [extra for extra in runtime["spec"]["containers"] if extra["name"] != PREDICTOR_CONTAINER]
    spec["containers"] = [container, *_merge_lists(runtime_sidecars, sidecars, "name")]
    return PredictorPod(
        name=f"{service['metadata']['name']}-predictor",
        replicas=predictor.get("minReplicas", 1),
        spec=spec,
        annotations={**runtime["spec"].get("annotations", {}), **predictor.get("annotations", {})},
    )


_MODEL_OWN_FIELDS = frozenset({"modelFormat", "protocolVersion", "runtime", "runtimeVersion", "storage", "storageUri"})


def _runtime_container(runtime: Mapping[str, Any]) -> Mapping[str, Any]:
    for container in runtime["spec"]["containers"]:
        if container["name"] == PREDICTOR_CONTAINER:
            found: Mapping[str, Any] = container
            return found
    raise HarnessError(f"ServingRuntime {runtime['metadata']['name']} has no container named {PREDICTOR_CONTAINER}")


def _merge(base: Mapping[str, Any], patch: Mapping[str, Any]) -> dict[str, Any]:
    merged: dict[str, Any] = copy.deepcopy(dict(base))
    for key, value in patch.items():
        if isinstance(value, Mapping) and isinstance(merged.get(key), Mapping):
            merged[key] = _merge(merged[key], value)
        elif isinstance(value, Sequence) and key in _LIST_MERGE_KEYS and key in merged:
            merged[key] = _merge_lists(merged[key], value, _LIST_MERGE_KEYS[key])
        else:
            merged[key] = copy.deepcopy(value)
    return merged


def _merge_lists(
    base: Sequence[Mapping[str, Any]], patch: Sequence[Mapping[str, Any]], merge_key: str
) -> list[dict[str, Any]]:
    merged = {item[merge_key]: dict(item) for item in base}
    for item in patch:
        merged[item[merge_key]] = _merge(merged.get(item[merge_key], {}), item)
    return list(merged.values())


def _fill_placeholders(container: dict[str, Any], metadata: Mapping[str, Any]) -> dict[str, Any]:
    def fill(value: Any) -> Any:  # noqa: ANN401 - any JSON value
        if isinstance(value, str):
            return _PLACEHOLDER.sub(replacement, value)
        if isinstance(value, list):
            return [fill(item) for item in value]
        if isinstance(value, dict):
            return {key: fill(item) for key, item in value.items()}
        return value

    def replacement(match: re.Match[str]) -> str:
        expression = match.group(1).strip()
        if expression == ".Name":
            return str(metadata["name"])
        if expression == ".Namespace":
            return str(metadata.get("namespace", ""))
        raise HarnessError(
            f"KServe runs the predictor's container as a Go template and cannot fill {match.group(0)!r}: "
            "remove it from the arguments or the environment"
        )

    filled: dict[str, Any] = fill(container)
    return filled
