"""Network policies: whoever connects to a pod of the release is let out and let in, and nobody else is."""

from typing import Any

import pytest
from network import STRANGER, Connection, connections, lets_in, lets_out, lets_resolve, pods
from rendering import CHART, REPOSITORY, Render

from lmcache_kserve.chart.manifests import Manifests
from lmcache_kserve.lmcache.backends import MULTIPROCESS, TRAITS

PEER = {"namespaceSelector": {"matchLabels": {"name": "gateway"}}}
CLOSED: dict[str, Any] = {
    "enabled": True,
    "predictor": {"ingressFrom": [PEER], "egress": [{"ports": [{"port": 443}]}]},
    "backend": {"ingressFrom": [PEER]},
}
"""Policies that restrict every direction that values can restrict."""

IN_PROCESS: dict[str, Any] = {"mode": "in-process"}
SIDECAR: dict[str, Any] = {"mode": "multiprocess", "multiprocess": {"placement": "sidecar"}}
DAEMONSET: dict[str, Any] = {
    "mode": "multiprocess",
    "multiprocess": {"placement": "daemonset", "transferMode": "engine_driven"},
}
PLACEMENTS = {"in-process": IN_PROCESS, "sidecar": SIDECAR, "daemonset": DAEMONSET}

FILES = {
    "none": CHART / "ci" / "cpu-memory-values.yaml",
    **{backend: CHART / "ci" / f"{backend}-values.yaml" for backend in TRAITS},
    "infinistore": REPOSITORY / "values" / "infinistore.yaml",  # the file in ci/ deploys none: it has no RDMA
    "external-redis-sentinel": REPOSITORY / "values" / "external-redis-sentinel.yaml",
}
CASES = [
    pytest.param(FILES[backend], lmcache, id=f"{backend}-{placement}")
    for backend in FILES
    for placement, lmcache in PLACEMENTS.items()
    if placement == "in-process" or backend in MULTIPROCESS | {"none", "external-redis-sentinel"}
]
LISTENS = {"redis": 1, "valkey": 1, "redis-sentinel": 3, "lmcache-server": 1, "mooncake": 2, "infinistore": 1}


@pytest.fixture
def manifests(render: Render, file: Any, lmcache: dict[str, Any]) -> Manifests:
    return render({"lmcache": lmcache, "networkPolicy": CLOSED}, files=[file])


def listeners(manifests: Manifests) -> set[str]:
    return {connection.target.name for connection in connections(manifests)}


@pytest.mark.parametrize(("file", "lmcache"), CASES)
def test_who_connects_passes_the_policies_of_both_ends(manifests: Manifests) -> None:
    opened = connections(manifests)
    assert opened
    for direction, passes in (("out", lets_out), ("in", lets_in)):
        for one in opened:
            assert passes(manifests, one), f"{one.source.name} -> {one.target.name}:{one.port} is not let {direction}"


@pytest.mark.parametrize(("file", "lmcache"), CASES)
@pytest.mark.parametrize("port", [53, 5353])
@pytest.mark.parametrize("protocol", ["UDP", "TCP"])
def test_who_connects_to_a_name_may_resolve_the_name(manifests: Manifests, port: int, protocol: str) -> None:
    for source in {one.source.name: one.source for one in connections(manifests)}.values():
        assert lets_resolve(manifests, source, port, protocol), f"{source.name} is not let out to {protocol} {port}"


@pytest.mark.parametrize(("file", "lmcache"), CASES)
def test_who_has_no_business_with_a_backend_is_not_let_in(manifests: Manifests) -> None:
    opened = connections(manifests)
    served = {(one.target.name, one.port): one.target for one in opened}
    backends = {
        key: pod for key, pod in served.items() if pod.labels["app.kubernetes.io/component"] == "remote-backend"
    }
    for (name, port), target in backends.items():
        business = {one.source.name for one in opened if (one.target.name, one.port) == (name, port)}
        own = target.labels["app.kubernetes.io/component"]
        for source in [STRANGER, *pods(manifests)]:
            if source.name not in business and source.labels.get("app.kubernetes.io/component") != own:
                assert not lets_in(manifests, Connection(source, target, port)), f"{source.name} is let in to {name}"


@pytest.mark.parametrize("backend", LISTENS)
def test_these_tests_see_the_pods_that_listen(render: Render, backend: str) -> None:
    manifests = render(files=[FILES[backend]])
    listening = [pod.name for pod in pods(manifests) if pod.name in listeners(manifests)]
    assert len(listening) == LISTENS[backend] + 1  # and the predictor, for `helm test`


PARTS = {
    "predictor": "predictor",
    "remote-backend": "backend",
    "cache-server": "cacheServer",
    "cache-cleaner": "cleaner",
    "test": "test",
}
"""Components, and what the values call each of them."""

MESH_PORT = 15008


def extra(part: str) -> dict[str, Any]:
    """Rules that no other part has."""
    number = MESH_PORT + list(PARTS.values()).index(part)
    rule = {"ports": [{"port": number, "protocol": "TCP"}]}
    return {"extraIngress": [rule], "extraEgress": [rule]}


@pytest.mark.parametrize(("file", "lmcache"), CASES)
def test_every_policy_has_the_users_further_rules_of_its_part_in_both_directions(
    render: Render, file: Any, lmcache: dict[str, Any]
) -> None:
    rules = {part: CLOSED.get(part, {}) | extra(part) for part in PARTS.values()}
    manifests = render({"lmcache": lmcache, "networkPolicy": {"enabled": True, **rules}}, files=[file])
    every = [rule for part in PARTS.values() for rule in extra(part)["extraIngress"]]
    policies = manifests.of_kind("NetworkPolicy")
    assert len(policies) >= 2
    for policy in policies:
        wanted = extra(PARTS[policy["metadata"]["labels"]["app.kubernetes.io/component"]])
        for direction in ("ingress", "egress"):
            found = [rule for rule in policy["spec"][direction] if rule in every]
            assert found == wanted[f"extra{direction.title()}"], policy["metadata"]["name"]


@pytest.mark.parametrize(("file", "lmcache"), CASES)
def test_who_gets_a_further_target_may_resolve_its_name(render: Render, file: Any, lmcache: dict[str, Any]) -> None:
    rules = {part: CLOSED.get(part, {}) | extra(part) for part in PARTS.values()}
    manifests = render({"lmcache": lmcache, "networkPolicy": {"enabled": True, **rules}}, files=[file])
    for policy in manifests.of_kind("NetworkPolicy"):
        opened = {port["port"] for rule in policy["spec"]["egress"] if "to" not in rule for port in rule["ports"]}
        assert {53, 5353} <= opened, policy["metadata"]["name"]


def test_a_further_target_alone_closes_nothing(render: Render) -> None:
    manifests = render({"networkPolicy": {"predictor": {"extraEgress": extra("predictor")["extraEgress"]}}})
    (policy,) = (one for one in manifests.labelled(component="predictor") if one["kind"] == "NetworkPolicy")
    assert policy["spec"]["policyTypes"] == ["Ingress"]
