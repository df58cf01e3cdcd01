"""Ports of this machine for the pods of a release."""

import socket
from dataclasses import replace
from pathlib import Path

import pytest
from small_pod import container, plan

from lmcache_kserve.errors import HarnessError
from lmcache_kserve.local.ports import assign_ports, service_addresses


def test_a_pod_of_a_stateful_set_has_a_name_and_ports_of_its_own() -> None:
    pods = [replace(plan(container()), name=f"web-{ordinal}", subdomain="web") for ordinal in range(2)]
    ports = assign_ports(pods)
    service = {"metadata": {"name": "web"}, "spec": {"selector": {"app": "web"}, "ports": [{"port": 8080}]}}
    addresses = service_addresses([service], pods, ports, namespace="models")
    local = [ports[pod.name][8080] for pod in pods]
    assert len(set(local)) == 2
    assert addresses.rewrite("web-0.web.models.svc:8080 web-1.web:8080 web:8080") == (
        f"127.0.0.1:{local[0]} 127.0.0.1:{local[1]} 127.0.0.1:{local[0]}"
    )


def test_no_socket_that_names_no_port_can_take_a_pods() -> None:
    ports = assign_ports([replace(plan(container()), name=f"web-{ordinal}") for ordinal in range(50)])
    first, last = map(int, Path("/proc/sys/net/ipv4/ip_local_port_range").read_text(encoding="ascii").split())
    local = [port for of_pod in ports.values() for port in of_pod.values()]
    assert len(set(local)) == 50
    assert [port for port in local if first <= port <= last] == []


def test_a_port_in_use_is_given_to_no_pod(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        used, free = taken.getsockname()[1], reserved.getsockname()[1]
        reserved.close()
        monkeypatch.setattr("random.sample", lambda *_: [used, free])
        pod_plan = plan(container())
        assert list(assign_ports([pod_plan])[pod_plan.name].values()) == [free]
        monkeypatch.setattr("random.sample", lambda *_: [used])
        with pytest.raises(HarnessError, match="1 ports above 20000 are needed"):
            assign_ports([pod_plan])
