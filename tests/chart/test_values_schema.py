"""values.schema.json: refuses what is mistyped or misspelt, describes each value, and cannot drift from values.yaml."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
from rendering import CHART, SCENARIO_FILES, default_values, moved_values, scenario_name, scenario_values

from lmcache_kserve.chart.helm import Helm, HelmError

pytestmark = pytest.mark.every_helm

# Objects that Kubernetes or LMCache defines: the rendered result is judged by their schemas, not by ours.
PASSED_THROUGH = (
    "affinity",
    "annotations",
    "behavior",
    "commonAnnotations",
    "commonLabels",
    "config",
    "deploymentStrategy",
    "dnsConfig",
    "extra",
    "global",
    "kvTransferConfig",
    "labels",
    "lifecycle",
    "limits",
    "liveness",
    "nodeSelector",
    "podAnnotations",
    "podLabels",
    "podSecurityContext",
    "readiness",
    "requests",
    "resources",
    "securityContext",
    "startup",
    "updateStrategy",
    "waitResources",
)


FOR_PARENTS = {"enabled", "global"}
"""Keys that Helm, or a parent chart's condition, puts beside the values."""


def schema() -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((CHART / "values.schema.json").read_text(encoding="utf-8"))
    return loaded


def resolve(node: dict[str, Any]) -> dict[str, Any]:
    """Follow a reference into the schema's own definitions."""
    while (reference := node.get("$ref")) is not None:
        assert reference.startswith("#/definitions/"), "Helm would fetch it over the network"
        node = schema()["definitions"][reference.removeprefix("#/definitions/")] | {
            key: value for key, value in node.items() if key != "$ref"
        }
    return node


