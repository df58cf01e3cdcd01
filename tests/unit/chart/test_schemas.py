import gzip
import hashlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from lmcache_kserve.chart import schemas
from lmcache_kserve.chart.manifests import Manifests
from lmcache_kserve.chart.schemas import KSERVE_VERSIONS, KUBERNETES_VERSIONS, SchemaError
from lmcache_kserve.chart.schemas.crd import convert
from lmcache_kserve.errors import HarnessError

FOLDER = Path(schemas.__file__).parent
SCRIPT = Path(__file__).parents[3] / "scripts" / "crd_schemas.py"


def manifests(*objects: dict[str, Any]) -> Manifests:
    return Manifests.parse("\n---\n".join(json.dumps(item) for item in objects))


def problems(*objects: dict[str, Any], kubernetes: str = "1.34", kserve: str = "0.20") -> list[str]:
    found = schemas.violations(manifests(*objects), kubernetes_version=kubernetes, kserve_version=kserve)
    return [str(violation) for violation in found]


def service(predictor: dict[str, Any]) -> dict[str, Any]:
    return {
        "apiVersion": "serving.kserve.io/v1beta1",
        "kind": "InferenceService",
        "metadata": {"name": "llm"},
        "spec": {"predictor": predictor},
    }


def deployment(container: dict[str, Any]) -> dict[str, Any]:
    template = {"spec": {"containers": [{"name": "redis", **container}]}}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "redis"},
        "spec": {"selector": {}, "template": template},
    }


@pytest.mark.parametrize("kserve", KSERVE_VERSIONS)
def test_a_correct_service_fits_every_kserve_release(kserve: str) -> None:
    model = {
        "modelFormat": {"name": "vLLM"},
        "env": [{"name": "PYTHONHASHSEED", "value": "0"}],
        "resources": {"limits": {"cpu": 6, "memory": "24Gi", "nvidia.com/gpu": "1"}},
        "readinessProbe": {"httpGet": {"path": "/health", "port": 8080}},
    }
    predictor = {"minReplicas": 2, "model": model, "securityContext": {"runAsNonRoot": True}}
    assert problems(service(predictor), kserve=kserve) == []


@pytest.mark.parametrize("kubernetes", KUBERNETES_VERSIONS)
def test_a_correct_deployment_fits_every_kubernetes_version(kubernetes: str) -> None:
    container = {"image": "redis:8", "ports": [{"containerPort": 53}, {"containerPort": 53, "protocol": "UDP"}]}
    assert problems(deployment(container), kubernetes=kubernetes) == []


@pytest.mark.parametrize(
    ("predictor", "problem"),
    [
        ({"minReplica": 2}, "spec.predictor: Additional properties are not allowed ('minReplica' was unexpected)"),
        ({"minReplicas": "2"}, 'spec.predictor.minReplicas: "2" is not of type "integer"'),
        (
            {"model": {"modelFormat": {"name": "vLLM"}, "env": [{"name": "A", "value": 0}]}},
            'spec.predictor.model.env[0].value: 0 is not of type "string"',
        ),
        (
            {"model": {"modelFormat": {"name": "vLLM"}, "env": [{"name": "A"}, {"name": "A"}]}},
            "spec.predictor.model.env: duplicate entry for name=A",
        ),
        ({"volumes": [{"emptyDir": {}}]}, 'spec.predictor.volumes[0]: "name" is a required property'),
        (
            {"model": {"modelFormat": {"name": "vLLM"}, "resources": {"limits": {"memory": "many"}}}},
            'spec.predictor.model.resources.limits.memory: "many" does not match',
        ),
    ],
)
def test_what_kserves_api_would_refuse_or_drop_is_reported(predictor: dict[str, Any], problem: str) -> None:
    (found,) = problems(service(predictor))
    assert found.startswith(f"InferenceService/llm {problem}")


