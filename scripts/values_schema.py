"""Write values.schema.json, files/defaults.json and the chart's README from values.yaml, so that they cannot drift.

    uv run scripts/values_schema.py            write all three
    uv run scripts/values_schema.py --check    fail when a file is not what values.yaml says

What a value may be follows from its default and its comments:

- `# -- text` documents a value; a mapping with it is one value, open to any key (a Kubernetes blob).
- a mapping with a plain comment is a section: its keys are the only ones that it may have.
- `# @schema {...}`, above the text, adds to or replaces what the default implies, as JSON Schema in YAML's flow style.
- `# -- (int) text` gives the type of a value that is empty by default, for the README's table.
- value_shapes.yaml says what values of one name hold wherever they stand, such as tolerations. Definitions of
  Kubernetes that a shape names come from kubernetes_definitions.py.

Values of earlier charts (files/moved-values.yaml) fit the schema too: the chart itself says what to do with them.

files/defaults.json tells the chart which default takes the place of a value that is not there.

README.md.gotmpl holds the README's prose. Its template calls are those of helm-docs, which writes the same file.
"""

import argparse
import json
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from kubernetes_definitions import definitions, referring

CHART = Path(__file__).resolve().parent.parent / "charts" / "lmcache-kserve"
SHAPES: dict[str, dict[str, Any]] = referring(
    yaml.safe_load((Path(__file__).resolve().parent / "value_shapes.yaml").read_text(encoding="utf-8"))
)
DOCUMENTED = "-- "
ANNOTATED = "@schema "
TYPE_HINT = re.compile(r"^\(([a-z]+)\) ")
CALL = re.compile(r'{{ template "chart\.(\w+)" \. }}')
TABLE_TYPES = {"boolean": "bool", "integer": "int", "number": "float", "string": "string", "array": "list"}
TYPES = {
    "tag:yaml.org,2002:bool": "boolean",
    "tag:yaml.org,2002:float": "number",
    "tag:yaml.org,2002:int": "integer",
    "tag:yaml.org,2002:null": "null",
    "tag:yaml.org,2002:str": "string",
}

Schema = dict[str, Any]


class ValuesError(Exception):
    """A value that its comments do not describe."""


@dataclass(frozen=True, slots=True)
class Comment:
    """The comment above a key.

    Attributes:
        text: what it says, in one line.
        documented: whether it is the documentation of a value (`# --`), not the heading of a section.
        schema: what `# @schema` adds.
        type: the type that the comment names, as the README's table writes types; empty without one.
    """

    text: str
    documented: bool
    schema: Mapping[str, Any]
    type: str = ""


@dataclass(frozen=True, slots=True)
class Row:
    """One row of the README's table.

    Attributes:
        key: path of the value, dotted.
        type: its type, in the words of helm-docs.
        default: its default, as JSON.
        text: its documentation, in one line.
    """

    key: str
    type: str
    default: str
    text: str

    def __str__(self) -> str:
        return f"| {self.key} | {self.type} | `{self.default}` | {self.text} |"


def generate(values: str) -> Schema:
    """Make the schema of a values file.

    Args:
        values: text of values.yaml.

    Raises:
        ValuesError: a value lacks a description, or its annotation is no mapping.
    """
    properties = dict(_properties(_root(values), values.splitlines(), path=()))
    # Helm adds it to the values of every chart that another one depends on.
    properties["global"] = {"description": "Values that Helm shares with a parent chart; not used.", "type": "object"}
    properties["enabled"] = {"description": "For the condition of a parent chart.", "type": "boolean"}
    shapes = {name: shape for name, shape in SHAPES.items() if "$ref" in json.dumps(_shape(name))}
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "Values of the Helm chart lmcache-kserve",
        "type": "object",
        "additionalProperties": False,
        "properties": properties,
        "definitions": shapes | definitions({"properties": properties, "shapes": shapes}),
    }


def committed(chart: Path) -> Schema:
    """The schema that belongs into a chart's folder.

    Raises:
        ValuesError: as `generate`.
    """
    schema = generate((chart / "values.yaml").read_text(encoding="utf-8"))
    return admit(schema, (chart / "files" / "moved-values.yaml").read_text(encoding="utf-8"))


