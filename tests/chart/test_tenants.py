"""Tenants in mode multiprocess: salts that stay out of LMCache, shares of the server's memory, and encryption."""

import hashlib
import json
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from cache_server import CPU, adapter, connector, name_of, server
from rendering import CHART, NEWEST, Render, environment, option, pod

from lmcache_kserve.chart.helm import Helm, HelmError
from lmcache_kserve.chart.manifests import Manifests

QUOTAS = [{"salt": "acme", "sizeGB": 2}, {"salt": "a/b", "sizeGB": "1.5"}]
ENCRYPTION = {"enabled": True, "existingSecret": "kv-keys", "existingSecretKey": "2026"}
KEY_FILE = "/etc/lmcache-tenants/master-key"
PLACEMENTS = pytest.mark.parametrize("placement", ["sidecar", "daemonset"])


def tenants(values: dict[str, Any] | None = None, *, mode: dict[str, Any] | None = None, **own: Any) -> dict[str, Any]:
    lmcache = {"mode": "multiprocess", "multiprocess": mode or {}, "tenants": {"enabled": True, **own}}
    return {"lmcache": lmcache, **NEWEST, **(values or {})}


def scripts(manifests: Manifests) -> dict[str, str]:
    data: dict[str, str] = manifests.one("ConfigMap", "llm-lmcache-kserve-scripts")["data"]
    return data


def volumes(manifests: Manifests) -> dict[str, Any]:
    """The volumes of the server's pod."""
    sets = manifests.of_kind("DaemonSet")
    found = sets[0]["spec"]["template"]["spec"]["volumes"] if sets else pod(manifests).spec["volumes"]
    return {volume["name"]: volume for volume in found}


def test_nothing_of_tenants_is_rendered_unless_asked(render: Render) -> None:
    off = render({"lmcache": {"mode": "multiprocess"}})
    assert not {"salts.py", "tenant_mp_connector.py", "tenant_mp_server.py", "quotas.json"} & scripts(off).keys()
    assert connector(off)["kv_connector"] == "CheckedLMCacheMPConnector"
    assert option(server(off)["args"], "--eviction-policy") == "LRU"
    assert "lmcache-master-key" not in volumes(off)


@PLACEMENTS
def test_the_engine_names_tenants_without_their_salts(render: Render, placement: str) -> None:
    manifests = render(tenants(mode={"placement": placement}))
    assert connector(manifests)["kv_connector"] == "TenantLMCacheMPConnector"
    assert connector(manifests)["kv_connector_module_path"] == "tenant_mp_connector"
    beside = {"tenant_mp_connector.py", "shared_mp_connector.py", "checked_mp_connector.py", "salts.py", "unproven.py"}
    assert beside <= scripts(manifests).keys()
    assert not {"tenant_mp_server.py", "quotas.json"} & scripts(manifests).keys()
    assert server(manifests)["command"][-1].endswith("/mp_server.py")


@PLACEMENTS
def test_quotas_are_told_by_the_names_that_the_engine_uses(render: Render, placement: str) -> None:
    manifests = render(tenants(mode={"placement": placement}, quotas=QUOTAS))
    assert json.loads(scripts(manifests)["quotas.json"]) == {name_of("acme"): 2 << 30, name_of("a/b"): 3 << 29}
    assert server(manifests)["command"][-1].endswith("/tenant_mp_server.py")
    assert server(manifests)["args"][0] == "mp_server"
    assert option(server(manifests)["args"], "--eviction-policy") == "noop"
    for probe in ("startupProbe", "livenessProbe"):
        assert server(manifests)[probe]["exec"]["command"][1].endswith("/mp_server.py")
    assert "acme" not in manifests.text


def test_a_hash_takes_the_place_of_a_salt_that_is_a_secret(render: Render) -> None:
    digest = hashlib.sha256(b"acme").hexdigest()
    for written in (digest, digest[:32]):
        manifests = render(tenants(quotas=[{"salt": f"sha256:{written}", "sizeGB": 1}]))
        assert json.loads(scripts(manifests)["quotas.json"]) == {name_of("acme"): 1 << 30}


