"""YAML's own words, and text that could break out of its place."""

from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from rendering import CHART, Render, default_values, remote_backend

from lmcache_kserve.chart.helm import Helm, HelmError

SERVERS = ("redis", "valkey", "redis-sentinel")
WORDS = "{activedefrag: yes, lazyfree-lazy-eviction: no, rdbcompression: [on]}"


def server_configuration(render: Render, backend: str) -> list[str]:
    manifests = render(remote_backend(backend, config=yaml.safe_load(WORDS)))
    texts = [text for one in manifests.of_kind("ConfigMap") for text in one["data"].values()]
    (configuration,) = (text for text in texts if "maxmemory-policy" in text)
    return str(configuration).splitlines()


@pytest.mark.parametrize("backend", SERVERS)
def test_a_servers_yes_and_no_reach_it_as_it_knows_them(render: Render, backend: str) -> None:
    lines = server_configuration(render, backend)
    assert {"activedefrag yes", "lazyfree-lazy-eviction no", "rdbcompression yes"} <= set(lines)
    assert not [line for line in lines if line.endswith((" true", " false"))]


@pytest.mark.parametrize("path", ["kserve.annotations", "predictor.podAnnotations", "remoteBackend.pod.podLabels"])
def test_numbers_among_labels_become_text_and_null_leaves_a_key_out(helm: Helm, path: str) -> None:
    values: dict[str, Any] = {"a": 1000000, "b": None}
    for section in reversed(path.split(".")):
        values = {section: values}
    text = helm.template(CHART, release="llm", namespace="models", values=values).text
    assert 'a: "1000000"' in text
    assert "b: " not in [line.strip() for line in text.splitlines()]
    assert 'b: "null"' not in text


@pytest.mark.parametrize("kind", ["initContainers", "sidecars"])
def test_numbers_in_the_environment_of_a_users_container_become_text(render: Render, kind: str) -> None:
    secret = {"name": "SECRET", "valueFrom": {"secretKeyRef": {"name": "a", "key": "b"}}}
    variables = [{"name": "COUNT", "value": 20000000}, {"name": "SHARE", "value": 0.5}, secret]
    container = {"name": "own", "image": "a:1", "env": variables, "securityContext": {"runAsUser": 1000700000}}
    predictor = render({"predictor": {kind: [container]}}).one("InferenceService")["spec"]["predictor"]
    (own,) = (one for one in predictor["containers" if kind == "sidecars" else kind] if one["name"] == "own")
    assert own["env"] == [{"name": "COUNT", "value": "20000000"}, {"name": "SHARE", "value": "0.5"}, secret]
    assert own["securityContext"] == {"runAsUser": 1000700000}


@pytest.mark.parametrize("kind", ["initContainers", "sidecars"])
def test_a_variable_whose_name_is_a_word_of_yaml_is_refused_by_the_schema(helm: Helm, kind: str) -> None:
    container = {"name": "own", "image": "a:1", "env": [{"name": True, "value": "1"}]}
    with pytest.raises(HelmError, match=rf"predictor.{kind}.0.env.0.name"):
        helm.template(CHART, release="llm", namespace="models", values={"predictor": {kind: [container]}})


def test_null_and_what_kubernetes_takes_for_nothing_stay_allowed_in_its_own_structures(render: Render) -> None:
    empty = dict.fromkeys(
        ("command", "args", "env", "envFrom", "ports", "volumeMounts", "resources", "securityContext")
    )
    container = {"name": "own", "image": "a:1", **empty}
    values = {
        "predictor": {
            "sidecars": [container],
            "initContainers": [{**container, "env": [{"name": "A", "value": None}]}],
            "tolerations": [{"key": "a", "operator": "", "value": "b", "effect": None, "tolerationSeconds": None}],
            "deploymentStrategy": {"rollingUpdate": {"maxSurge": 1, "maxUnavailable": None}},
        },
        "networkPolicy": {"predictor": {"egress": [{"to": None, "ports": [{"port": 53, "protocol": None}]}]}},
    }
    spec = render(values).one("InferenceService")["spec"]["predictor"]
    (own,) = (one for one in spec["initContainers"] if one["name"] == "own")
    assert own["env"] == [{"name": "A"}]


