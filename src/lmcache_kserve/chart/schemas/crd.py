"""Turns the schema of a CustomResourceDefinition into a JSON schema that refuses what the API server would refuse.

A CRD's structural schema is close to JSON schema; the differences are fields that the API server drops when they are
not declared (here: refused), and a few `x-kubernetes-` keywords.
"""

from typing import Any

_KEPT = ("enum", "format", "maxItems", "maxLength", "maximum", "minItems", "minLength", "minimum", "pattern", "type")
_COMBINATORS = ("allOf", "anyOf", "oneOf")
_LIST_MAP_KEYS = "x-kubernetes-list-map-keys"


def convert(crd: dict[str, Any], version: str) -> dict[str, Any]:
    """The strict JSON schema of one version of a custom resource.

    Documentation, defaults and CEL rules are left out. The keys of list maps stay, as `x-kubernetes-list-map-keys`:
    server-side apply refuses a list that has the same key twice, and so does `schemas.validate`.

    Raises:
        ValueError: the CRD does not have that version.
    """
    for candidate in crd["spec"]["versions"]:
        if candidate["name"] == version:
            schema = _convert(candidate["schema"]["openAPIV3Schema"])
            schema["properties"] |= {
                "apiVersion": {"const": f"{crd['spec']['group']}/{version}"},
                "kind": {"const": crd["spec"]["names"]["kind"]},
                "metadata": {"type": "object"},
            }
            schema["required"] = sorted({*schema.get("required", ()), "apiVersion", "kind", "metadata"})
            return schema
    raise ValueError(f"{crd['metadata']['name']} has no version {version}")


def _convert(node: dict[str, Any]) -> dict[str, Any]:
    converted: dict[str, Any] = {key: node[key] for key in _KEPT if key in node}
    if node.get("x-kubernetes-int-or-string"):
        # Its anyOf repeats the same two types.
        converted["type"] = ["integer", "string"]
    else:
        converted |= {key: [_convert(branch) for branch in node[key]] for key in _COMBINATORS if key in node}
    if node.get("nullable") and isinstance(converted.get("type"), str):
        converted["type"] = [converted["type"], "null"]
    if "items" in node:
        converted["items"] = _convert(node["items"])
    if _LIST_MAP_KEYS in node:
        converted[_LIST_MAP_KEYS] = node[_LIST_MAP_KEYS]
    return converted | _convert_object(node)


def _convert_object(node: dict[str, Any]) -> dict[str, Any]:
    """The keywords of a node that concern an object's properties."""
    converted: dict[str, Any] = {}
    properties: dict[str, Any] = node.get("properties") or {}
    additional = node.get("additionalProperties")
    if additional is not None:
        converted["additionalProperties"] = _convert(additional) if isinstance(additional, dict) else additional
    elif properties and not node.get("x-kubernetes-preserve-unknown-fields"):
        converted["additionalProperties"] = False
    if properties:
        converted["properties"] = {name: _convert(child) for name, child in properties.items()}
    # The API server fills in defaults before it looks for what is required.
    if required := [name for name in node.get("required", ()) if "default" not in properties.get(name, {})]:
        converted["required"] = required
    return converted