def admit(schema: Schema, earlier: str) -> Schema:
    """Let values of earlier charts pass.

    Args:
        schema: what `generate` made; changed in place.
        earlier: text of files/moved-values.yaml.

    Returns:
        The same schema.
    """
    loaded = yaml.safe_load(earlier)
    sentences = {old: f"Has moved to {new}." for old, new in loaded["moved"].items()}
    sentences |= {old: f"Is always {json.dumps(rule['only'])}." for old, rule in loaded["removed"].items()}
    for path, sentence in sentences.items():
        *sections, key = path.split(".")
        node = schema
        for section in sections:
            node = node["properties"].setdefault(section, _section("Holds values of earlier charts."))
        node["properties"][key] = {"description": sentence}
    return schema


def defaults(values: str) -> str:
    """Make the text of files/defaults.json.

    Args:
        values: text of values.yaml.

    Returns:
        JSON with `defaults` (values.yaml itself), `maps` (paths that become empty maps where they are not there: a user
        who removes one means that it is empty) and `optional` (paths that may be away).

    Raises:
        ValuesError: a value lacks a description.
    """
    maps, optional = [], []
    for path, comment, value in _documented(_root(values), values.splitlines(), path=()):
        if _nullable(value, comment):
            optional.append(path)
        elif isinstance(value, yaml.MappingNode):
            maps.append(path)
    known = {"defaults": yaml.safe_load(values), "maps": maps, "optional": optional}
    return json.dumps(known, indent=1, ensure_ascii=False) + "\n"


def _nullable(node: yaml.Node, comment: Comment) -> bool:
    return "null" in comment.schema.get("type", ()) or node.tag == "tag:yaml.org,2002:null"


def render(schema: Schema) -> str:
    """The schema as the text of values.schema.json."""
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def _section(description: str) -> Schema:
    """A mapping that has no other keys than those that are added to it."""
    return {"description": description, "type": "object", "additionalProperties": False, "properties": {}}


def readme(template: str, values: str, chart: Mapping[str, Any]) -> str:
    """Make the chart's README.

    Args:
        template: text of README.md.gotmpl.
        values: text of values.yaml.
        chart: Chart.yaml.

    Raises:
        ValuesError: a value lacks a description.
    """
    rows = [*map(str, _rows(_root(values), values.splitlines()))]
    table = "\n".join(["| Key | Type | Default | Description |", "|-----|------|---------|-------------|", *rows])
    parts = {
        "header": f"# {chart['name']}",
        "description": chart["description"],
        "version": chart["version"],
        "kubeVersion": chart["kubeVersion"],
        "valuesTable": table,
    }
    return CALL.sub(lambda call: str(parts[call[1]]), template)


def _root(values: str) -> yaml.MappingNode:
    root = yaml.compose(values, Loader=yaml.SafeLoader)
    if not isinstance(root, yaml.MappingNode):
        raise ValuesError("values.yaml is not a mapping")
    return root


def _documented(
    node: yaml.MappingNode, lines: list[str], *, path: tuple[str, ...]
) -> Iterator[tuple[str, Comment, yaml.Node]]:
    """Every value that is no section: its path, what its comment says, and its default."""
    for key, value in node.value:
        where = (*path, key.value)
        comment = _comment(lines, key.start_mark.line, where)
        if isinstance(value, yaml.MappingNode) and not comment.documented:
            yield from _documented(value, lines, path=where)
        else:
            yield ".".join(where), comment, value


def _rows(node: yaml.MappingNode, lines: list[str]) -> Iterator[Row]:
    for path, comment, value in _documented(node, lines, path=()):
        default = yaml.safe_load(yaml.serialize(value))
        kind = "object" if isinstance(value, yaml.MappingNode) else TABLE_TYPES.get(_type(value), "")
        shown = "nil" if default is None else json.dumps(default, separators=(",", ":"), sort_keys=True)
        yield Row(key=path, type=comment.type or kind, default=shown, text=comment.text)


def _type(node: yaml.Node) -> str:
    return "array" if isinstance(node, yaml.SequenceNode) else TYPES.get(node.tag, "")


