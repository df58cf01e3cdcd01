"""The exporter beside a server that speaks Redis' protocol."""

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from network import STRANGER, Connection, lets_in, pods
from rendering import PASSWORD, Render, backend_workload, environment, remote_backend, with_exporter

from lmcache_kserve.chart import contract, policies
from lmcache_kserve.chart.manifests import Manifests

KINDS = ("redis", "valkey", "redis-sentinel")
ANY = pytest.mark.parametrize("kind", KINDS)


def exporters(manifests: Manifests) -> list[dict[str, Any]]:
    found = []
    for _, spec in manifests.pod_specs():
        found += [dict(one) for one in spec.get("containers", ()) if one["name"] == contract.EXPORTER_CONTAINER]
    return found


@ANY
def test_every_server_has_an_exporter_that_asks_this_server(render: Render, kind: str) -> None:
    found = exporters(render(with_exporter(kind)))
    addresses = [one["args"][0] for one in found]
    ports = [6379, 26379] if kind == "redis-sentinel" else [6379]
    assert addresses == [f"-redis.addr=redis://localhost:{port}" for port in ports]


@ANY
def test_an_exporter_keeps_every_policy_of_a_restricted_namespace(render: Render, kind: str) -> None:
    assert [str(one) for one in policies.check(render(with_exporter(kind)))] == []


@ANY
def test_no_exporter_runs_unless_it_is_asked_for(render: Render, kind: str) -> None:
    assert exporters(render(remote_backend(kind))) == []


def test_an_exporter_gets_the_password_from_the_servers_secret(render: Render) -> None:
    auth = {"existingSecret": "mine", "existingSecretKey": "word"}
    (exporter,) = exporters(render(with_exporter("redis", auth=auth)))
    assert environment(exporter)["REDIS_PASSWORD"] == {"secretKeyRef": {"name": "mine", "key": "word"}}
    (exporter,) = exporters(render(with_exporter("redis", auth={"enabled": False})))
    assert environment(exporter) == {}


def test_only_who_is_named_reads_the_metrics(render: Render) -> None:
    manifests = render(with_exporter("redis"))
    (server,) = (pod for pod in pods(manifests) if contract.METRICS_PORT in pod.ports)
    for source in (STRANGER, *pods(manifests)):
        assert not lets_in(manifests, Connection(source, server, server.ports[contract.METRICS_PORT])), source.name


def test_a_server_is_reached_although_its_exporter_does_not_run(render: Render) -> None:
    (exporter,) = exporters(render(with_exporter("redis")))
    assert not {"readinessProbe", "startupProbe"} & set(exporter)
    containers = backend_workload(render(with_exporter("redis")))["spec"]["template"]["spec"]["containers"]
    assert [one["name"] for one in containers] == ["redis", "exporter"]
    for chosen, stays in ((with_exporter("redis"), True), (remote_backend("redis"), None)):
        (service,) = (one for one in render(chosen).labelled(component="remote-backend") if one["kind"] == "Service")
        assert service["spec"].get("publishNotReadyAddresses") is stays


@pytest.mark.parametrize("program", ["redis_exporter", "prometheus-redis-exporter"])
def test_the_exporter_starts_under_each_of_its_names_without_the_newline_of_a_file(
    render: Render, tmp_path: Path, program: str
) -> None:
    (exporter,) = exporters(render(with_exporter("redis")))
    stand_in = tmp_path / program
    stand_in.write_text('#!/bin/sh\nprintf "%s|" "$REDIS_PASSWORD" "$@"\n', encoding="utf-8")
    stand_in.chmod(0o755)
    variables = {"PATH": f"{tmp_path}{os.pathsep}/bin", "REDIS_PASSWORD": f"{PASSWORD}\n"}
    command = [*exporter["command"], *exporter["args"]]
    done = subprocess.run(command, env=variables, capture_output=True, text=True, check=True)
    assert done.stdout.split("|") == [PASSWORD, *exporter["args"], ""]


def test_an_image_without_the_program_says_so(render: Render, tmp_path: Path) -> None:
    (exporter,) = exporters(render(with_exporter("redis")))
    shell, *words = exporter["command"]
    done = subprocess.run(
        [f"/bin/{shell}", *words], env={"PATH": str(tmp_path)}, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (127, "this image has no redis_exporter\n")
