"""The pods of a release, as they are written and as they will run."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from lmcache_kserve.chart.contract import PREDICTOR_CONTAINER
from lmcache_kserve.chart.manifests import Manifest, Manifests, describe
from lmcache_kserve.chart.predictor import predictor_pod

CLAIM_TEMPLATES = "volumeClaimTemplates"
"""The field in which the pod of a StatefulSet carries the claims that its owner makes."""

_CONTAINER_LISTS = ("initContainers", "containers", "ephemeralContainers")


@dataclass(frozen=True, slots=True)
class Pod:
    """A pod spec and the object that makes its pods.

    Attributes:
        object: kind and name, as `describe` gives them.
        spec: the pod spec.
    """

    object: str
    spec: Mapping[str, Any]

    def containers(self) -> Iterator[tuple[str, Mapping[str, Any]]]:
        """Every container with its path; of a predictor also `model`, a container without a name."""
        if isinstance(model := self.spec.get("model"), dict):
            yield "model", model
        for list_name in _CONTAINER_LISTS:
            for container in self.spec.get(list_name) or ():
                yield f"{list_name}[{container.get('name')}]", container


def written_pods(manifests: Manifests) -> Iterator[Pod]:
    """Pod specs as they are written: an InferenceService and its ServingRuntime apart."""
    for owner, spec in manifests.pod_specs():
        yield Pod(describe(owner), spec)


def running_pods(manifests: Manifests) -> Iterator[Pod]:
    """Pod specs as they will run: the halves of a predictor merged as KServe's controller merges them."""
    services = manifests.of_kind("InferenceService")
    runtimes = {runtime["metadata"]["name"]: runtime for runtime in manifests.of_kind("ServingRuntime")}
    used = {(service["spec"]["predictor"].get("model") or {}).get("runtime") for service in services}
    for owner, spec in manifests.pod_specs():
        if owner["kind"] == "InferenceService":
            runtime = runtimes.get((spec.get("model") or {}).get("runtime", ""))
            yield Pod(describe(owner), _predictor(owner, runtime))
        elif owner["kind"] == "StatefulSet":
            yield Pod(describe(owner), {**spec, CLAIM_TEMPLATES: owner["spec"].get(CLAIM_TEMPLATES) or []})
        elif owner["kind"] != "ServingRuntime" or owner["metadata"]["name"] not in used:
            yield Pod(describe(owner), spec)


def _predictor(service: Manifest, runtime: Manifest | None) -> Mapping[str, Any]:
    if runtime is not None:
        return predictor_pod(Manifests(objects=(service, runtime), text="")).spec
    # The runtime belongs to the cluster: only what the service itself states can be judged.
    predictor = dict(service["spec"]["predictor"])
    if (model := predictor.pop("model", None)) is not None:
        predictor["containers"] = [{**model, "name": PREDICTOR_CONTAINER}, *(predictor.get("containers") or ())]
    return predictor
