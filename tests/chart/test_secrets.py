"""Credentials: in Secrets alone, and renders that do not change by themselves."""

import base64
from typing import Any

import pytest
from rendering import (
    EVERYTHING,
    PASSWORD,
    Render,
    environment,
    lmcache_extra_config,
    lmcache_file,
    pod,
    remote_backend,
    values_key,
)

from lmcache_kserve.chart import policies
from lmcache_kserve.chart.helm import Helm

RESP_BACKENDS = ("redis", "valkey")
RESP = pytest.mark.parametrize("backend", RESP_BACKENDS)


@RESP
def test_a_password_stands_in_a_secret_and_nowhere_else(render: Render, backend: str) -> None:
    manifests = render(remote_backend(backend, auth={"password": PASSWORD}))
    assert policies.secrets_stay_secret(manifests) == []
    assert PASSWORD not in manifests.text
    assert manifests.text.count(base64.b64encode(PASSWORD.encode()).decode()) == 1


def test_every_credential_at_once_stays_secret(render: Render) -> None:
    manifests = render(EVERYTHING)
    assert manifests.of_kind("Secret")
    assert policies.secrets_stay_secret(manifests) == []


@RESP
@pytest.mark.parametrize("style", ["file", "env"])
def test_with_credentials_lmcache_gets_its_url_from_the_launcher(render: Render, backend: str, style: str) -> None:
    values = remote_backend(backend, client="redis-py", auth={"password": PASSWORD})
    manifests = render({**values, "lmcache": {"configStyle": style}})
    variables = environment(pod(manifests).container)
    assert variables["REMOTE_BACKEND_URL"].startswith("redis://")
    assert "@" not in variables["REMOTE_BACKEND_URL"]
    assert variables["REMOTE_BACKEND_PASSWORD"]["secretKeyRef"]["key"] == "password"
    assert "LMCACHE_REMOTE_URL" not in variables
    if style == "file":
        assert "remote_url" not in lmcache_file(manifests)


@RESP
@pytest.mark.parametrize("server", ["vllm", "huggingfaceserver"])
def test_with_credentials_the_launcher_wraps_the_server(render: Render, backend: str, server: str) -> None:
    manifests = render({**remote_backend(backend), "runtime": {"server": server}})
    command = pod(manifests).command_line
    module = {"vllm": "vllm.entrypoints.openai.api_server", "huggingfaceserver": "huggingfaceserver"}[server]
    assert command[:6] == ["python3", "/etc/lmcache-kserve/launcher.py", "--", "python3", "-m", module]
    (mount,) = (m for m in pod(manifests).container["volumeMounts"] if m["mountPath"] == "/etc/lmcache-kserve")
    (volume,) = (v for v in pod(manifests).spec["volumes"] if v["name"] == mount["name"])
    assert "launcher.py" in manifests.one("ConfigMap", volume["configMap"]["name"])["data"]


@RESP
def test_without_credentials_the_launcher_has_none_to_hide(render: Render, backend: str) -> None:
    manifests = render(remote_backend(backend, auth={"enabled": False}))
    assert "LAUNCHER_REDACT" not in environment(pod(manifests).container)
    assert "direct_redis_password" not in lmcache_extra_config(manifests)
    assert not [name for name in environment(pod(manifests).container) if name.startswith("REMOTE_BACKEND_")]
    assert manifests.of_kind("Secret") == []


def test_the_launcher_hides_every_credential_of_the_pod(render: Render) -> None:
    values = {**remote_backend("redis"), "huggingFace": {"existingSecret": "hf"}}
    variables = environment(pod(render(values)).container)
    assert set(variables["LAUNCHER_REDACT"].split(",")) == {"REMOTE_BACKEND_PASSWORD", "HF_TOKEN"}
    assert environment(pod(render()).container)["LAUNCHER_REDACT"] == "REMOTE_BACKEND_PASSWORD"


@RESP
def test_a_generated_password_says_so_where_no_notes_are_shown(render: Render, backend: str) -> None:
    def annotations(**auth: str) -> dict[str, str]:
        secret = render(remote_backend(backend, auth=auth)).one("Secret")
        found: dict[str, str] = secret["metadata"].get("annotations", {})
        return found

    assert f"set remoteBackend.{values_key(backend)}.auth.existingSecret" in annotations()["lmcache-kserve/password"]
    assert "lmcache-kserve/password" not in annotations(password="given")  # noqa: S106 - rendered here, and used nowhere


@RESP
def test_a_password_is_generated_where_none_is_given(render: Render, backend: str) -> None:
    secret = render(remote_backend(backend)).one("Secret")
    assert len(base64.b64decode(secret["data"]["password"])) >= 24


@RESP
def test_server_and_predictor_read_the_same_secret(render: Render, backend: str) -> None:
    for auth in ({}, {"existingSecret": "mine", "existingSecretKey": "word"}):
        manifests = render(remote_backend(backend, auth=auth))
        reference = environment(pod(manifests).container)["REMOTE_BACKEND_PASSWORD"]["secretKeyRef"]
        (workload,) = manifests.of_kind("Deployment")
        server = workload["spec"]["template"]["spec"]["containers"][0]
        assert environment(server)["REDISCLI_AUTH"]["secretKeyRef"] == reference
        if auth:
            assert reference == {"name": "mine", "key": "word"}
            assert manifests.of_kind("Secret") == []
        else:
            assert reference["key"] in manifests.one("Secret", reference["name"])["data"]


def test_a_token_becomes_a_secret_that_the_server_reads(render: Render) -> None:
    manifests = render({"huggingFace": {"token": "hf_0123456789"}, **remote_backend("redis", auth={"enabled": False})})
    reference = environment(pod(manifests).container)["HF_TOKEN"]["secretKeyRef"]
    secret = manifests.one("Secret", reference["name"])
    assert base64.b64decode(secret["data"][reference["key"]]) == b"hf_0123456789"


def test_an_existing_token_is_referred_to(render: Render) -> None:
    manifests = render(
        {
            "huggingFace": {"existingSecret": "hub", "existingSecretKey": "token"},
            **remote_backend("redis", auth={"enabled": False}),
        }
    )
    assert environment(pod(manifests).container)["HF_TOKEN"]["secretKeyRef"] == {"name": "hub", "key": "token"}
    assert manifests.of_kind("Secret") == []


def test_without_a_token_the_server_has_none(render: Render) -> None:
    assert "HF_TOKEN" not in environment(pod(render()).container)


EXISTING_SECRETS: list[dict[str, Any]] = [
    {"huggingFace": {"existingSecret": "hub"}, **remote_backend(backend, auth={"existingSecret": "mine"})}
    for backend in RESP_BACKENDS
]


@pytest.mark.parametrize("values", EXISTING_SECRETS, ids=RESP_BACKENDS)
def test_two_renders_with_existing_secrets_are_identical_to_the_byte(helm: Helm, values: dict[str, Any]) -> None:
    # Past the cache of `render`: each is a process of its own.
    first, second = (Render(helm)(values).text for _ in range(2))
    assert first == second


def test_nothing_that_is_rendered_asks_the_cluster_when_secrets_exist(helm: Helm) -> None:
    first = Render(helm)(EXISTING_SECRETS[0], namespace="other")
    assert first.of_kind("Secret") == []