@pytest.mark.parametrize(
    ("container", "problem"),
    [
        ({"imagePolicy": "Always"}, "containers[0]: Additional properties are not allowed"),
        ({"env": [{"name": "A", "value": True}]}, "containers[0].env[0].value: true is not of type"),
        ({"env": [{"name": "A"}, {"name": "B"}, {"name": "A"}]}, "containers[0].env: duplicate entry for name=A"),
        (
            {"ports": [{"containerPort": 1}, {"containerPort": 1, "protocol": "TCP"}]},
            "containers[0].ports: duplicate entry for containerPort=1, protocol=TCP",
        ),
        (
            {"volumeMounts": [{"name": "a", "mountPath": "/a"}, {"name": "b", "mountPath": "/a"}]},
            "containers[0].volumeMounts: duplicate entry for mountPath=/a",
        ),
    ],
)
def test_what_kubernetes_would_refuse_or_drop_is_reported(container: dict[str, Any], problem: str) -> None:
    (found,) = problems(deployment(container))
    assert found.startswith(f"Deployment/redis spec.template.spec.{problem}")


def test_a_runtime_is_judged_too() -> None:
    runtime = {"apiVersion": "serving.kserve.io/v1alpha1", "kind": "ServingRuntime", "metadata": {"name": "llm"}}
    assert problems({**runtime, "spec": {}}) == ['ServingRuntime/llm spec: "containers" is a required property']


def test_all_problems_of_all_objects_come_in_one_error() -> None:
    objects = manifests(service({"a": 1, "minReplicas": "2"}), deployment({"b": 1}))
    with pytest.raises(SchemaError) as caught:
        schemas.validate(objects, kubernetes_version="1.34", kserve_version="0.20.0")
    assert [violation.path for violation in caught.value.violations] == [
        "spec.predictor",
        "spec.predictor.minReplicas",
        "spec.template.spec.containers[0]",
    ]
    assert str(caught.value).count("\n- ") == 3


@pytest.mark.parametrize("field", ["stringData", "data"])
def test_a_secrets_value_is_not_repeated(field: str) -> None:
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "redis"}, field: {"password": 12345678}}
    (found,) = problems(secret)
    assert found.startswith(f"Secret/redis {field}.password: ")
    assert "string" in found
    assert "12345678" not in found


def test_what_belongs_to_an_operator_is_known_by_its_group() -> None:
    groups = {"v1": False, "apps/v1": False, "networking.k8s.io/v1": False, "serving.kserve.io/v1beta1": False}
    groups |= {"monitoring.coreos.com/v1": True, "apps.example.com/v1": True}
    judged = {group: schemas.belongs_to_an_operator({"apiVersion": group, "kind": "A"}) for group in groups}
    assert judged == groups


def test_a_long_instance_does_not_flood_the_message() -> None:
    (found,) = problems(service({"model": {"modelFormat": "x" * 1000}}))
    assert len(found) < 400


@pytest.mark.parametrize(
    "api_version", ["monitoring.coreos.com/v1", "apps.example.com/v1", "serving.kserve.io/v9", "batch/v9"]
)
def test_a_kind_without_a_schema_is_a_problem_unless_it_is_named(api_version: str) -> None:
    objects = manifests({"apiVersion": api_version, "kind": "Deployment", "metadata": {"name": "a"}})
    with pytest.raises(SchemaError, match="know no such kind"):
        schemas.validate(objects, kubernetes_version="1.34", kserve_version="0.20")
    schemas.validate(objects, kubernetes_version="1.34", kserve_version="0.20", without_schema=["Deployment"])


def test_versions_are_picked_by_the_parts_that_are_given() -> None:
    for kubernetes in ("1.34", "1.34.2", "v1.34.2"):
        assert problems(deployment({}), kubernetes=kubernetes) == []
    for kserve in ("0.20", "0.20.0", "v0.20.0"):
        assert problems(service({}), kserve=kserve) == []


@pytest.mark.parametrize(
    ("kubernetes", "kserve", "message"),
    [
        ("1.99", "0.20", "no schemas of Kubernetes 1.99"),
        ("1.34", "0.1.0", "no schemas of KServe 0.1.0; there are 0.15"),
    ],
)
def test_an_unknown_version_is_an_error_that_lists_the_known(kubernetes: str, kserve: str, message: str) -> None:
    with pytest.raises(HarnessError, match=message):
        problems(kubernetes=kubernetes, kserve=kserve)


