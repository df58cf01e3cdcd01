"""What pods refer to exists: a Secret, a ConfigMap or a claim, rendered or held by the cluster already."""

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from lmcache_kserve.chart.manifests import Manifests, Violation
from lmcache_kserve.chart.policies.fields import mappings
from lmcache_kserve.chart.policies.pods import Pod, running_pods

_VALUES_THAT_NAME = frozenset(
    {"existingSecret", "existingClaim", "existingConfigMap", "caConfigMap", "caSecret", "clientSecret"}
)
"""Values of the chart that name an object which the namespace holds already."""

_FIELDS_THAT_NAME = {
    "configMap": ("name",),
    "configMapKeyRef": ("name",),
    "configMapRef": ("name",),
    "persistentVolumeClaim": ("claimName",),
    "secret": ("secretName", "name"),
    "secretKeyRef": ("name",),
    "secretRef": ("name",),
}
"""Fields of a container or volume that name an object, with the key that holds the name."""


def references_exist(manifests: Manifests, *, external: Collection[str] = ()) -> list[Violation]:
    """What a pod refers to is rendered, or named as external, or optional.

    Args:
        manifests: what was rendered.
        external: names of Secrets, ConfigMaps and claims that the namespace holds already.
    """
    keys: dict[tuple[str, str], set[str]] = {}
    for manifest in manifests:
        fields = ("data", "stringData", "binaryData")
        keys[manifest["kind"], manifest["metadata"]["name"]] = {key for f in fields for key in manifest.get(f) or ()}
    found = []
    for pod in running_pods(manifests):
        for path, kind, name, wanted in _references(pod):
            if name in external:
                continue
            if (kind, name) not in keys:
                found.append(Violation(pod.object, path, f"{kind} {name} is not rendered"))
            elif missing := wanted - keys[kind, name]:
                found.append(Violation(pod.object, path, f"{kind} {name} has no key {', '.join(sorted(missing))}"))
    return found


def external_names(values: Mapping[str, Any]) -> frozenset[str]:
    """Names of Secrets, ConfigMaps and claims that a user's values expect in the namespace.

    Values name them in the chart's own keys (`auth.existingSecret`) or as a pod does (`secretKeyRef.name`).
    """
    names = set()
    for _, mapping in mappings(values):
        names |= {value for key, value in mapping.items() if key in _VALUES_THAT_NAME}
        for field, keys in _FIELDS_THAT_NAME.items():
            if isinstance(reference := mapping.get(field), dict):
                names |= {reference[key] for key in keys if isinstance(reference.get(key), str)}
    return frozenset(name for name in names if name)


def _references(pod: Pod) -> Iterator[tuple[str, str, str, set[str]]]:
    """What a pod needs to start: path, kind, name and keys."""
    for volume in pod.spec.get("volumes") or ():
        path = f"volumes[{volume.get('name')}]"
        for source in (volume, *((volume.get("projected") or {}).get("sources") or ())):
            yield from _required(path, source, {"configMap": "ConfigMap", "secret": "Secret"})
        if claim := volume.get("persistentVolumeClaim"):
            yield path, "PersistentVolumeClaim", claim["claimName"], set()
    for path, container in pod.containers():
        for variable in container.get("env") or ():
            kinds = {"configMapKeyRef": "ConfigMap", "secretKeyRef": "Secret"}
            yield from _required(f"{path}.env[{variable['name']}]", variable.get("valueFrom") or {}, kinds)
        for entry in container.get("envFrom") or ():
            yield from _required(f"{path}.envFrom", entry, {"configMapRef": "ConfigMap", "secretRef": "Secret"})


def _required(
    path: str, source: Mapping[str, Any], kinds: Mapping[str, str]
) -> Iterator[tuple[str, str, str, set[str]]]:
    """The references of one source, by the field that holds each, unless they are optional."""
    for field, kind in kinds.items():
        reference = source.get(field)
        if not reference or reference.get("optional"):
            continue
        keys = {item["key"] for item in reference.get("items") or ()}
        if "key" in reference:
            keys.add(reference["key"])
        yield path, kind, reference.get("name") or reference.get("secretName", ""), keys