def test_a_fraction_of_a_processor_reaches_kserve_as_text(render: Render) -> None:
    fraction = {"requests": {"cpu": 0.5}}
    container = {"name": "own", "image": "a:1", "resources": fraction}
    predictor = {"resources": fraction, "sidecars": [container], "initContainers": [container]}
    mode = {"mode": "multiprocess", "multiprocess": {"resources": fraction}}
    rendered = render({"predictor": predictor, "lmcache": mode, "remoteBackend": {"waitResources": fraction}})
    spec = rendered.one("InferenceService")["spec"]["predictor"]
    for one in [spec["model"], *spec["initContainers"], *spec["containers"]]:
        assert one["resources"]["requests"]["cpu"] == "0.5"


def test_a_fraction_deep_in_a_variable_or_a_volume_reaches_kserve_as_text(render: Render) -> None:
    size = {"requests": {"storage": 1.5}}
    claim = {"volumeClaimTemplate": {"spec": {"accessModes": ["ReadWriteOnce"], "resources": size}}}
    share = {"name": "SHARE", "valueFrom": {"resourceFieldRef": {"resource": "limits.cpu", "divisor": 0.5}}}
    volumes = [{"name": "own", "ephemeral": claim}, {"name": "scratch", "emptyDir": {"sizeLimit": 2.5}}]
    container = {"name": "agent", "image": "a:1", "env": [share]}
    predictor = {"env": [share], "volumes": volumes, "sidecars": [container]}
    spec = render({"predictor": predictor}).one("InferenceService")["spec"]["predictor"]
    (agent,) = (one for one in spec["containers"] if one["name"] == "agent")
    for env in (agent["env"], spec["model"]["env"]):
        (found,) = (one for one in env if one["name"] == "SHARE")
        assert found["valueFrom"]["resourceFieldRef"]["divisor"] == "0.5"
    by_name = {volume["name"]: volume for volume in spec["volumes"]}
    told = by_name["own"]["ephemeral"]["volumeClaimTemplate"]["spec"]["resources"]
    assert told == {"requests": {"storage": "1.5"}}
    assert by_name["scratch"]["emptyDir"]["sizeLimit"] == "2.5"


def test_a_percentage_of_pods_is_text_and_a_number_a_number(render: Render) -> None:
    for given in (1, "34%"):
        budgets = render(
            {
                "predictor": {"podDisruptionBudget": {"maxUnavailable": given}},
                "remoteBackend": {
                    "type": "redis-sentinel",
                    "redisSentinel": {"podDisruptionBudget": {"maxUnavailable": given}},
                },
            }
        ).of_kind("PodDisruptionBudget")
        assert len(budgets) > 1
        assert {budget["spec"]["maxUnavailable"] for budget in budgets} == {given}


PAYLOAD = "a: \"b'\nevil: c # "
"""A text that ends what it stands in, if it is not quoted."""


def texts(values: dict[str, Any], prefix: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Paths of every default that is text."""
    for key, value in values.items():
        if isinstance(value, str):
            yield (*prefix, key)
        elif isinstance(value, dict):
            yield from texts(value, (*prefix, key))


def keys(node: Any) -> Iterator[str]:
    """Every key at every depth of what was rendered."""
    if isinstance(node, dict):
        for key, value in node.items():
            yield str(key)
            yield from keys(value)
    elif isinstance(node, list):
        for value in node:
            yield from keys(value)


TYPES = {"redisSentinel": "redis-sentinel", "lmcacheServer": "lmcache-server"}
TEXTS = [".".join(path) for path in texts(default_values())]


@pytest.mark.parametrize("path", TEXTS)
def test_a_text_stays_in_its_place_or_is_refused(helm: Helm, path: str) -> None:
    first, second, *_ = [*path.split("."), ""]
    values: dict[str, Any] = {}
    node = values
    *sections, key = path.split(".")
    for section in sections:
        node = node.setdefault(section, {})
    node[key] = PAYLOAD
    if (first, second) == ("remoteBackend", "exporter"):
        values["remoteBackend"]["exporter"].setdefault("enabled", True)
    elif first == "remoteBackend" and second in default_values()["remoteBackend"] and second not in {"type", "pod"}:
        values["remoteBackend"]["type"] = TYPES.get(second, second)
    try:
        manifests = helm.template(CHART, release="llm", namespace="models", values=values)
    except HelmError as error:
        refused = ("do not fit the chart's schema", "problem")
        assert any(words in str(error) for words in refused), str(error)  # noqa: PT017 (either outcome is right)
        return
    assert "evil" not in {key for manifest in manifests for key in keys(dict(manifest))}
