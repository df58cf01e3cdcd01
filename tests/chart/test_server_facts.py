"""What the server tells one reader it tells all: its port, its routes, its API key, and that it speaks HTTP."""

import re
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

import pytest
from rendering import Render, environment, option, pod

from lmcache_kserve.chart.manifests import Manifests
from lmcache_kserve.lmcache.arguments import api_key, openai_prefix

Notes = Callable[[Mapping[str, Any]], str]

KEY: dict[str, Any] = {"name": "VLLM_API_KEY", "valueFrom": {"secretKeyRef": {"name": "server-key", "key": "the key"}}}
WITH_KEY: dict[str, Any] = {"runtime": {"server": "vllm"}, "predictor": {"env": [{"name": "OTHER", "value": "1"}, KEY]}}
PUBLIC = {"/health", "/ping", "/load", "/version", "/metrics"}
"""Routes of vLLM that its API key never closes (PUBLIC_ENDPOINTS in vllm/entrypoints/serve/middleware)."""

SERVERS = pytest.mark.parametrize("server", ["vllm", "huggingfaceserver"])
PROBES = ("startupProbe", "readinessProbe", "livenessProbe")


def of_the_test(manifests: Manifests) -> dict[str, Any]:
    """The container that `helm test` runs."""
    (container,) = manifests.one("Pod")["spec"]["containers"]
    return dict(container)


@SERVERS
def test_every_reader_of_the_port_takes_the_servers(render: Render, notes: Notes, server: str) -> None:
    values = {"runtime": {"server": server, "port": 9000}}
    manifests = render(values)
    container = pod(manifests).container
    assert option(pod(manifests).command_line, "--port" if server == "vllm" else "--http-port") == "9000"
    assert {container[probe]["httpGet"]["port"] for probe in PROBES} == {9000}
    assert [port["containerPort"] for port in container["ports"]] == [9000]
    assert (option(of_the_test(manifests)["args"], "--pods") or "").endswith(":9000")
    (service,) = (one for one in manifests.labelled(component="test") if one["kind"] == "Service")
    assert [(port["port"], port["targetPort"]) for port in service["spec"]["ports"]] == [(9000, 9000)]
    policies = {
        one["metadata"]["labels"]["app.kubernetes.io/component"]: one for one in manifests.of_kind("NetworkPolicy")
    }
    assert policies["predictor"]["spec"]["ingress"][0]["ports"][0]["port"] == 9000
    assert policies["test"]["spec"]["egress"][1]["ports"][0]["port"] == 9000
    assert "18080:9000" in notes(values)


PREFIXES: list[tuple[str, list[dict[str, Any]], str]] = [
    ("vllm", [], "/v1"),
    ("vllm", [{"name": "KSERVE_OPENAI_ROUTE_PREFIX", "value": "/llm"}], "/v1"),
    ("huggingfaceserver", [], "/openai/v1"),
    ("huggingfaceserver", [{"name": "KSERVE_OPENAI_ROUTE_PREFIX", "value": ""}], "/v1"),
    ("huggingfaceserver", [{"name": "KSERVE_OPENAI_ROUTE_PREFIX", "value": "/llm/"}], "/llm/v1"),
]


@pytest.mark.parametrize(("server", "env", "path"), PREFIXES)
def test_every_reader_of_the_openai_routes_asks_below_the_same_path(
    render: Render, notes: Notes, server: str, env: list[dict[str, Any]], path: str
) -> None:
    values = {"runtime": {"server": server}, "predictor": {"env": env}}
    manifests = render(values)
    assert option(of_the_test(manifests)["args"], "--openai-path") == path
    (address,) = re.findall(r"http://127\.0\.0\.1:18080\S+", notes(values))
    assert urlsplit(address).path == f"{path}/completions"
    assert openai_prefix(pod(manifests).command_line, environment(pod(manifests).container)) == path


@pytest.mark.parametrize(
    "values", [WITH_KEY, {"runtime": {"server": "vllm"}}], ids=["a key", "a key in a whole Secret"]
)
def test_probes_and_the_tests_wait_ask_a_route_that_no_key_closes(render: Render, values: dict[str, Any]) -> None:
    container = pod(render(values)).container
    assert {container[probe]["httpGet"]["path"] for probe in PROBES} <= PUBLIC
    assert option(of_the_test(render(values))["args"], "--model-path") in PUBLIC


def test_whoever_sends_requests_has_the_key_by_reference(render: Render, notes: Notes) -> None:
    manifests = render(WITH_KEY)
    assert environment(of_the_test(manifests)) == {"VLLM_API_KEY": KEY["valueFrom"]}
    assert "env" not in of_the_test(render())
    assert "VLLM_API_KEY" in environment(pod(manifests).container)["LAUNCHER_REDACT"].split(",")
    text = notes(WITH_KEY)
    assert '-H "Authorization: Bearer $VLLM_API_KEY"' in text
    assert """get secret -n models server-key -o go-template='{{index .data "the key" | base64decode}}'""" in text
    assert "Bearer" not in notes({"runtime": {"server": "vllm"}})
    resolved = environment(pod(manifests).container) | {"VLLM_API_KEY": "word"}
    assert api_key(pod(manifests).command_line, resolved) == "word"


def test_a_whole_secret_that_may_hold_the_key_reaches_the_test(render: Render) -> None:
    sources = [{"configMapRef": {"name": "proxy"}}, {"secretRef": {"name": "keys"}}]
    values = {"runtime": {"server": "vllm"}, "predictor": {"envFrom": sources}}
    assert of_the_test(render(values))["envFrom"] == [{"secretRef": {"name": "keys"}}]
    assert "envFrom" not in of_the_test(render({"predictor": {"envFrom": sources}}))


def test_a_port_for_grpc_that_the_user_moves_is_free_again(render: Render) -> None:
    values = {"model": {"extraArgs": ["--grpc_port=9001"]}, "runtime": {"port": 8081}}
    assert option(pod(render(values)).command_line, "--http-port") == "8081"


@pytest.mark.parametrize("host", [["--host=0.0.0.0"], ["--host", "::"]])
def test_an_address_that_means_every_address_is_the_users_to_choose(render: Render, host: list[str]) -> None:
    values = {"runtime": {"server": "vllm"}, "model": {"extraArgs": host}}
    assert option(pod(render(values)).command_line, "--host") in {"0.0.0.0", "::"}  # noqa: S104 (the value under test)


def test_a_prefix_of_vllm_changes_no_route_within_the_cluster(render: Render) -> None:
    # Starlette takes the prefix off where a request has it, and answers without it too.
    values = {"runtime": {"server": "vllm"}, "model": {"extraArgs": ["--root-path=/llm"]}}
    manifests = render(values)
    assert option(of_the_test(manifests)["args"], "--openai-path") == "/v1"
    assert pod(manifests).container["readinessProbe"]["httpGet"]["path"] == "/health"