def leaves(values: dict[str, Any], path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every value that is set, at the level where this chart stops deciding what is inside."""
    for key, value in values.items():
        if isinstance(value, dict) and value and key not in PASSED_THROUGH:
            yield from leaves(value, (*path, key))
        else:
            yield (*path, key), value


def objects(node: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every object of the schema with declared properties."""
    node = resolve(node)
    if "properties" in node:
        yield path, node
        for name, child in node["properties"].items():
            yield from objects(child, f"{path}.{name}".removeprefix("."))


def test_the_schema_is_the_draft_that_both_helms_understand() -> None:
    assert schema()["$schema"] == "http://json-schema.org/draft-07/schema#"
    jsonschema_rs.meta.validate(schema())


def test_the_schema_needs_nothing_from_elsewhere() -> None:
    text = json.dumps(schema())
    assert '"$ref": "http' not in text


def test_every_object_of_the_schema_refuses_unknown_keys() -> None:
    lax = [path for path, node in objects(schema()) if node.get("additionalProperties") is not False]
    assert [path for path in lax if path.rpartition(".")[2] not in PASSED_THROUGH] == []


def test_every_value_has_a_type_and_a_description_in_the_schema() -> None:
    undescribed = []
    for path, _ in leaves(default_values()):
        node = schema()
        for step in path:
            node = resolve(node)["properties"][step]
        node = resolve(node)
        if not node.get("description") or not ({"type", "enum", "oneOf", "anyOf"} & set(node)):
            undescribed.append(".".join(path))
    assert undescribed == []


def test_every_empty_map_or_list_shows_an_example() -> None:
    bare = []
    for path, value in leaves(default_values()):
        node = schema()
        for step in path:
            node = resolve(node)["properties"][step]
        kind = node.get("type", [])
        kinds = {kind} if isinstance(kind, str) else set(kind)
        if not value and kinds & {"array", "object"} and not re.search(r"`[{\[].*[}\]]`", node["description"]):
            bare.append(".".join(path))
    assert bare == []


def test_the_schema_knows_no_value_that_values_yaml_lacks() -> None:
    unknown: list[str] = []
    for path, node in objects(schema()):
        values: Any = default_values()
        for step in filter(None, path.split(".")):
            values = values.get(step) if isinstance(values, dict) else None
        if isinstance(values, dict) and path.rpartition(".")[2] not in PASSED_THROUGH:
            unknown += [f"{path}.{name}" for name in set(node["properties"]) - set(values) - FOR_PARENTS]
    assert [path for path in unknown if not any(old.startswith(path) for old in moved_values())] == []


def test_every_value_is_used_by_a_template() -> None:
    templates = "".join(file.read_text(encoding="utf-8") for file in (CHART / "templates").rglob("*.*"))
    unused = [".".join(path) for path, _ in leaves(default_values()) if not re.search(rf"\b{path[-1]}\b", templates)]
    assert unused == []


def test_the_defaults_fit_the_schema() -> None:
    jsonschema_rs.Draft7Validator(schema()).validate(default_values())


@pytest.mark.parametrize("file", SCENARIO_FILES, ids=scenario_name)
def test_every_scenario_fits_the_schema(file: Path) -> None:
    jsonschema_rs.Draft7Validator(schema()).validate(scenario_values(file))


BAD_VALUES = [
    ("model.nam=a", "model", "nam"),
    ("model.storage.uri=a", "model.storage", "uri"),
    ("model.aliases[0]=a b", "model.aliases.0", ""),
    ("predictor.timeout=30m", "predictor.timeout", ""),
    ("predictor.resourceClaims[0].name=gpu", "predictor.resourceClaims.0", ""),
    ("predictor.replicas=two", "predictor.replicas", ""),
    ("predictor.replicas=0", "predictor.replicas", ""),
    ("kserve.deploymentMode=Serverless", "kserve.deploymentMode", ""),
    ("kserve.version=latest", "kserve.version", ""),
    ("lmcache.mode=sidecar", "lmcache.mode", ""),
    ("lmcache.chunkSize=0", "lmcache.chunkSize", ""),
    ("lmcache.localCpu.sizeGB=big", "lmcache.localCpu.sizeGB", ""),
    ("lmcache.serde=zip", "lmcache.serde", ""),
    ("remoteBackend.type=memcached", "remoteBackend.type", ""),
    ("remoteBackend.redis.auth.pasword=a", "remoteBackend.redis.auth", "pasword"),
    ("remoteBackend.redis.external.endpoint=redis://host", "remoteBackend.redis.external.endpoint", ""),
    ("remoteBackend.redis.image.repository=", "remoteBackend.redis.image.repository", ""),
    ("remoteBackend.valkey.image.repository=", "remoteBackend.valkey.image.repository", ""),
    ("remoteBackend.redisSentinel.image.repository=", "remoteBackend.redisSentinel.image.repository", ""),
    ("remoteBackend.redisSentinel.proxy.image.repository=", "remoteBackend.redisSentinel.proxy.image.repository", ""),
    ("runtime.server=tgi", "runtime.server", ""),
    ("runtime.port=http", "runtime.port", ""),
    ("networkPolicy.enable=true", "networkPolicy", "enable"),
    ("predictor.podDisruptionBudget.maxUnavailable=half", "predictor.podDisruptionBudget.maxUnavailable", ""),
    ("predictor.resources.requests.cpu=much", "predictor.resources.requests.cpu", ""),
    ("predictor.securityContext.fsGroup=1", "predictor.securityContext", "fsGroup"),
    ("runtime.shm.sizeLimit=", "runtime.shm.sizeLimit", ""),
    ("predictor.hostAliases[0].hostnames[0]=a", "predictor.hostAliases.0", ""),
    ("predictor.dnsConfig.options[0].value=2", "predictor.dnsConfig.options.0.value", ""),
    ("predictor.sidecars[0].image=a", "predictor.sidecars.0", ""),
    (
        "predictor.deploymentStrategy.rollingUpdate.maxSurge=true",
        "predictor.deploymentStrategy.rollingUpdate.maxSurge",
        "",
    ),
    ("predictor.deploymentStrategy.typ=Recreate", "predictor.deploymentStrategy", "typ"),
    ("predictor.lifecycle.prestop=a", "predictor.lifecycle", "prestop"),
    ("runtime.probes.startup.periodSeconds=1s", "runtime.probes.startup.periodSeconds", ""),
    ("runtime.probes.liveness.failureTreshold=9", "runtime.probes.liveness", "failureTreshold"),
    ("remoteBackend.redis.resources.limit.memory=1Gi", "remoteBackend.redis.resources", "limit"),
    ("tests.resources.limits.cpu=true", "tests.resources.limits.cpu", ""),
    ("unknown=true", "", "unknown"),
    ("fullnameOverride=1a", "fullnameOverride", ""),
]


@pytest.mark.parametrize(("assignment", "path", "key"), BAD_VALUES, ids=[assignment for assignment, _, _ in BAD_VALUES])
def test_a_wrong_value_is_refused_with_its_path(helm: Helm, assignment: str, path: str, key: str) -> None:
    with pytest.raises(HelmError) as caught:
        helm.template(CHART, release="llm", namespace="models", set_values=[assignment])
    message = str(caught.value)
    # Helm 3 writes `- a.b: ...`, Helm 4 `- at '/a/b': ...`.
    assert f"- {path or '(root)'}: " in message or f"- at '/{path.replace('.', '/')}': ".replace("'/'", "''") in message
    assert key in message


@pytest.fixture(scope="session")
def package(helm: Helm, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return helm.package(CHART, tmp_path_factory.mktemp("package"))


@pytest.mark.parametrize("assignment", ["model.nam=a", "predictor.replicas=two"])
def test_the_packaged_chart_refuses_wrong_values_too(helm: Helm, package: Path, assignment: str) -> None:
    with pytest.raises(HelmError, match="do not fit the chart's schema"):
        helm.template(package, release="llm", namespace="models", set_values=[assignment])


def test_the_packaged_chart_renders_what_the_folder_renders(helm: Helm, package: Path) -> None:
    values = {"remoteBackend": {"redis": {"auth": {"existingSecret": "redis"}}}}
    packed = helm.template(package, release="llm", namespace="models", values=values)
    assert packed.text == helm.template(CHART, release="llm", namespace="models", values=values).text
