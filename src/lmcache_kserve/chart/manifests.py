"""Rendered Kubernetes objects, read strictly and found by kind and name."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Self

import yaml

from lmcache_kserve.errors import HarnessError

Manifest = dict[str, Any]
"""One Kubernetes object as plain data."""

POD_SPEC_PATHS: dict[str, tuple[str, ...]] = {
    "CronJob": ("spec", "jobTemplate", "spec", "template", "spec"),
    "DaemonSet": ("spec", "template", "spec"),
    "Deployment": ("spec", "template", "spec"),
    "InferenceService": ("spec", "predictor"),
    "Job": ("spec", "template", "spec"),
    "Pod": ("spec",),
    "ReplicaSet": ("spec", "template", "spec"),
    "ServingRuntime": ("spec",),
    "StatefulSet": ("spec", "template", "spec"),
}
"""Where objects of a kind carry a pod spec."""


VALUES = "values"
"""What a violation in the values has in place of an object."""


@dataclass(frozen=True, slots=True)
class Violation:
    """One thing that is wrong with a rendered object.

    Attributes:
        object: kind and name, as `describe` gives them.
        path: where in the object, dotted: `spec.predictor.model.env[3].value`.
        message: what is wrong there.
    """

    object: str
    path: str
    message: str

    def __str__(self) -> str:
        return f"{self.object} {self.path}: {self.message}" if self.path else f"{self.object}: {self.message}"


class ManifestError(HarnessError):
    """Rendered text is not a set of Kubernetes objects, or lacks the object that was asked for."""


_MERGE_TAG = "tag:yaml.org,2002:merge"
_TEXT_TAG = "tag:yaml.org,2002:str"


class _StrictLoader(yaml.CSafeLoader):
    """Reads YAML as Kubernetes does, into what JSON can say, and refuses a key that one mapping has twice.

    Source: sigs.k8s.io/yaml 1.4, `convertToJSONableObject`.
    """

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:  # noqa: FBT001, FBT002 (PyYAML's signature)
        seen: set[str] = set()
        for key_node, _ in node.value:
            if key_node.tag == _MERGE_TAG:  # what it merges in may be overridden
                continue
            key = self._key(key_node)
            if key in seen:
                raise yaml.constructor.ConstructorError(None, None, f"duplicate key {key!r}", key_node.start_mark)
            seen.add(key)
        self.flatten_mapping(node)
        node.value = [(yaml.ScalarNode(_TEXT_TAG, self._key(key_node)), value) for key_node, value in node.value]
        return super().construct_mapping(node, deep)

    def _key(self, node: yaml.Node) -> str:
        """A key as text: Kubernetes has no others."""
        key = self.construct_object(node, deep=True)
        if isinstance(key, bool):
            return str(key).lower()
        if isinstance(key, str | int | float):
            return str(node.value)
        raise yaml.constructor.ConstructorError(None, None, f"{key!r} cannot be a key", node.start_mark)

    def construct_text(self, node: yaml.ScalarNode) -> str:
        """A scalar as it is written."""
        return str(self.construct_scalar(node))

    def construct_plain(self, node: yaml.MappingNode | yaml.SequenceNode) -> dict[Any, Any] | list[Any]:
        """A mapping or a sequence, whatever its tag makes of it."""
        if isinstance(node, yaml.MappingNode):
            return self.construct_mapping(node, deep=True)
        return self.construct_sequence(node, deep=True)


for _tag in ("timestamp", "binary"):
    _StrictLoader.add_constructor(f"tag:yaml.org,2002:{_tag}", _StrictLoader.construct_text)
for _tag in ("set", "omap", "pairs"):
    _StrictLoader.add_constructor(f"tag:yaml.org,2002:{_tag}", _StrictLoader.construct_plain)


def load_strict(text: str) -> list[Any]:
    """Read every document of a YAML text; empty documents are left out.

    Raises:
        ManifestError: the text is not YAML, or a mapping has the same key twice.
    """
    try:
        # The loader derives from CSafeLoader: it makes plain data only.
        return [document for document in yaml.load_all(text, Loader=_StrictLoader) if document is not None]
    except yaml.YAMLError as error:
        raise ManifestError(f"invalid YAML: {error}") from error


@dataclass(frozen=True, slots=True)
class Manifests:
    """The objects of one render, in the order of the rendered text.

    Attributes:
        objects: the objects.
        text: what they were read from.
    """

    objects: tuple[Manifest, ...]
    text: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read rendered text.

        Raises:
            ManifestError: invalid YAML, a document that is not a Kubernetes object, or the same object twice.
        """
        seen: set[tuple[str, str, str, str]] = set()
        for document in (documents := load_strict(text)):
            if not isinstance(document, dict):
                raise ManifestError(f"a rendered document is not a Kubernetes object: {str(document)[:80]!r}")
            metadata = document.get("metadata")
            name = metadata.get("name") if isinstance(metadata, dict) else None
            if not all(
                isinstance(value, str) and value for value in (document.get("apiVersion"), document.get("kind"), name)
            ):
                raise ManifestError(f"a rendered object lacks apiVersion, kind or metadata.name: {str(document)[:80]}")
            group = document["apiVersion"].rpartition("/")[0]
            identity = (group, document["kind"], str(document["metadata"].get("namespace", "")), str(name))
            if identity in seen:
                raise ManifestError(f"{describe(document)} is rendered twice")
            seen.add(identity)
        return cls(objects=tuple(documents), text=text)

    def __iter__(self) -> Iterator[Manifest]:
        return iter(self.objects)

    def __len__(self) -> int:
        return len(self.objects)

    def of_kind(self, kind: str) -> list[Manifest]:
        """Every object of a kind, which may be an empty list."""
        return [manifest for manifest in self.objects if manifest["kind"] == kind]

    def named(self, name: str) -> list[Manifest]:
        """Every object of a name, of any kind."""
        return [manifest for manifest in self.objects if manifest["metadata"]["name"] == name]

    def labelled(self, **labels: str) -> list[Manifest]:
        """Every object that carries all labels; `component` stands for `app.kubernetes.io/component` and so on."""
        wanted = {f"app.kubernetes.io/{key}": value for key, value in labels.items()}
        return [
            manifest
            for manifest in self.objects
            if wanted.items() <= (manifest["metadata"].get("labels") or {}).items()
        ]

    def one(self, kind: str, name: str | None = None) -> Manifest:
        """The only object of a kind, or the one of that kind and name.

        Raises:
            ManifestError: no object fits, or several do; the message lists the objects.
        """
        found = [manifest for manifest in self.of_kind(kind) if name is None or manifest["metadata"]["name"] == name]
        if len(found) == 1:
            return found[0]
        wanted = kind if name is None else f"{kind}/{name}"
        if found:
            raise ManifestError(f"{len(found)} objects fit {wanted}: {', '.join(map(describe, found))}")
        available = ", ".join(sorted(map(describe, self.objects))) or "nothing"
        raise ManifestError(f"no {wanted} among the rendered objects: {available}")

    def pod_specs(self) -> Iterator[tuple[Manifest, dict[str, Any]]]:
        """Every object that makes pods, with its pod spec.

        An InferenceService's predictor and a ServingRuntime's spec are the two halves of one pod: KServe's controller
        merges them.
        """
        for manifest in self.objects:
            if (path := POD_SPEC_PATHS.get(manifest["kind"])) is not None:
                spec: Any = manifest
                for step in path:
                    spec = spec.get(step) if isinstance(spec, dict) else None
                if isinstance(spec, dict):
                    yield manifest, spec


def sidecars(spec: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The init containers of a pod spec that stay: Kubernetes starts them in order and keeps them beside the others."""
    return [container for container in spec.get("initContainers", ()) if container.get("restartPolicy") == "Always"]


def dotted(path: Iterable[str | int]) -> str:
    """A path into an object, for people: `spec.containers[0].env`."""
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path).removeprefix(".")


def describe(manifest: Manifest) -> str:
    """An object's kind and name, for people: `ConfigMap/lmcache-config`."""
    return f"{manifest['kind']}/{manifest['metadata']['name']}"
