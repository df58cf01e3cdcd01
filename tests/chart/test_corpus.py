"""Situations that users bring (tests/corpus): each renders what its file says, or is refused with the reason.

A file has these keys: `source` (where the situation comes from), `values`, `files` (names below values/ that lie under
`values`), `api` (`kube` and `kserve`, the versions of the cluster) and `outcome`. The outcome is `refused`, a part of
the message, or `renders`: objects by `kind` and `name`, with a `path` into each and what stands there (`equals`,
`contains`, `absent`).

A path has a step for each key, with a dot between them. A step in brackets is a key with dots. In a list, a step is an
index or the `name` of an item. `contains` is a part of a text, an item of a list, or some keys of a mapping.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
import yaml
from rendering import CHART, REPOSITORY, Render

from lmcache_kserve.chart import schemas
from lmcache_kserve.chart.helm import DEFAULT_KUBE_VERSION, Helm, HelmError

CORPUS = sorted((REPOSITORY / "tests" / "corpus").glob("*.yaml"))
SITUATIONS = pytest.mark.parametrize("file", CORPUS, ids=lambda file: file.stem)
NOTHING = object()
STEP = re.compile(r"\[([^\]]+)\]|([^.\[\]]+)")
EXPECTATION = {
    "type": "object",
    "required": ["kind", "path"],
    "properties": {
        "kind": {"type": "string"},
        "name": {"type": "string"},
        "path": {"type": "string", "minLength": 1},
        "equals": {},
        "contains": {},
        "absent": {"const": True},
    },
    "additionalProperties": False,
    "oneOf": [{"required": [judge]} for judge in ("equals", "contains", "absent")],
}
SCHEMA = {
    "type": "object",
    "required": ["source", "values", "outcome"],
    "properties": {
        "source": {"type": "string", "minLength": 10},
        "values": {"type": "object"},
        "files": {"type": "array", "items": {"type": "string"}, "minItems": 1},
        "api": {
            "type": "object",
            "properties": {"kube": {"type": "string"}, "kserve": {"type": "string"}},
            "additionalProperties": False,
        },
        "outcome": {
            "type": "object",
            "properties": {
                "refused": {"type": "string", "minLength": 10},
                "renders": {"type": "array", "items": EXPECTATION, "minItems": 1},
            },
            "additionalProperties": False,
            "minProperties": 1,
            "maxProperties": 1,
        },
    },
    "additionalProperties": False,
}


def situation(file: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load(file.read_text(encoding="utf-8"))
    return loaded


def at(manifest: Any, path: str) -> Any:
    """What stands at a path, or `NOTHING`."""
    found = manifest
    for whole, word in STEP.findall(path):
        step = whole or word
        if isinstance(found, list):
            named = [item for item in found if isinstance(item, dict) and item.get("name") == step]
            if step.isdecimal():
                named = found[int(step) : int(step) + 1]
            found = named[0] if named else NOTHING
        else:
            found = found.get(step, NOTHING) if isinstance(found, dict) else NOTHING
    return found


def fits(found: Any, expectation: Mapping[str, Any]) -> bool:
    """Whether what stands at a path is what the file says."""
    if "absent" in expectation or found is NOTHING:
        return "absent" in expectation and found is NOTHING
    if "equals" in expectation:
        return bool(found == expectation["equals"])
    wanted = expectation["contains"]
    if isinstance(found, dict):
        return isinstance(wanted, dict) and wanted.items() <= found.items()
    return isinstance(found, str | list) and wanted in found


def options(found: Mapping[str, Any]) -> dict[str, Any]:
    """Helm's options of a situation."""
    return {
        "values_files": [REPOSITORY / "values" / name for name in found.get("files", ())],
        "kube_version": found.get("api", {}).get("kube", DEFAULT_KUBE_VERSION),
    }


@SITUATIONS
def test_a_situation_is_written_as_the_others(file: Path) -> None:
    jsonschema_rs.Draft202012Validator(SCHEMA).validate(situation(file))


@SITUATIONS
@pytest.mark.every_helm
def test_a_situation_ends_as_its_file_says(render: Render, helm: Helm, file: Path) -> None:
    found = situation(file)
    chosen = options(found)
    if (sentence := found["outcome"].get("refused")) is not None:
        with pytest.raises(HelmError) as caught:
            helm.template(CHART, release="llm", namespace="models", values=found["values"], **chosen)
        assert " ".join(sentence.split()) in " ".join(str(caught.value).split())
        return
    manifests = render(
        found["values"],
        files=chosen["values_files"],
        kube_version=chosen["kube_version"],
        kserve_version=found.get("api", {}).get("kserve", schemas.KSERVE_VERSIONS[-1]),
    )
    for expectation in found["outcome"]["renders"]:
        there = at(manifests.one(expectation["kind"], expectation.get("name")), expectation["path"])
        assert fits(there, expectation), f"{expectation}: {there if there is not NOTHING else 'nothing'}"


@pytest.mark.parametrize(
    ("path", "expectation", "fit"),
    [
        ("a.b", {"equals": 1}, True),
        ("a.b", {"equals": 2}, False),
        ("a.c", {"absent": True}, True),
        ("a.b", {"absent": True}, False),
        ("a.c", {"contains": ""}, False),
        ("a.[x.y/z].0", {"equals": "one"}, True),
        ("a.[x.y/z]", {"contains": "one"}, True),
        ("a.[x.y/z].7", {"absent": True}, True),
        ("a.list.second.value", {"contains": "b"}, True),
        ("a.list.second", {"contains": {"value": "abc"}}, True),
        ("a.list.second", {"contains": {"value": "ab"}}, False),
    ],
)
def test_a_path_leads_to_what_a_reader_expects(path: str, expectation: dict[str, Any], *, fit: bool) -> None:
    manifest = {"a": {"b": 1, "x.y/z": ["one"], "list": [{"name": "first"}, {"name": "second", "value": "abc"}]}}
    assert fits(at(manifest, path), expectation) is fit
