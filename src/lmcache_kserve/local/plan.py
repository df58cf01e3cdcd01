"""Which pods a rendered release has: workloads expanded to their replicas, the predictor as KServe builds it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from lmcache_kserve.chart.contract import COMPONENT_LABEL, EXPORTER_CONTAINER, PREDICTOR_COMPONENT, predictor_labels
from lmcache_kserve.chart.manifests import Manifests
from lmcache_kserve.chart.predictor import predictor_pod
from lmcache_kserve.errors import HarnessError

_WORKLOADS = ("DaemonSet", "Deployment", "StatefulSet")
"""A DaemonSet has one pod: this machine is one node."""
_NOT_RUN_LOCALLY = {
    "ConfigMap",
    "CronJob",
    "HorizontalPodAutoscaler",
    "InferenceService",
    "Job",
    "NetworkPolicy",
    "PersistentVolumeClaim",
    "PodDisruptionBudget",
    "PodMonitor",
    "PrometheusRule",
    "Role",
    "RoleBinding",
    "ScaledObject",
    "Secret",
    "Service",
    "ServiceAccount",
    "ServiceMonitor",
    "ServingRuntime",
}
"""Objects that run nothing on this machine: they are data, or a cluster's controllers act on them."""


@dataclass(frozen=True, slots=True)
class PodPlan:
    """One pod to run.

    Attributes:
        name: unique within the release, `<workload>-<ordinal>`.
        component: the value of its label `app.kubernetes.io/component`.
        labels: the pod's labels, which Services select.
        spec: the pod spec.
        claim_templates: names of a StatefulSet's volume claim templates, which become volumes of the pod.
        subdomain: a headless Service, which gives the pod the name `<name>.<subdomain>`; empty without a Service.
    """

    name: str
    component: str
    labels: Mapping[str, str]
    spec: Mapping[str, Any]
    claim_templates: tuple[str, ...] = ()
    subdomain: str = ""


def plan_pods(manifests: Manifests) -> list[PodPlan]:
    """List the pods of a release, the predictor's replicas first.

    Raises:
        HarnessError: an object of the release cannot run as local processes.
    """
    return [*_predictor_pods(manifests), *_workload_pods(manifests)]


def _predictor_pods(manifests: Manifests) -> Iterator[PodPlan]:
    pod = predictor_pod(manifests)
    service = manifests.one("InferenceService")
    if uri := service["spec"]["predictor"]["model"].get("storageUri"):
        raise HarnessError(
            f"model.storageUri={uri} is fetched by KServe's storage initializer, which only a cluster has: "
            "give model.id (a Hugging Face id or a folder) to run locally"
        )
    for ordinal in range(pod.replicas):
        yield PodPlan(
            name=f"{pod.name}-{ordinal}",
            component=PREDICTOR_COMPONENT,
            labels=predictor_labels(service["metadata"]["name"]),
            spec=pod.spec,
        )


def _workload_pods(manifests: Manifests) -> Iterator[PodPlan]:
    for manifest in manifests:
        kind, name = manifest["kind"], manifest["metadata"]["name"]
        if kind in _NOT_RUN_LOCALLY or "helm.sh/hook" in manifest["metadata"].get("annotations", {}):
            continue
        if kind not in _WORKLOADS:
            raise HarnessError(f"{kind}/{name} cannot run as local processes: only {', '.join(_WORKLOADS)} can")
        template = manifest["spec"]["template"]
        labels = template["metadata"].get("labels", {})
        claims = tuple(claim["metadata"]["name"] for claim in manifest["spec"].get("volumeClaimTemplates", ()))
        for ordinal in range(manifest["spec"].get("replicas", 1)):
            yield PodPlan(
                name=f"{name}-{ordinal}",
                component=labels.get(COMPONENT_LABEL, ""),
                labels=labels,
                spec=_without_exporter(template["spec"]),
                claim_templates=claims,
                subdomain=manifest["spec"].get("serviceName", template["spec"].get("subdomain", "")),
            )


def _without_exporter(spec: Mapping[str, Any]) -> Mapping[str, Any]:
    """A pod spec without the container that only reads what another one serves: no proof needs the exporter."""
    return {**spec, "containers": [one for one in spec["containers"] if one["name"] != EXPORTER_CONTAINER]}