def _properties(node: yaml.MappingNode, lines: list[str], *, path: tuple[str, ...]) -> Iterator[tuple[str, Schema]]:
    for key, value in node.value:
        where = (*path, key.value)
        yield key.value, _schema(value, _comment(lines, key.start_mark.line, where), lines, path=where)


def _schema(node: yaml.Node, comment: Comment, lines: list[str], *, path: tuple[str, ...]) -> Schema:
    described: Schema = {"description": comment.text}
    shape = {} if "enum" in comment.schema else _shape(path[-1])
    if isinstance(node, yaml.MappingNode):
        if comment.documented:
            return {**described, "type": "object", **shape, **comment.schema}
        if not node.value:
            raise ValuesError(f"{'.'.join(path)} is empty and has no documentation (`# -- ...`)")
        section = {"type": "object", "additionalProperties": False, **comment.schema}
        return {**described, **section, "properties": dict(_properties(node, lines, path=path))}
    if not comment.documented:
        raise ValuesError(f"{'.'.join(path)} has no documentation (`# -- ...`)")
    if isinstance(node, yaml.SequenceNode):
        return {**described, "type": "array", **shape, **comment.schema}
    if (kind := TYPES[node.tag]) == "null" and "type" not in comment.schema:
        raise ValuesError(f"{'.'.join(path)} is empty by default: say its type (`# @schema {{type: ...}}`)")
    if "enum" in comment.schema:
        return {**described, **comment.schema}
    return {**described, "type": kind, **shape, **comment.schema}


def _shape(name: str) -> Schema:
    """What values of a name hold; a large shape stands in the schema once."""
    shape = SHAPES.get(name, {})
    return {"allOf": [{"$ref": f"#/definitions/{name}"}]} if {"items", "properties", "$ref"} & shape.keys() else shape


def _comment(lines: list[str], line: int, path: tuple[str, ...]) -> Comment:
    """The comment that stands directly above `line`."""
    block: list[str] = []
    for text in reversed(lines[:line]):
        if not text.lstrip().startswith("#"):
            break
        block.insert(0, text.lstrip().removeprefix("#").strip())
    annotations = [text.removeprefix(ANNOTATED) for text in block if text.startswith(ANNOTATED)]
    words = [text for text in block if not text.startswith(ANNOTATED)]
    if not words:
        raise ValuesError(f"{'.'.join(path)} has no comment")
    schema = referring(yaml.safe_load(annotations[0])) if annotations else {}
    if len(annotations) > 1 or not isinstance(schema, dict):
        raise ValuesError(f"{'.'.join(path)}: `# @schema` is one mapping in one line")
    documented = words[0].startswith(DOCUMENTED)
    text = " ".join(words).removeprefix(DOCUMENTED)
    hint = TYPE_HINT.match(text) if documented else None
    text = text[hint.end() :] if hint else text
    return Comment(text=text, documented=documented, schema=schema, type=hint[1] if hint else "")


def main() -> int:
    """Write or check the schema, the defaults and the README."""
    parser = argparse.ArgumentParser(description="Write what repeats values.yaml.")
    parser.add_argument("--check", action="store_true", help="fail when one of them is not up to date")
    options = parser.parse_args()
    values, template = ((CHART / name).read_text(encoding="utf-8") for name in ("values.yaml", "README.md.gotmpl"))
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text(encoding="utf-8"))
    try:
        texts = {
            "values.schema.json": render(committed(CHART)),
            "files/defaults.json": defaults(values),
            "README.md": readme(template, values, chart),
        }
    except ValuesError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    stale = [name for name, text in texts.items() if not _says(CHART / name, text)]
    if options.check:
        for name in stale:
            sys.stderr.write(f"{name} is not what values.yaml says: run scripts/values_schema.py\n")
        return int(bool(stale))
    for name in stale:
        (CHART / name).write_text(texts[name], encoding="utf-8")
    return 0


def _says(file: Path, text: str) -> bool:
    return file.is_file() and file.read_text(encoding="utf-8") == text


if __name__ == "__main__":
    sys.exit(main())
