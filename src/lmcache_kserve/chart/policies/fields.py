"""Walks over the fields of an object."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from lmcache_kserve.chart.manifests import Manifest


def leaves(value: object, path: str = "") -> Iterator[tuple[str, object]]:
    """Every value below `value` that is neither a mapping nor a list, with its path."""
    yield from ((where, child) for where, child in _walk(value, path) if not isinstance(child, dict | list))


def mappings(value: object, path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """`value` and every mapping below it, with its path."""
    yield from ((where, child) for where, child in _walk(value, path) if isinstance(child, dict))


def metadata(manifest: Manifest) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The metadata of an object and of the pods that it makes, with their paths."""
    yield "metadata", manifest["metadata"]
    spec = manifest.get("spec") or {}
    if manifest["kind"] == "InferenceService":
        # A predictor carries the labels and annotations of its pods itself.
        yield "spec.predictor", spec["predictor"]
    elif manifest["kind"] == "ServingRuntime":
        yield "spec", spec
    elif isinstance(template := spec.get("template"), dict):
        yield "spec.template.metadata", template.get("metadata") or {}


def _walk(value: object, path: str) -> Iterator[tuple[str, object]]:
    """`value` and everything below it."""
    yield path, value
    children: Iterable[tuple[str, object]] = ()
    if isinstance(value, dict):
        children = ((f"{path}.{key}".removeprefix("."), child) for key, child in value.items())
    elif isinstance(value, list):
        children = ((f"{path}[{index}]", child) for index, child in enumerate(value))
    for child_path, child in children:
        yield from _walk(child, child_path)
