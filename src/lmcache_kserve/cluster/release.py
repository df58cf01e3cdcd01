"""Finds what a release consists of on a cluster, and says what is wrong when it is not ready."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lmcache_kserve.chart.contract import (
    BACKEND_ANNOTATION,
    BACKEND_COMPONENT,
    CACHE_SERVER_COMPONENT,
    CHART_LABEL,
    COMPONENT_LABEL,
    INSTANCE_LABEL,
    MODE_ANNOTATION,
    SERVER_CONTAINER,
    chart_version,
    predictor_labels,
)
from lmcache_kserve.cluster.api import INFERENCE_SERVICES, PODS, SERVING_RUNTIMES, Api, NotFoundError, Object
from lmcache_kserve.cluster.pod import Pod, problems
from lmcache_kserve.errors import HarnessError

_NEEDED_REPLICAS = 2


@dataclass(frozen=True, slots=True)
class Release:
    """A release of the chart.

    Attributes:
        api: its namespace.
        name: the Helm release's name.
        service: its InferenceService.
    """

    api: Api
    name: str
    service: Object

    @classmethod
    def find(cls, api: Api, name: str) -> "Release":
        """Find the InferenceService of a release.

        Raises:
            HarnessError: there is no such release, or the cluster has no KServe.
        """
        try:
            services = api.list(INFERENCE_SERVICES, labels={INSTANCE_LABEL: name})
        except NotFoundError as error:
            raise HarnessError("the cluster does not know InferenceServices: is KServe installed?") from error
        if len(services) == 1:
            return cls(api, name, services[0])
        if services:
            names = ", ".join(str(service["metadata"]["name"]) for service in services)
            raise HarnessError(f"release {name} has more than one InferenceService ({names}): one is expected")
        others = api.list(INFERENCE_SERVICES, labels={})
        releases = sorted({release for service in others if (release := _label(service, INSTANCE_LABEL))})
        raise HarnessError(
            f"there is no InferenceService of a release {name!r} in namespace {api.namespace} (it has "
            f"{', '.join(releases) or 'none of any release'}): correct RELEASE or --namespace"
        )

    @property
    def backend_type(self) -> str:
        """The value of `remoteBackend.type`."""
        return self._annotation(BACKEND_ANNOTATION)

    @property
    def mode(self) -> str:
        """The value of `lmcache.mode`."""
        return self._annotation(MODE_ANNOTATION)

    def chart_version(self) -> str:
        """The version of the chart, or `unknown` where the ServingRuntime does not tell.

        Raises:
            ForbiddenError: the account may not read the ServingRuntime.
        """
        name = self.service["spec"]["predictor"].get("model", {}).get("runtime", "")
        try:
            runtime = self.api.get(SERVING_RUNTIMES, str(name))
        except NotFoundError:
            return "unknown"
        return chart_version(_label(runtime, CHART_LABEL)) or "unknown"

    def pods(self) -> list[Pod]:
        """The predictor's pods, by name."""
        labels = predictor_labels(str(self.service["metadata"]["name"]))
        return [Pod(manifest) for manifest in self.api.list(PODS, labels=labels)]

    def backend_labels(self) -> Mapping[str, str]:
        """The labels of the backend's objects."""
        return {INSTANCE_LABEL: self.name, COMPONENT_LABEL: BACKEND_COMPONENT}

    def pod(self, name: str) -> Pod:
        """One pod by name.

        Raises:
            NotFoundError: the release has no pod of this name.
        """
        for pod in [*self.pods(), *self._node_servers()]:
            if pod.name == name:
                return pod
        raise NotFoundError(f"there is no pod {name} of release {self.name}")

    def cache_server(self, pod: Pod) -> Pod | None:
        """The pod with the LMCache server of a predictor's pod: that pod, or one of its node; None without a server."""
        if pod.has_container(SERVER_CONTAINER):
            return pod
        return next((server for server in self._node_servers() if server.node == pod.node), None)

    def _node_servers(self) -> list[Pod]:
        """The pods of the DaemonSet of mode multiprocess."""
        labels = {INSTANCE_LABEL: self.name, COMPONENT_LABEL: CACHE_SERVER_COMPONENT}
        return [Pod(manifest) for manifest in self.api.list(PODS, labels=labels)]

    def ready_pods(self, *, at_least: int | None = None) -> Sequence[Pod]:
        """The predictor's ready pods, by name.

        Args:
            at_least: how many there have to be; by default as many as the proof needs.

        Raises:
            HarnessError: the InferenceService is not ready, or too few pods are; the message says why.
        """
        pods = self.pods()
        name = self.service["metadata"]["name"]
        reasons = problems(pods)
        if condition := _unmet(self.service):
            raise _explained(f"InferenceService {name} is not ready: {condition}", reasons)
        ready = [pod for pod in pods if pod.ready]
        needed = at_least or (1 if self.backend_type == "none" else _NEEDED_REPLICAS)
        if len(ready) < needed:
            raise _explained(
                f"InferenceService {name} has {len(ready)} ready replicas, and a hit across replicas needs {needed}: "
                "set predictor.replicas",
                reasons,
            )
        return ready

    def _annotation(self, name: str) -> str:
        annotations: Mapping[str, Any] = self.service["metadata"].get("annotations", {})
        if name not in annotations:
            service = self.service["metadata"]["name"]
            raise HarnessError(f"InferenceService {service} has no annotation {name}: was it installed by this chart?")
        return str(annotations[name])


def _unmet(service: Object) -> str | None:
    """Why an InferenceService is not ready, in the words of its conditions; None where it is ready."""
    status = service.get("status", {})
    generation, observed = service["metadata"].get("generation"), status.get("observedGeneration")
    if generation and observed and observed < generation:
        return "KServe has not yet taken up its last change"
    conditions = {condition["type"]: condition for condition in status.get("conditions", ())}
    if conditions.get("Ready", {}).get("status") == "True":
        return None
    # Ready sums up the others, and Stopped is fine when it is False.
    parts = {kind: one for kind, one in conditions.items() if kind not in {"Ready", "Stopped"}}
    words = [_described(one) for _, one in sorted((parts or conditions).items()) if one.get("status") != "True"]
    return "; ".join(words) or "it has no conditions yet: does KServe's controller run?"


def _described(condition: Mapping[str, Any]) -> str:
    words = condition.get("message") or condition.get("reason")
    return f"{condition['type']} is {condition['status']}" + (f" ({words})" if words else "")


def _explained(message: str, reasons: Sequence[str]) -> HarnessError:
    return HarnessError("\n".join([message, *reasons]))


def _label(manifest: Object, name: str) -> str | None:
    value = manifest["metadata"].get("labels", {}).get(name)
    return None if value is None else str(value)
