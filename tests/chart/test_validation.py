"""Rules across values: each refuses what cannot work, names the value to change, and all speak at once."""

from typing import Any

import pytest
from rendering import CHART, Render, remote_backend

from lmcache_kserve.helm import Helm, HelmError

NAMESPACE = "models"

# What is wrong, the values that are wrong, and the values that the message has to name.
PROBLEMS: dict[str, tuple[dict[str, Any], list[str]]] = {
    "external redis without an endpoint": (
        remote_backend("redis", deploy=False, auth={"existingSecret": "a"}),
        ["remoteBackend.redis.external.endpoint"],
    ),
    "external valkey without an endpoint": (
        remote_backend("valkey", deploy=False, auth={"existingSecret": "a"}),
        ["remoteBackend.valkey.external.endpoint"],
    ),
    "external lmcache-server without an endpoint": (
        remote_backend("lmcache-server", deploy=False),
        ["remoteBackend.lmcacheServer.external.endpoint"],
    ),
    "redis password and existingSecret together": (
        remote_backend("redis", auth={"password": "a", "existingSecret": "b"}),
        ["remoteBackend.redis.auth.password", "remoteBackend.redis.auth.existingSecret"],
    ),
    "token and existingSecret together": (
        {"huggingFace": {"token": "hf_a", "existingSecret": "b"}},
        ["huggingFace.token", "huggingFace.existingSecret"],
    ),
    "TLS on a connector without TLS": (
        remote_backend("lmcache-server", deploy=False, external={"endpoint": "lm:65432", "tls": {"enabled": True}}),
        ["remoteBackend.lmcacheServer.external.tls.enabled"],
    ),
    "memory limit below the CPU tier of one worker": (
        {"predictor": {"resources": {"limits": {"memory": "4Gi"}}}},
        ["predictor.resources.limits.memory", "lmcache.localCpu.sizeGB"],
    ),
    "memory limit below the CPU tier of every worker": (
        {"predictor": {"gpu": {"count": 4}, "resources": {"limits": {"memory": "19Gi"}}}},
        ["predictor.resources.limits.memory", "lmcache.localCpu.sizeGB"],
    ),
    "disk tier without a size": (
        {"lmcache": {"localDisk": {"enabled": True}}},
        ["lmcache.localDisk.sizeGB"],
    ),
    "lmcache-server with two replicas": (
        remote_backend("lmcache-server", replicas=2),
        ["remoteBackend.lmcacheServer.replicas"],
    ),
    "in-process with a model that needs hybrid memory": (
        {"model": {"hybridMemory": True}},
        ["model.hybridMemory", "lmcache.mode"],
    ),
    "a name that KServe cannot use": (
        {"fullnameOverride": "a" * 47},
        ["fullnameOverride"],
    ),
    "a template in the model's arguments": (
        {"model": {"extraArgs": ["--chat-template={{ messages }}"]}},
        ["model.extraArgs"],
    ),
    "a template in a variable": (
        {"predictor": {"env": [{"name": "TEMPLATE", "value": "{{ a }}"}]}},
        ["predictor.env", "TEMPLATE"],
    ),
    "a Boolean as value of a variable": (
        {"predictor": {"env": [{"name": "VLLM_USE_V1", "value": True}]}},
        ["predictor.env", "VLLM_USE_V1"],
    ),
    "a backend without LMCache": (
        {"lmcache": {"enabled": False}},
        ["remoteBackend.type", "lmcache.enabled"],
    ),
}

ids = list(PROBLEMS)


def refusal(helm: Helm, values: dict[str, Any], *, namespace: str = NAMESPACE, release: str = "llm") -> str:
    with pytest.raises(HelmError) as caught:
        helm.template(CHART, release=release, namespace=namespace, values=values)
    return str(caught.value)


@pytest.mark.parametrize(("values", "named"), PROBLEMS.values(), ids=ids)
def test_what_cannot_work_is_refused_by_the_value_to_change(
    helm: Helm, values: dict[str, Any], named: list[str]
) -> None:
    message = refusal(helm, values)
    assert [value for value in named if value not in message] == []


@pytest.mark.parametrize(("values", "named"), PROBLEMS.values(), ids=ids)
def test_one_problem_is_reported_once_and_alone(helm: Helm, values: dict[str, Any], named: list[str]) -> None:
    lines = [line for line in refusal(helm, values).splitlines() if line.strip().startswith("-")]
    assert len(lines) == 1
    assert named[0] in lines[0]


def test_all_problems_of_a_render_are_reported_together(helm: Helm) -> None:
    message = refusal(
        helm,
        {
            "model": {"hybridMemory": True, "extraArgs": ["{{ a }}"]},
            "lmcache": {"localDisk": {"enabled": True}},
            "predictor": {"env": [{"name": "FLAG", "value": False}], "resources": {"limits": {"memory": "1Gi"}}},
            **remote_backend("redis", deploy=False, auth={"password": "a", "existingSecret": "b"}),
        },
    )
    for value in (
        "model.hybridMemory",
        "model.extraArgs",
        "lmcache.localDisk.sizeGB",
        "predictor.env",
        "predictor.resources.limits.memory",
        "remoteBackend.redis.external.endpoint",
        "remoteBackend.redis.auth.password",
    ):
        assert value in message


def test_a_refusal_is_readable_text(helm: Helm) -> None:
    message = refusal(helm, {"model": {"hybridMemory": True}})
    assert not [noise for noise in ("execution error", "executing", ".tpl", ".yaml:", "<include") if noise in message]


@pytest.mark.parametrize("text", ["true", "False", "yes", "off", "NO"])
def test_a_quoted_boolean_is_a_string_as_any_other(render: Render, text: str) -> None:
    manifests = render({"predictor": {"env": [{"name": "FLAG", "value": text}]}})
    environment = manifests.one("InferenceService")["spec"]["predictor"]["model"]["env"]
    assert {"name": "FLAG", "value": text} in environment


def test_a_namespace_that_leaves_no_room_for_a_name_is_refused(helm: Helm) -> None:
    assert "namespace" in refusal(helm, {}, namespace="n" * 50)


def test_an_external_server_without_password_has_to_say_so(helm: Helm, render: Render) -> None:
    open_server = {"deploy": False, "external": {"endpoint": "redis:6379"}}
    assert "remoteBackend.redis.auth" in refusal(helm, remote_backend("redis", **open_server))
    assert len(render(remote_backend("redis", **open_server, auth={"enabled": False})))


@pytest.mark.parametrize(
    "values",
    [
        pytest.param({"predictor": {"gpu": {"count": 4}, "resources": {"limits": {"memory": "64Gi"}}}}, id="memory"),
        pytest.param({"lmcache": {"localDisk": {"enabled": True, "sizeGB": 10}}}, id="disk"),
        pytest.param({"lmcache": {"enabled": False}, "remoteBackend": {"type": "none"}}, id="no LMCache"),
        pytest.param(
            {"model": {"hybridMemory": True}, "lmcache": {"enabled": False}, "remoteBackend": {"type": "none"}},
            id="hybrid memory without LMCache",
        ),
        pytest.param({"fullnameOverride": "a" * 40}, id="longest name"),
        pytest.param(remote_backend("redis", auth={"existingSecret": "a"}), id="existing secret"),
    ],
)
def test_what_works_is_not_refused(render: Render, values: dict[str, Any]) -> None:
    assert len(render(values)) > 0