def test_versions_are_in_numeric_order() -> None:
    assert KSERVE_VERSIONS[-1] == "0.20.0"
    assert KUBERNETES_VERSIONS.index("1.32") < KUBERNETES_VERSIONS.index("1.37")


def test_newer_kserve_releases_know_more() -> None:
    predictor = {"storageUris": [{"uri": "hf://a/b"}]}
    assert problems(service(predictor), kserve="0.16.0") == []
    assert problems(service(predictor), kserve="0.15.2")


def test_stored_schemas_are_the_generated_ones(pytestconfig: pytest.Config) -> None:
    checksums = json.loads((FOLDER / "checksums.json").read_text(encoding="utf-8"))
    stored = {
        str(file.relative_to(FOLDER)): hashlib.sha256(gzip.decompress(file.read_bytes())).hexdigest()
        for file in FOLDER.rglob("*.json.gz")
    }
    assert stored == checksums
    clones = [pytestconfig.getoption(f"--{name}-clone") for name in ("kserve", "operator", "keda")]
    if all(clones):
        check = [sys.executable, SCRIPT, *clones, "--check"]
        done = subprocess.run(check, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


def crd(spec: dict[str, Any]) -> dict[str, Any]:
    schema = {"type": "object", "properties": {"spec": spec, "metadata": {"type": "object"}}}
    return {
        "metadata": {"name": "things.example.com"},
        "spec": {
            "group": "example.com",
            "names": {"kind": "Thing"},
            "versions": [{"name": "v1", "schema": {"openAPIV3Schema": schema}}],
        },
    }


@pytest.mark.parametrize(
    ("node", "converted"),
    [
        ({"type": "string", "description": "d", "default": "x"}, {"type": "string"}),
        ({"type": "string", "nullable": True}, {"type": ["string", "null"]}),
        (
            {"x-kubernetes-int-or-string": True, "anyOf": [{"type": "integer"}, {"type": "string"}], "pattern": "a"},
            {"type": ["integer", "string"], "pattern": "a"},
        ),
        (
            {"type": "object", "properties": {"default": {"type": "string"}}},
            {"type": "object", "properties": {"default": {"type": "string"}}, "additionalProperties": False},
        ),
        (
            {"type": "object", "properties": {"a": {}}, "x-kubernetes-preserve-unknown-fields": True},
            {"type": "object", "properties": {"a": {}}},
        ),
        (
            {"type": "object", "additionalProperties": {"type": "string", "description": "d"}},
            {"type": "object", "additionalProperties": {"type": "string"}},
        ),
        ({"type": "object", "additionalProperties": True}, {"type": "object", "additionalProperties": True}),
        ({"type": "object"}, {"type": "object"}),
        (
            {"type": "object", "properties": {"a": {"default": 1}, "b": {}}, "required": ["a", "b"]},
            {
                "type": "object",
                "properties": {"a": {}, "b": {}},
                "additionalProperties": False,
                "required": ["b"],
            },
        ),
        (
            {
                "type": "array",
                "items": {"type": "object", "description": "d"},
                "x-kubernetes-list-type": "map",
                "x-kubernetes-list-map-keys": ["name"],
            },
            {"type": "array", "items": {"type": "object"}, "x-kubernetes-list-map-keys": ["name"]},
        ),
        (
            {"type": "integer", "x-kubernetes-validations": [{"rule": "self > 1"}], "minimum": 1},
            {"type": "integer", "minimum": 1},
        ),
    ],
)
def test_conversion_keeps_what_can_be_refused(node: dict[str, Any], converted: dict[str, Any]) -> None:
    assert convert(crd(node), "v1")["properties"]["spec"] == converted


def test_conversion_fixes_the_kind_and_leaves_metadata_to_kubernetes() -> None:
    schema = convert(crd({"type": "object"}), "v1")
    assert schema["properties"]["apiVersion"] == {"const": "example.com/v1"}
    assert schema["properties"]["kind"] == {"const": "Thing"}
    assert schema["properties"]["metadata"] == {"type": "object"}
    assert schema["required"] == ["apiVersion", "kind", "metadata"]


def test_conversion_of_a_version_that_is_not_there_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"things\.example\.com has no version v2"):
        convert(crd({}), "v2")
