import base64
from typing import Any

import pytest

from lmcache_kserve.chart.environment import Configuration, expand, resolve_environment
from lmcache_kserve.chart.manifests import Manifests
from lmcache_kserve.errors import HarnessError

CONFIGURATION = Configuration(
    config_maps={"settings": {"LEVEL": "INFO"}}, secrets={"login": {"password": "s3cret", "user": "lm"}}
)


def resolve(*env: dict[str, Any], **container: Any) -> dict[str, str]:
    return resolve_environment(
        {"name": "main", "env": list(env), **container},
        configuration=CONFIGURATION,
        fields={"metadata.name": "pod-0", "status.podIP": "127.0.0.1"},
    )


@pytest.mark.parametrize(
    ("written", "expanded"),
    [
        ("redis://:$(PASSWORD)@host", "redis://:s3cret@host"),
        ("$$(PASSWORD)", "$(PASSWORD)"),
        ("$(UNKNOWN)", "$(UNKNOWN)"),
        ("$PASSWORD costs $5", "$PASSWORD costs $5"),
    ],
)
def test_references_expand_as_the_kubelet_does(written: str, expanded: str) -> None:
    assert expand(written, {"PASSWORD": "s3cret"}) == expanded


def test_a_value_sees_the_variables_above_it_only() -> None:
    environment = resolve(
        {"name": "EARLY", "value": "$(LATE)"},
        {"name": "LATE", "value": "x"},
        {"name": "LAST", "value": "$(LATE)"},
    )
    assert environment == {"EARLY": "$(LATE)", "LATE": "x", "LAST": "x"}


def test_values_come_from_secrets_config_maps_and_the_downward_api() -> None:
    environment = resolve(
        {"name": "A", "valueFrom": {"secretKeyRef": {"name": "login", "key": "password"}}},
        {"name": "B", "valueFrom": {"configMapKeyRef": {"name": "settings", "key": "LEVEL"}}},
        {"name": "C", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
    )
    assert environment == {"A": "s3cret", "B": "INFO", "C": "pod-0"}


def test_env_from_takes_every_key_and_env_wins() -> None:
    environment = resolve(
        {"name": "LEVEL", "value": "DEBUG"},
        envFrom=[{"configMapRef": {"name": "settings"}}, {"prefix": "DB_", "secretRef": {"name": "login"}}],
    )
    assert environment == {"LEVEL": "DEBUG", "DB_password": "s3cret", "DB_user": "lm"}


@pytest.mark.parametrize("kind", ["configMapRef", "secretRef"])
def test_env_from_may_lead_nowhere_where_it_is_optional(kind: str) -> None:
    assert resolve(envFrom=[{kind: {"name": "absent", "optional": True}}]) == {}
    with pytest.raises(HarnessError, match="absent"):
        resolve(envFrom=[{kind: {"name": "absent"}}])


def test_an_optional_reference_may_lead_nowhere() -> None:
    missing = {"secretKeyRef": {"name": "absent", "key": "token", "optional": True}}
    assert resolve({"name": "TOKEN", "valueFrom": missing}) == {}


def test_a_missing_secret_can_be_given_and_the_message_says_how() -> None:
    missing = {"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "hf", "key": "token"}}}
    with pytest.raises(HarnessError, match="--secret hf/token=VALUE"):
        resolve(missing)
    given = Configuration.of(Manifests(objects=(), text=""), secrets={"hf": {"token": "x"}})
    container = {"name": "main", "env": [missing]}
    assert resolve_environment(container, configuration=given, fields={}) == {"TOKEN": "x"}


@pytest.mark.parametrize(
    "source",
    [
        {"secretKeyRef": {"name": "absent", "key": "token"}},
        {"secretKeyRef": {"name": "login", "key": "absent"}},
        {"fieldRef": {"fieldPath": "spec.serviceAccountName"}},
        {"resourceFieldRef": {"resource": "limits.memory"}},
    ],
)
def test_a_reference_that_leads_nowhere_is_refused_by_name(source: dict[str, Any]) -> None:
    with pytest.raises(HarnessError, match="TOKEN of container main"):
        resolve({"name": "TOKEN", "valueFrom": source})


def test_secrets_are_read_encoded_and_plain() -> None:
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "both"},
        "data": {"a": base64.b64encode(b"1").decode()},
        "stringData": {"b": "2"},
    }
    assert Configuration.of(Manifests(objects=(secret,), text="")).secret("both") == {"a": "1", "b": "2"}
