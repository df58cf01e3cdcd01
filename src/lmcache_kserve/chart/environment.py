"""A container's environment as the kubelet computes it: `valueFrom`, `envFrom` and `$(NAME)` references.

Source: Kubernetes, `third_party/forked/golang/expansion/expand.go` and the documentation of `EnvVar.value`.
"""

import base64
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lmcache_kserve.chart.manifests import Manifests
from lmcache_kserve.errors import HarnessError

_REFERENCE = re.compile(r"\$(?:\$|\((?P<name>[-._a-zA-Z][-._a-zA-Z0-9]*)\))")


def expand(value: str, environment: Mapping[str, str]) -> str:
    """Replace `$(NAME)` by the variable's value and `$$` by `$`; an unknown name stays as it is written."""

    def replacement(match: re.Match[str]) -> str:
        name = match.group("name")
        if name is None:
            return "$"
        return environment.get(name, match.group(0))

    return _REFERENCE.sub(replacement, value)


@dataclass(frozen=True, slots=True)
class Configuration:
    """ConfigMaps and Secrets of a release, as text by key."""

    config_maps: Mapping[str, Mapping[str, str]]
    secrets: Mapping[str, Mapping[str, str]]

    @classmethod
    def of(cls, manifests: Manifests, *, secrets: Mapping[str, Mapping[str, str]] | None = None) -> "Configuration":
        """Read every ConfigMap and Secret of a release; `secrets` are those that a cluster would hold already."""
        return cls(
            config_maps={
                item["metadata"]["name"]: dict(item.get("data", {})) for item in manifests.of_kind("ConfigMap")
            },
            secrets={
                **(secrets or {}),
                **{item["metadata"]["name"]: decode_secret(item) for item in manifests.of_kind("Secret")},
            },
        )

    def config_map(self, name: str) -> Mapping[str, str]:
        """The data of ConfigMap `name`.

        Raises:
            HarnessError: the release has no such ConfigMap.
        """
        return _find(self.config_maps, name, "ConfigMap")

    def secret(self, name: str) -> Mapping[str, str]:
        """The data of Secret `name`, decoded.

        Raises:
            HarnessError: the release has no such Secret.
        """
        return _find(self.secrets, name, "Secret")


def resolve_environment(
    container: Mapping[str, Any], *, configuration: Configuration, fields: Mapping[str, str]
) -> dict[str, str]:
    """Compute the environment of a container.

    Args:
        container: the container's spec.
        configuration: ConfigMaps and Secrets that it may refer to.
        fields: values of the downward API's `fieldRef` paths: `metadata.name`, `status.podIP`, ...

    Raises:
        HarnessError: a reference leads nowhere.
    """
    environment: dict[str, str] = {}
    for source in container.get("envFrom", ()):
        data = _whole(source, configuration)
        environment |= {f"{source.get('prefix', '')}{key}": value for key, value in data.items()}
    for entry in container.get("env", ()):
        if "valueFrom" not in entry:
            environment[entry["name"]] = expand(entry.get("value", ""), environment)
        elif (value := _value_from(entry, container, configuration, fields)) is not None:
            environment[entry["name"]] = value
    return environment


def _whole(source: Mapping[str, Any], configuration: Configuration) -> Mapping[str, str]:
    """The data of the object that an entry of `envFrom` names; nothing where the object is missing and optional."""
    kind, find = (
        ("configMapRef", configuration.config_map) if "configMapRef" in source else ("secretRef", configuration.secret)
    )
    try:
        return find(source[kind]["name"])
    except HarnessError:
        if source[kind].get("optional"):
            return {}
        raise


def _value_from(
    entry: Mapping[str, Any], container: Mapping[str, Any], configuration: Configuration, fields: Mapping[str, str]
) -> str | None:
    source = entry["valueFrom"]
    where = f"env {entry['name']} of container {container['name']}"
    for kind, find in (("configMapKeyRef", configuration.config_map), ("secretKeyRef", configuration.secret)):
        if reference := source.get(kind):
            try:
                return find(reference["name"])[reference["key"]]
            except (HarnessError, KeyError) as error:
                if reference.get("optional"):
                    return None
                remedy = f": give it with --secret {reference['name']}/{reference['key']}=VALUE" * ("secret" in kind)
                raise HarnessError(
                    f"{where} refers to key {reference['key']!r} of {reference['name']!r}, which is not part of the "
                    f"release, and a local run has no cluster to read it from{remedy}"
                ) from error
    if reference := source.get("fieldRef"):
        if reference["fieldPath"] in fields:
            return fields[reference["fieldPath"]]
        raise HarnessError(f"{where} refers to {reference['fieldPath']}, which a local process does not have")
    if reference := source.get("resourceFieldRef"):
        raise HarnessError(f"{where} refers to {reference['resource']}, which a local process does not have")
    raise HarnessError(f"{where} has a source that a local run does not know: {', '.join(source)}")


def decode_secret(secret: Mapping[str, Any]) -> dict[str, str]:
    """The data of a Secret as text."""
    encoded = {key: base64.b64decode(value).decode() for key, value in secret.get("data", {}).items()}
    return {**encoded, **secret.get("stringData", {})}


def _find(objects: Mapping[str, Mapping[str, str]], name: str, kind: str) -> Mapping[str, str]:
    if name not in objects:
        raise HarnessError(f"{kind} {name} is not part of the release, and a local run has no cluster to read it from")
    return objects[name]
