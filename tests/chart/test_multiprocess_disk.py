"""The disk tier of mode multiprocess: the server's adapter, its folder, and its volume in either placement."""

import json
from collections.abc import Mapping
from typing import Any

import pytest
from problems.case import KNATIVE
from rendering import Render, merged, pod

from lmcache_kserve.chart import policies
from lmcache_kserve.chart.manifests import Manifests, sidecars
from lmcache_kserve.lmcache.arguments import options
from lmcache_kserve.lmcache.settings import DISK_MODULE

NODE: dict[str, Any] = {"multiprocess": {"placement": "daemonset", "transferMode": "engine_driven"}}
PLACEMENTS = pytest.mark.parametrize("placement", [{}, NODE], ids=["sidecar", "daemonset"])
SCRIPTS = {"bounded_disk.py", "clean_filesystem.py"}


def disk(placement: Mapping[str, Any], values: Mapping[str, Any] | None = None, **own: Any) -> dict[str, Any]:
    tier = {"mode": "multiprocess", "localDisk": {"enabled": True, "sizeGB": 2.5, **own}}
    return merged({"lmcache": {**tier, **placement}}, values or {})


def server(manifests: Manifests) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """The server's container and the spec of its pod."""
    if sets := manifests.of_kind("DaemonSet"):
        spec = sets[0]["spec"]["template"]["spec"]
        return spec["containers"][0], spec
    spec = pod(manifests).spec
    (container,) = sidecars(spec)
    return container, spec


def adapters(manifests: Manifests) -> list[dict[str, Any]]:
    return [json.loads(text) for text in options(server(manifests)[0]["args"], "--l2-adapter")]


def volume(manifests: Manifests) -> dict[str, Any]:
    """The volume of the disk, which the server's container mounts and no other."""
    container, spec = server(manifests)
    for one in [*spec.get("initContainers", ()), *spec["containers"]]:
        mounts = [mount["mountPath"] for mount in one["volumeMounts"] if mount["name"] == "lmcache-disk"]
        assert mounts == (["/var/lib/lmcache"] if one is container else [])
    (found,) = (dict(one) for one in spec["volumes"] if one["name"] == "lmcache-disk")
    return found


@PLACEMENTS
@pytest.mark.parametrize(("backend", "behind"), [("none", []), ("redis", ["resp"]), ("filesystem", ["fs"])], ids=str)
def test_the_disk_comes_before_the_backend(
    render: Render, placement: dict[str, Any], backend: str, behind: list[str]
) -> None:
    first, *others = adapters(render(disk(placement, {"remoteBackend": {"type": backend}})))
    assert first == {
        "type": "plugin",
        "module_path": DISK_MODULE,
        "class_name": "BoundedDisk",
        "adapter_params": {"base_path": "/var/lib/lmcache", "max_bytes": int(2.5 * 2**30)},
    }
    assert [one["type"] for one in others] == behind


@PLACEMENTS
def test_the_adapter_lies_beside_the_script_that_runs_the_server(render: Render, placement: dict[str, Any]) -> None:
    manifests = render(disk(placement))
    assert server(manifests)[0]["command"][-1].endswith("/mp_server.py")
    assert manifests.one("ConfigMap", "llm-lmcache-kserve-scripts")["data"].keys() >= SCRIPTS


@pytest.mark.parametrize(
    "values",
    [
        disk({}, enabled=False),
        {"lmcache": {"localDisk": {"enabled": True, "sizeGB": 1}}},
    ],
    ids=["no disk", "in-process"],
)
def test_nobody_else_gets_the_adapter(render: Render, values: dict[str, Any]) -> None:
    assert not SCRIPTS & render(values).one("ConfigMap", "llm-lmcache-kserve-scripts")["data"].keys()


@PLACEMENTS
def test_a_server_has_one_disk_however_many_workers_it_serves(render: Render, placement: dict[str, Any]) -> None:
    manifests = render(disk(placement, {"predictor": {"gpu": {"count": 4}}}))
    assert volume(manifests)["emptyDir"] == {"sizeLimit": "3Gi"}
    assert server(manifests)[0]["resources"]["requests"]["ephemeral-storage"] == "3Gi"
    assert "ephemeral-storage" not in pod(manifests).container["resources"]["requests"]
    assert policies.check(manifests) == []


def test_the_users_request_of_ephemeral_storage_wins(render: Render) -> None:
    mode = {"multiprocess": {"resources": {"requests": {"ephemeral-storage": "7Gi"}}}}
    assert server(render(disk(mode)))[0]["resources"]["requests"]["ephemeral-storage"] == "7Gi"


@PLACEMENTS
def test_a_claim_of_each_pod_takes_nothing_from_the_node(render: Render, placement: dict[str, Any]) -> None:
    manifests = render(disk(placement, volume={"type": "ephemeral", "storageClassName": "fast"}, sizeGB=100))
    claim = volume(manifests)["ephemeral"]["volumeClaimTemplate"]["spec"]
    assert (claim["storageClassName"], claim["resources"]["requests"]["storage"]) == ("fast", "110Gi")
    assert "ephemeral-storage" not in server(manifests)[0]["resources"]["requests"]


def test_the_server_of_one_replica_can_have_a_claim_that_stays(render: Render) -> None:
    one = {"predictor": {"replicas": 1}}
    manifests = render(disk({}, one, volume={"type": "existingClaim", "existingClaim": "mine"}))
    assert volume(manifests)["persistentVolumeClaim"] == {"claimName": "mine"}


def test_the_servers_of_the_nodes_have_claims_where_the_replicas_may_not(render: Render) -> None:
    manifests = render(disk(NODE, KNATIVE, volume={"type": "ephemeral"}))
    assert "ephemeral" in volume(manifests)
    assert "lmcache-disk" not in [one["name"] for one in pod(manifests).spec["volumes"]]
