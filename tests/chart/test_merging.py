"""Lists with a key: merged by it, the user's entry wins, no key comes twice (Helm 4's server-side apply refuses it)."""

from typing import Any

import pytest
from rendering import EVERYTHING, Render, environment, pod, remote_backend

from lmcache_kserve.chart import policies

pytestmark = pytest.mark.every_helm


def test_the_users_variable_replaces_the_charts_of_the_same_name(render: Render) -> None:
    manifests = render({"predictor": {"env": [{"name": "LMCACHE_LOG_LEVEL", "value": "DEBUG"}]}})
    variables = [v for v in pod(manifests).container["env"] if v["name"] == "LMCACHE_LOG_LEVEL"]
    assert variables == [{"name": "LMCACHE_LOG_LEVEL", "value": "DEBUG"}]


def test_the_users_reference_replaces_the_charts_value_wholly(render: Render) -> None:
    source = {"secretKeyRef": {"name": "a", "key": "b"}}
    manifests = render({"predictor": {"env": [{"name": "PYTHONHASHSEED", "valueFrom": source}]}})
    (variable,) = (v for v in pod(manifests).container["env"] if v["name"] == "PYTHONHASHSEED")
    assert variable == {"name": "PYTHONHASHSEED", "valueFrom": source}


def test_a_variable_that_the_user_names_twice_appears_once_with_its_last_value(render: Render) -> None:
    twice = [{"name": "A", "value": "1"}, {"name": "A", "value": "2"}]
    assert environment(pod(render({"predictor": {"env": twice}})).container)["A"] == "2"


def test_numbers_in_variables_become_strings_as_they_were_written(render: Render) -> None:
    numbers = {"A": 1, "B": 1000000, "C": 0.5}
    env = [{"name": name, "value": value} for name, value in numbers.items()]
    variables = environment(pod(render({"predictor": {"env": env}})).container)
    assert {name: variables[name] for name in numbers} == {"A": "1", "B": "1000000", "C": "0.5"}


@pytest.mark.parametrize("name", ["shm", "lmcache-config", "home", "scripts"])
def test_the_users_volume_replaces_the_charts_of_the_same_name(render: Render, name: str) -> None:
    manifests = render({"predictor": {"volumes": [{"name": name, "emptyDir": {"sizeLimit": "1Gi"}}]}})
    (volume,) = (volume for volume in pod(manifests).spec["volumes"] if volume["name"] == name)
    assert volume == {"name": name, "emptyDir": {"sizeLimit": "1Gi"}}


@pytest.mark.parametrize("path", ["/dev/shm", "/etc/lmcache"])  # noqa: S108 (a mount)
def test_the_users_mount_replaces_the_charts_at_the_same_path(render: Render, path: str) -> None:
    mine = {"name": "mine", "mountPath": path}
    values = {"predictor": {"volumes": [{"name": "mine", "emptyDir": {}}], "volumeMounts": [mine]}}
    mounts = [mount for mount in pod(render(values)).container["volumeMounts"] if mount["mountPath"] == path]
    assert mounts == [mine]


def test_the_users_port_replaces_the_charts_of_the_same_number(render: Render) -> None:
    manifests = render({"predictor": {"ports": [{"name": "h2c", "containerPort": 8080}, {"containerPort": 9000}]}})
    assert [port["containerPort"] for port in pod(manifests).container["ports"]] == [8080, 9000]
    assert pod(manifests).container["ports"][0]["name"] == "h2c"


def test_the_same_port_of_another_protocol_is_another_port(render: Render) -> None:
    manifests = render({"predictor": {"ports": [{"containerPort": 8080, "protocol": "UDP"}]}})
    assert len(pod(manifests).container["ports"]) == 2


def test_containers_of_the_user_stand_beside_the_server(render: Render) -> None:
    restricted = {
        "image": "example.com/agent:1",
        "resources": {"requests": {"cpu": "1", "memory": "1Gi"}, "limits": {"memory": "1Gi"}},
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
    }
    values = {
        "predictor": {
            "sidecars": [{"name": "agent", **restricted}],
            "initContainers": [{"name": "prepare", **restricted}],
        }
    }
    manifests = render(values)
    assert [container["name"] for container in pod(manifests).spec["containers"]] == ["kserve-container", "agent"]
    assert [c["name"] for c in pod(manifests).spec["initContainers"]] == ["prepare", "wait-for-backend"]
    assert policies.check(manifests) == []


MINE: dict[str, Any] = {
    "env": [{"name": name, "value": "1"} for name in ("PYTHONHASHSEED", "LMCACHE_CONFIG_FILE", "HOME", "A", "A")],
    "volumes": [{"name": name, "emptyDir": {}} for name in ("shm", "home", "lmcache-config", "scripts", "a", "a")],
    "volumeMounts": [
        {"name": "a", "mountPath": path}
        for path in ("/dev/shm", "/etc/lmcache", "/etc/lmcache-kserve", "/a", "/a")  # noqa: S108 (mounts)
    ],
    "ports": [{"containerPort": 8080}, {"containerPort": 8080, "protocol": "TCP"}],
}


@pytest.mark.parametrize("backend", ["none", "redis", "valkey", "lmcache-server"])
@pytest.mark.parametrize("style", ["file", "env"])
def test_nothing_is_listed_twice_whatever_the_user_repeats(render: Render, backend: str, style: str) -> None:
    values = {"remoteBackend": {"type": backend}, "predictor": MINE, "lmcache": {"configStyle": style}}
    # Rendering has let the schemas look for duplicates, too.
    assert policies.no_duplicates(render(values)) == []


def test_labels_and_annotations_of_the_user_reach_every_object(render: Render) -> None:
    for manifest in render(EVERYTHING):
        assert manifest["metadata"]["labels"]["owner"] == "platform"
        assert manifest["metadata"]["annotations"]["example.com/owner"] == "platform"


def test_labels_of_the_user_cannot_break_selectors(render: Render) -> None:
    values = {"commonLabels": {"app.kubernetes.io/instance": "other", "app.kubernetes.io/component": "other"}}
    manifests = render({**values, **remote_backend("redis")})
    (service,) = (m for m in manifests.labelled(component="remote-backend") if m["kind"] == "Service")
    template = manifests.one("Deployment")["spec"]["template"]
    assert service["spec"]["selector"].items() <= template["metadata"]["labels"].items()
    assert (
        manifests.one("Deployment")["spec"]["selector"]["matchLabels"].items() <= template["metadata"]["labels"].items()
    )


@pytest.mark.parametrize("as_text", [False, True], ids=["object", "text"])
def test_extra_objects_are_rendered_with_their_templates(render: Render, as_text: bool) -> None:  # noqa: FBT001 - pytest passes it by name
    extra: Any = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "{{ .Release.Name }}-extra"},
        "data": {"model": "{{ .Values.model.name }}"},
    }
    if as_text:
        extra = (
            "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {{ .Release.Name }}-extra\n"
            "data:\n  model: {{ .Values.model.name }}\n"
        )
    found = render({"extraObjects": [extra], "model": {"name": "llama"}}).one("ConfigMap", "llm-extra")
    assert found["data"] == {"model": "llama"}
