"""Kubernetes' own definitions as definitions of a chart's schema, so that Helm refuses what an API server would.

Source: the strict schemas of the newest Kubernetes in the package kubernetes-validate, `_definitions.json`. They admit
null for every field, as an API server does.
"""

import json
import re
from collections.abc import Iterator, Mapping
from importlib import resources
from typing import Any

Schema = dict[str, Any]

MARK = "$kubernetes"
"""Key of a shape that stands for a definition: `{$kubernetes: Probe}`; a group other than core/v1 stands before it."""

MARK_OR_EMPTY = "$kubernetesOrEmpty"
"""The same for a structure of which an empty text leaves a field out, as null does: a parent chart's null gets lost."""

# What schemas of Kubernetes leave to the API server.
# Source: k8s.io/apimachinery/pkg/api/resource/quantity.go.
QUANTITY: Schema = {
    "type": ["number", "string", "null"],
    "minimum": 0,
    "pattern": r"^\+?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][-+]?[0-9]+|[numkMGTPE]|[KMGTPE]i)?$",
}
_SELECTORS = frozenset({"core.v1.NodeSelectorRequirement", "apimachinery.pkg.apis.meta.v1.LabelSelectorRequirement"})
# Kubernetes' schema asks for exactly one of two types that both admit null.
_OWN: dict[str, Schema] = {"Quantity": QUANTITY, "IntOrString": {"type": ["integer", "string", "null"]}}
_OR_EMPTY = ".orEmpty"
_GROUP = "io.k8s.api."
_REFERENCE = "#/$defs/"
_LEFT_OUT = ("description", "format", "default")


def referring(shape: Any) -> Any:  # noqa: ANN401 - a part of a schema
    """A shape with references in the place of marks."""
    if isinstance(shape, list):
        return [referring(one) for one in shape]
    if not isinstance(shape, dict):
        return shape
    if MARK in shape:
        return {"$ref": f"#/definitions/{_name(shape[MARK])}"}
    if MARK_OR_EMPTY in shape:
        return {"$ref": f"#/definitions/{_name(shape[MARK_OR_EMPTY])}{_OR_EMPTY}"}
    return {key: referring(value) for key, value in shape.items()}


def definitions(schema: Schema) -> Schema:
    """Every definition of Kubernetes that a schema refers to, and that these refer to, by its name there.

    Raises:
        KeyError: Kubernetes has no such definition.
    """
    known = _known()
    found: Schema = {}
    wanted = set(_references(schema))
    while missing := {name for name in wanted if name.startswith("kubernetes.")} - found.keys():
        for name in missing:
            found[name] = _OWN.get(name.rpartition(".")[2]) or _definition(name, known)
            wanted |= set(_references(found[name]))
    return dict(sorted(found.items()))


def _definition(name: str, known: Mapping[str, Schema]) -> Schema:
    definition: Schema = _short(known[_full(name.removesuffix(_OR_EMPTY))])
    if name.removeprefix("kubernetes.") in _SELECTORS:
        # The chart itself says of a Boolean which word of YAML to quote.
        definition["properties"]["values"]["items"] = {"type": ["string", "boolean"]}
    if name.endswith(_OR_EMPTY):
        fields = definition["properties"].items()
        definition["properties"] = {field: {"anyOf": [content, {"const": ""}]} for field, content in fields}
    return definition


def _known() -> Mapping[str, Schema]:
    folder = resources.files("kubernetes_validate") / "kubernetes-json-schema"
    releases = [entry for entry in folder.iterdir() if re.fullmatch(r"v\d+\.\d+\.\d+-local-strict", entry.name)]
    newest = max(releases, key=lambda entry: [int(part) for part in re.findall(r"\d+", entry.name)])
    loaded: dict[str, Mapping[str, Schema]] = json.loads((newest / "_definitions.json").read_text(encoding="utf-8"))
    return loaded["$defs"]


def _name(kind: str) -> str:
    return f"kubernetes.{kind}" if "." in kind else f"kubernetes.core.v1.{kind}"


def _full(name: str) -> str:
    rest = name.removeprefix("kubernetes.")
    return f"io.k8s.{rest}" if rest.startswith("apimachinery.") else f"{_GROUP}{rest}"


def _short(definition: Any) -> Any:  # noqa: ANN401 - a part of a schema
    """A definition without prose, which would make the chart's schema three times as large."""
    if isinstance(definition, list):
        return [_short(one) for one in definition]
    if not isinstance(definition, dict):
        return definition
    kept: Schema = {}
    for key, value in definition.items():
        if key == "$ref":
            target = value.removeprefix(_REFERENCE).removeprefix("io.k8s.").removeprefix("api.")
            kept[key] = f"#/definitions/kubernetes.{target}"
        elif key == "properties":
            kept[key] = {name: _short(one) for name, one in value.items()}
        elif key not in _LEFT_OUT and not key.startswith("x-"):
            kept[key] = _short(value)
    return kept


def _references(schema: Any) -> Iterator[str]:  # noqa: ANN401 - a part of a schema
    """Names of the definitions that a schema refers to."""
    if isinstance(schema, list):
        for one in schema:
            yield from _references(one)
    elif isinstance(schema, dict):
        for key, value in schema.items():
            if key == "$ref" and isinstance(value, str):
                yield value.removeprefix("#/definitions/")
            else:
                yield from _references(value)
