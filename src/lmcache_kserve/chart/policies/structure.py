"""What the API server refuses, or drops, although a schema lets it pass."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from lmcache_kserve.chart.manifests import Manifests, Violation, describe
from lmcache_kserve.chart.policies.fields import leaves, metadata
from lmcache_kserve.chart.policies.pods import CLAIM_TEMPLATES, Pod, running_pods, written_pods

_UNIQUE_WITHIN_CONTAINER = {"env": ("name",), "ports": ("containerPort", "protocol"), "volumeMounts": ("mountPath",)}


def env_values_are_strings(manifests: Manifests) -> list[Violation]:
    """Values of environment variables, labels and annotations are strings; YAML makes others of an unquoted value."""
    found = []
    for pod in written_pods(manifests):
        for path, container in pod.containers():
            found += [
                Violation(pod.object, f"{path}.env[{variable.get('name')}].value", _unquoted(variable["value"]))
                for variable in container.get("env") or ()
                if "value" in variable and not isinstance(variable["value"], str)
            ]
    for manifest in manifests:
        for path, block in metadata(manifest):
            for field in ("labels", "annotations"):
                found += [
                    Violation(describe(manifest), f"{path}.{field}[{key}]", _unquoted(value))
                    for key, value in (block.get(field) or {}).items()
                    if not isinstance(value, str)
                ]
    return found


def no_duplicates(manifests: Manifests) -> list[Violation]:
    """Nothing that has a key is listed twice; Helm 4 applies on the server side, which refuses it."""
    found: list[Violation] = []
    for pod in written_pods(manifests):
        found += _duplicates(pod, "volumes", pod.spec.get("volumes") or (), ("name",))
        every_container = [container for path, container in pod.containers() if path != "model"]
        found += _duplicates(pod, "containers", every_container, ("name",))
        for path, container in pod.containers():
            for field, keys in _UNIQUE_WITHIN_CONTAINER.items():
                found += _duplicates(pod, f"{path}.{field}", container.get(field) or (), keys)
    return found


def mounts_have_volumes(manifests: Manifests) -> list[Violation]:
    """Every volume mount names a volume of its pod."""
    found = []
    for pod in running_pods(manifests):
        volumes = {volume.get("name") for volume in pod.spec.get("volumes") or ()}
        if isinstance(templates := pod.spec.get(CLAIM_TEMPLATES), list):
            volumes |= {template["metadata"]["name"] for template in templates}
        for path, container in pod.containers():
            found += [
                Violation(
                    pod.object, f"{path}.volumeMounts[{mount.get('mountPath')}]", f"no volume {mount.get('name')}"
                )
                for mount in container.get("volumeMounts") or ()
                if mount.get("name") not in volumes
            ]
    return found


def nothing_is_null(manifests: Manifests) -> list[Violation]:
    """Every field has a value: a template that renders null has lost one, and an apply would claim the field."""
    return [
        Violation(describe(manifest), path, "is null")
        for manifest in manifests
        for path, value in leaves(manifest)
        if value is None
    ]


def _unquoted(value: object) -> str:
    return f"{value!r} is not a string; quote it"


def _duplicates(pod: Pod, path: str, items: Iterable[Mapping[str, Any]], keys: tuple[str, ...]) -> Iterator[Violation]:
    seen = set()
    for item in items:
        identity = tuple(str(item.get(key, "TCP" if key == "protocol" else None)) for key in keys)
        if identity in seen:
            yield Violation(pod.object, f"{path}[{' '.join(identity)}]", "is listed twice")
        seen.add(identity)
