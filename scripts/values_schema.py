"""Write values.schema.json from values.yaml, so that the two cannot drift.

    uv run scripts/values_schema.py            write it
    uv run scripts/values_schema.py --check    fail when it is not what values.yaml says

What a value may be follows from its default and its comments:

- `# -- text` documents a value; a mapping with it is one value, open to any key (a Kubernetes blob).
- a mapping with a plain comment is a section: its keys are the only ones that it may have.
- `# @schema {...}`, above the text, adds to or replaces what the default implies, as JSON Schema in YAML's flow style.

Values of earlier charts (files/moved-values.yaml) fit the schema too: the chart itself says what to do with them.
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

CHART = Path(__file__).resolve().parent.parent / "charts" / "lmcache-kserve"
DOCUMENTED = "-- "
ANNOTATED = "@schema "
# helm-docs: the type that its table shows for a value without a default.
TYPE_HINT = re.compile(r"^\([a-z]+\) ")
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
    """

    text: str
    documented: bool
    schema: Mapping[str, Any]


def generate(values: str) -> Schema:
    """Make the schema of a values file.

    Args:
        values: text of values.yaml.

    Raises:
        ValuesError: a value lacks a description, or its annotation is no mapping.
    """
    root = yaml.compose(values, Loader=yaml.SafeLoader)
    if not isinstance(root, yaml.MappingNode):
        raise ValuesError("values.yaml is no mapping")
    lines = values.splitlines()
    properties = dict(_properties(root, lines, path=()))
    # Helm adds it to the values of every chart that another one depends on.
    properties["global"] = {"description": "Values that Helm shares with a parent chart; not used.", "type": "object"}
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "Values of the Helm chart lmcache-kserve",
        "type": "object",
        "additionalProperties": False,
        "properties": properties,
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


def render(schema: Schema) -> str:
    """The schema as the text of values.schema.json."""
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def _section(description: str) -> Schema:
    """A mapping that has no other keys than those that are added to it."""
    return {"description": description, "type": "object", "additionalProperties": False, "properties": {}}


def _properties(node: yaml.MappingNode, lines: list[str], *, path: tuple[str, ...]) -> Iterator[tuple[str, Schema]]:
    for key, value in node.value:
        where = (*path, key.value)
        yield key.value, _schema(value, _comment(lines, key.start_mark.line, where), lines, path=where)


def _schema(node: yaml.Node, comment: Comment, lines: list[str], *, path: tuple[str, ...]) -> Schema:
    described: Schema = {"description": comment.text}
    if isinstance(node, yaml.MappingNode):
        if comment.documented:
            return {**described, "type": "object", **comment.schema}
        if not node.value:
            raise ValuesError(f"{'.'.join(path)} is empty and has no documentation (`# -- ...`)")
        section = {"type": "object", "additionalProperties": False, **comment.schema}
        return {**described, **section, "properties": dict(_properties(node, lines, path=path))}
    if not comment.documented:
        raise ValuesError(f"{'.'.join(path)} has no documentation (`# -- ...`)")
    if isinstance(node, yaml.SequenceNode):
        return {**described, "type": "array", **comment.schema}
    if (kind := TYPES[node.tag]) == "null" and "type" not in comment.schema:
        raise ValuesError(f"{'.'.join(path)} is empty by default: say its type (`# @schema {{type: ...}}`)")
    if "enum" in comment.schema:
        return {**described, **comment.schema}
    return {**described, "type": kind, **comment.schema}


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
    schema = yaml.safe_load(annotations[0]) if annotations else {}
    if len(annotations) > 1 or not isinstance(schema, dict):
        raise ValuesError(f"{'.'.join(path)}: `# @schema` is one mapping in one line")
    documented = words[0].startswith(DOCUMENTED)
    text = " ".join(words).removeprefix(DOCUMENTED)
    return Comment(text=TYPE_HINT.sub("", text) if documented else text, documented=documented, schema=schema)


def main() -> int:
    """Write or check the schema."""
    parser = argparse.ArgumentParser(description="Write values.schema.json from values.yaml.")
    parser.add_argument("--check", action="store_true", help="fail when values.schema.json is not up to date")
    options = parser.parse_args()
    target = CHART / "values.schema.json"
    try:
        text = render(committed(CHART))
    except ValuesError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    if not options.check:
        target.write_text(text, encoding="utf-8")
    elif not target.is_file() or target.read_text(encoding="utf-8") != text:
        sys.stderr.write("values.schema.json is not what values.yaml says: run scripts/values_schema.py\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