def test_the_memory_that_the_engine_shares_can_be_divided_too(render: Render) -> None:
    values = tenants(CPU, mode={"l1": {"shared": True}}, quotas=QUOTAS)
    manifests = render(values)
    assert server(manifests)["command"][-1].endswith("/tenant_mp_server.py")
    assert server(manifests)["args"][0] == "shared_mp_server"
    assert {"tenant_mp_server.py", "shared_mp_server.py", "mp_server.py"} <= scripts(manifests).keys()
    assert connector(manifests)["kv_connector_module_path"] == "tenant_mp_connector"


def test_quotas_may_take_all_of_the_memory(render: Render) -> None:
    manifests = render(tenants(quotas=[{"salt": f"tenant {number}", "sizeGB": 0.1} for number in range(50)]))
    assert len(json.loads(scripts(manifests)["quotas.json"])) == 50


@PLACEMENTS
def test_other_quotas_restart_the_servers(render: Render, placement: str) -> None:
    def checksum(size: float) -> str:
        manifests = render(tenants(mode={"placement": placement}, quotas=[{"salt": "acme", "sizeGB": size}]))
        sets = manifests.of_kind("DaemonSet")
        template = sets[0]["spec"]["template"] if sets else manifests.one("InferenceService")["spec"]["predictor"]
        annotations = template["metadata"]["annotations"] if sets else template["annotations"]
        return str(annotations["checksum/scripts"])

    assert checksum(1) != checksum(2)


@PLACEMENTS
def test_the_server_alone_gets_the_master_key_as_a_file(render: Render, placement: str) -> None:
    manifests = render(tenants(mode={"placement": placement, "l2Workers": 3}, encryption=ENCRYPTION))
    found = adapter(manifests)
    assert found
    assert found["serde"] == {"type": "aesgcm", "aes_bits": 256, "master_key_path": KEY_FILE, "max_workers": 3}
    assert found["type"] == "resp"
    assert found["port"] == 6379
    volume = volumes(manifests)["lmcache-master-key"]
    assert volume["secret"] == {"secretName": "kv-keys", "items": [{"key": "2026", "path": "master-key"}]}
    mounts = {mount["name"]: mount for mount in server(manifests)["volumeMounts"]}
    assert mounts["lmcache-master-key"]["mountPath"] == "/etc/lmcache-tenants"
    assert "lmcache-master-key" not in {mount["name"] for mount in pod(manifests).container["volumeMounts"]}


@pytest.mark.parametrize("kind", ["valkey", "redis-sentinel", "filesystem", "s3"])
def test_every_backend_of_the_mode_can_be_encrypted(render: Render, kind: str) -> None:
    backend: dict[str, Any] = {"type": kind}
    if kind == "s3":
        backend["s3"] = {"bucket": "kv", "external": {"endpoint": "s3.example.com"}}
    found = adapter(render(tenants({"remoteBackend": backend}, encryption=ENCRYPTION)))
    assert found
    assert found["serde"]["type"] == "aesgcm"


def test_another_master_key_means_another_cache(render: Render) -> None:
    """What another key has encrypted, or none, would be found and could not be loaded."""

    def seed(**own: Any) -> str:
        manifests = render(tenants(**own))
        engine, cache = pod(manifests).container, server(manifests)
        seeds = {environment(container)["PYTHONHASHSEED"] for container in (engine, cache)}
        assert len(seeds) == 1
        return str(seeds.pop())

    keys = [ENCRYPTION, ENCRYPTION | {"existingSecret": "other"}, ENCRYPTION | {"existingSecretKey": "2027"}]
    assert len({seed(), *(seed(encryption=key) for key in keys)}) == 4
    assert seed() == seed(quotas=QUOTAS)


def test_the_notes_name_the_field_and_warn_where_quotas_leave_no_rest(
    notes: Callable[[Mapping[str, Any]], str],
) -> None:
    assert '"cache_salt"' in notes(tenants())
    assert "cache_salt" not in notes({})
    warning = "WARNING: lmcache.tenants.quotas"
    assert warning not in notes(tenants(quotas=QUOTAS))
    assert warning in notes(tenants(quotas=[{"salt": "a", "sizeGB": 5}]))


def test_a_quota_without_a_size_is_refused_by_the_schema(helm: Helm) -> None:
    with pytest.raises(HelmError, match="sizeGB"):
        helm.template(CHART, release="llm", namespace="models", values=tenants(quotas=[{"salt": "a"}]))
