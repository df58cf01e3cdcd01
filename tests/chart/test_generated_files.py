"""What is generated from values.yaml, or repeats it for a tool's sake, says the same as values.yaml."""

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import jsonschema_rs
import pytest
import yaml
from loading import module_at
from rendering import CHART, REPOSITORY, Render, default_values, scenario_name, scenario_values

CI_FILES = tuple(sorted((CHART / "ci").glob("*-values.yaml")))
CHART_YAML = yaml.safe_load((CHART / "Chart.yaml").read_text(encoding="utf-8"))
ANNOTATIONS = CHART_YAML["annotations"]


@pytest.fixture(scope="module")
def generator() -> ModuleType:
    module_at(REPOSITORY / "scripts" / "kubernetes_definitions.py")
    return module_at(REPOSITORY / "scripts" / "values_schema.py")


def documented(schema: dict[str, Any], values: Any, path: str = "") -> Iterator[tuple[str, Any, str]]:
    """Every value with a row of its own: key, default, description."""
    for name, node in schema["properties"].items():
        key = f"{path}.{name}".removeprefix(".")
        if "properties" in node:
            yield from documented(node, values[name], key)
        elif key not in {"enabled", "global"}:
            yield key, values[name], node["description"]


def test_the_schema_is_what_values_yaml_says(generator: ModuleType) -> None:
    generated = generator.render(generator.committed(CHART))
    committed = (CHART / "values.schema.json").read_text(encoding="utf-8")
    assert committed == generated, "run scripts/values_schema.py"


def test_the_defaults_that_the_chart_reads_are_those_of_values_yaml(generator: ModuleType) -> None:
    values = (CHART / "values.yaml").read_text(encoding="utf-8")
    committed = (CHART / "files" / "defaults.json").read_text(encoding="utf-8")
    assert committed == generator.defaults(values), "run scripts/values_schema.py"
    assert json.loads(committed)["defaults"] == default_values()


def test_the_readme_lists_every_value_and_no_other(generator: ModuleType) -> None:
    schema = generator.generate((CHART / "values.yaml").read_text(encoding="utf-8"))
    expected = []
    for key, default, description in documented(schema, default_values()):
        shown = "nil" if default is None else json.dumps(default, separators=(",", ":"), sort_keys=True)
        expected.append((key, f"`{shown}`", description))
    readme = (CHART / "README.md").read_text(encoding="utf-8")
    rows = [line.strip("| ").split(" | ", 3) for line in readme.partition("## Values")[2].splitlines() if "`" in line]
    assert [(key, default, text) for key, _, default, text in rows] == expected, "run scripts/values_schema.py"


def test_the_readme_is_what_its_template_and_values_yaml_say(generator: ModuleType) -> None:
    values, template = ((CHART / name).read_text(encoding="utf-8") for name in ("values.yaml", "README.md.gotmpl"))
    committed = (CHART / "README.md").read_text(encoding="utf-8")
    assert committed == generator.readme(template, values, CHART_YAML), "run scripts/values_schema.py"
    assert "{{" not in committed.partition("## Values")[0]


@pytest.mark.parametrize(
    ("values", "complaint"),
    [
        ("a: 1\n", "a has no comment"),
        ("# plain\na: 1\n", "a has no documentation"),
        ("# plain\na: {}\n", "a is empty and has no documentation"),
        ("# -- text\na: null\n", "a is empty by default"),
        ("# @schema [1]\n# -- text\na: 1\n", "is one mapping in one line"),
        ("# section\na:\n  b: 1\n", "a.b has no comment"),
        ("- 1\n", "is not a mapping"),
    ],
)
def test_a_value_that_is_not_described_is_named(generator: ModuleType, values: str, complaint: str) -> None:
    with pytest.raises(generator.ValuesError, match=complaint):
        generator.generate(values)


def test_the_annotation_of_a_value_wins_over_what_its_default_implies(generator: ModuleType) -> None:
    values = (
        "# section\na:\n  # @schema {type: [integer, 'null'], minimum: 1}\n  # -- (int) One\n  # line.\n  b: null\n"
    )
    (section,) = [generator.generate(values)["properties"]["a"]]
    assert section["additionalProperties"] is False
    assert section["properties"]["b"] == {"description": "One line.", "type": ["integer", "null"], "minimum": 1}


@pytest.mark.parametrize("file", CI_FILES, ids=scenario_name)
def test_a_ci_file_runs_on_cpu_as_values_cpu_yaml_does(render: Render, file: Path) -> None:
    # chart-testing installs with one values file, so each repeats what makes a predictor run without a GPU.
    cpu, ci = copy.deepcopy(scenario_values(REPOSITORY / "values" / "cpu.yaml")), scenario_values(file)
    # The model comes with the image, so that no hub has to be reached.
    cpu["model"]["id"] = "/models/tiny"
    cpu["runtime"]["image"]["tag"] += "-tiny"
    # A second replica costs a minute, and only what both share gives it something to do.
    placement = ci.get("lmcache", {}).get("multiprocess", {}).get("placement")
    shared = render(files=[file]).labelled(component="remote-backend") or placement == "daemonset"
    cpu["predictor"]["replicas"] = 2 if shared else 1
    assert {key: ci[key] for key in ("model", "runtime", "predictor")} == {
        key: cpu[key] for key in ("model", "runtime", "predictor")
    }


def test_there_is_a_ci_file_for_every_type_of_backend() -> None:
    types = {scenario_values(file)["remoteBackend"]["type"] for file in CI_FILES}
    schema = json.loads((CHART / "values.schema.json").read_text(encoding="utf-8"))
    assert types == set(schema["properties"]["remoteBackend"]["properties"]["type"]["enum"])


def test_the_cpu_image_is_the_one_released_with_the_chart() -> None:
    image = scenario_values(REPOSITORY / "values" / "cpu.yaml")["runtime"]["image"]
    assert image["tag"] == CHART_YAML["appVersion"]


def test_artifact_hub_is_told_the_images_that_the_chart_starts() -> None:
    backends = default_values()["remoteBackend"]
    started = {value for key, value in ANNOTATIONS.items() if key.startswith("lmcache-kserve/image-")}
    images = [*(backends[kind]["image"] for kind in ("redis", "valkey", "redisSentinel"))]
    images.append(backends["redisSentinel"]["proxy"]["image"])
    images.append(backends["exporter"]["image"])
    started |= {f"{image['repository']}:{image['tag']}" for image in images}
    assert {entry["image"] for entry in yaml.safe_load(ANNOTATIONS["artifacthub.io/images"])} == started


def test_every_server_has_an_image() -> None:
    schema = json.loads((CHART / "values.schema.json").read_text(encoding="utf-8"))
    for server in schema["properties"]["runtime"]["properties"]["server"]["enum"]:
        assert f"lmcache-kserve/image-{server}" in ANNOTATIONS


def test_the_definitions_of_kubernetes_admit_null_for_what_is_not_required() -> None:
    definitions = json.loads((CHART / "values.schema.json").read_text(encoding="utf-8"))["definitions"]
    refused = [
        f"{name}.{field}"
        for name, definition in definitions.items()
        if name.startswith("kubernetes.")
        for field, content in definition.get("properties", {}).items()
        if field not in definition.get("required", ())
        if not jsonschema_rs.Draft7Validator({"definitions": definitions, "allOf": [content]}).is_valid(None)
    ]
    assert len(definitions) > 50
    assert refused == []
