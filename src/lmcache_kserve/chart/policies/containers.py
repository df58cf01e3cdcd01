"""What runs is pinned, bounded and able to share a cache."""

from lmcache_kserve.chart.contract import PREDICTOR_CONTAINER
from lmcache_kserve.chart.manifests import Manifests, Violation
from lmcache_kserve.chart.policies.pods import running_pods

_SEED = "PYTHONHASHSEED"


def images_are_pinned(manifests: Manifests) -> list[Violation]:
    """Every image has a digest, or a tag other than `latest`."""
    found = []
    for pod in running_pods(manifests):
        for path, container in pod.containers():
            image = str(container.get("image") or "")
            tag = image.rpartition("/")[2].partition(":")[2]
            if "@sha256:" not in image and tag in {"", "latest"}:
                message = f"{image} needs a digest, or a tag other than latest" if image else "is not set"
                found.append(Violation(pod.object, f"{path}.image", message))
    return found


def memory_is_bounded(manifests: Manifests) -> list[Violation]:
    """Every container requests CPU and memory and has a memory limit."""
    wanted = (("requests", "cpu"), ("requests", "memory"), ("limits", "memory"))
    found = []
    for pod in running_pods(manifests):
        for path, container in pod.containers():
            resources = container.get("resources") or {}
            for kind, name in wanted:
                # A limit without a request is a request too.
                stated = {**(resources.get("limits") or {}), **(resources.get(kind) or {})}
                if name not in (stated if kind == "requests" else resources.get("limits") or {}):
                    found.append(Violation(pod.object, f"{path}.resources.{kind}.{name}", "is not set"))
    return found


def hash_seed_is_fixed(manifests: Manifests) -> list[Violation]:
    """Every predictor sets PYTHONHASHSEED to a number; without it replicas compute different cache keys."""
    found = []
    for pod in running_pods(manifests):
        if not pod.object.startswith("InferenceService/"):
            continue
        for path, container in pod.containers():
            if path != f"containers[{PREDICTOR_CONTAINER}]":
                continue
            seed = {variable.get("name"): variable.get("value") for variable in container.get("env") or ()}.get(_SEED)
            if not str(seed).isdecimal():
                message = (
                    "is not a number; the chart computes one when lmcache.hashSeed is empty and "
                    f"predictor.env does not set {_SEED}"
                )
                found.append(Violation(pod.object, f"{path}.env[{_SEED}]", message))
    return found
