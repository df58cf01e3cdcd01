"""The client direct in mode multiprocess: when LMCache's server uses it, and what the server is told."""

import json
import re
from typing import Any

import pytest
from rendering import CHART, NEWEST, PASSWORD, Render, environment, option, pod, remote_backend

from lmcache_kserve.chart.helm import Helm, HelmError
from lmcache_kserve.chart.manifests import Manifests, sidecars

KINDS = ("redis", "valkey", "redis-sentinel")
ENDPOINT = {"endpoint": "cache.example.com:6380"}
ENCRYPTED = {**ENDPOINT, "tls": {"enabled": True}}
NUMBERED = {**ENDPOINT, "database": 3}
MODULES = {"direct_client.py", "direct_redis.py", "redis_connections.py"}


def values(kind: str = "redis", **backend: Any) -> dict[str, Any]:
    return {"lmcache": {"mode": "multiprocess"}, **remote_backend(kind, **backend)}


def external(kind: str = "redis", **backend: Any) -> dict[str, Any]:
    return values(kind, deploy=False, auth={"existingSecret": "login"}, **backend)


def adapter(manifests: Manifests) -> dict[str, Any]:
    (container,) = sidecars(pod(manifests).spec)
    value = option(container["args"], "--l2-adapter")
    assert value
    found: dict[str, Any] = json.loads(value)
    return found


def scripts(manifests: Manifests) -> dict[str, str]:
    found: dict[str, str] = manifests.one("ConfigMap", "llm-lmcache-kserve-scripts")["data"]
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_the_client_direct_is_a_plugin_of_the_server(render: Render, kind: str) -> None:
    chosen = values(kind, client="direct", timeouts={"connectSeconds": 0.5, "commandSeconds": 3})
    chosen["lmcache"] = {"mode": "multiprocess", "multiprocess": {"l2Workers": 3}}
    manifests = render(chosen)
    host = "redis-sentinel" if kind == "redis-sentinel" else kind
    found = adapter(manifests)
    assert found == {
        "type": "native_plugin",
        "module_path": "direct_client",
        "class_name": "DirectClient",
        "adapter_params": {
            "direct_redis_url": f"redis://llm-lmcache-kserve-{host}.models.svc:6379/0",
            "direct_redis_connections": 3,
            "direct_redis_connect_s": 0.5,
            "direct_redis_command_s": 3,
        },
    }
    assert f"class {found['class_name']}:" in scripts(manifests)[f"{found['module_path']}.py"]


def test_every_module_that_the_client_imports_is_mounted(render: Render) -> None:
    mounted = scripts(render(values(client="direct")))
    ours = {file.stem for file in (CHART / "files").glob("*.py")}
    for name in MODULES:
        imported = set(re.findall(r"(?m)^from (\w+) import ", mounted[name])) & ours
        assert {f"{module}.py" for module in imported} <= mounted.keys()
    assert {"mp_server.py", *MODULES} <= mounted.keys()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("client", ["redis-py", "auto"])
def test_lmcaches_own_client_stays_where_it_can_do_what_is_asked_for(render: Render, kind: str, client: str) -> None:
    manifests = render(values(kind, client=client))
    assert adapter(manifests)["type"] == "resp"
    assert not MODULES & scripts(manifests).keys()


@pytest.mark.parametrize("server", [ENCRYPTED, NUMBERED], ids=["TLS", "a database"])
@pytest.mark.parametrize("kind", ["redis", "valkey"])
def test_auto_is_direct_where_lmcaches_own_client_cannot_do_it(
    render: Render, kind: str, server: dict[str, Any]
) -> None:
    manifests = render(external(kind, client="auto", external=server))
    assert adapter(manifests)["type"] == "native_plugin"
    assert scripts(manifests).keys() >= MODULES
    plain = render(external(kind, client="auto", external=ENDPOINT))
    assert adapter(plain)["type"] == "resp"


def test_a_database_behind_the_proxy_is_reached_too(render: Render) -> None:
    chosen = external("redis-sentinel", client="auto", external={"servers": ["a:6379"], "database": 2})
    url = adapter(render(chosen))["adapter_params"]["direct_redis_url"]
    assert url == "redis://llm-lmcache-kserve-redis-sentinel.models.svc:6379/2"


def test_tls_behind_the_proxy_is_the_proxys(render: Render) -> None:
    chosen = external("redis-sentinel", client="auto", external={"servers": ["a:6379"], "tls": {"enabled": True}})
    assert adapter(render(chosen))["type"] == "resp"


@pytest.mark.parametrize("placement", ["sidecar", "daemonset"])
def test_certificates_are_where_the_server_reads_them(render: Render, placement: str) -> None:
    tls = {"enabled": True, "caSecret": "authority", "caSecretKey": "bundle.pem", "clientSecret": "identity"}
    chosen = external(client="direct", external={**NUMBERED, "tls": tls})
    chosen["lmcache"] = {"mode": "multiprocess", "multiprocess": {"placement": placement}}
    manifests = render({**NEWEST, **chosen, "lmcache": {**NEWEST.get("lmcache", {}), **chosen["lmcache"]}})
    if placement == "daemonset":
        spec = manifests.one("DaemonSet")["spec"]["template"]["spec"]
        (container,) = spec["containers"]
    else:
        spec = pod(manifests).spec
        (container,) = sidecars(spec)
    value = option(container["args"], "--l2-adapter")
    assert value
    settings = json.loads(value)["adapter_params"]
    assert settings["direct_redis_url"] == "rediss://cache.example.com:6380/3"
    assert settings["direct_redis_verify"] is True
    sources = {volume["name"]: volume.get("secret", {}).get("secretName") for volume in spec["volumes"]}
    mounted = {mount["mountPath"]: sources[mount["name"]] for mount in container["volumeMounts"]}
    for name, file, secret in (
        ("ca", "bundle.pem", "authority"),
        ("certificate", "tls.crt", "identity"),
        ("key", "tls.key", "identity"),
    ):
        folder, _, found = settings[f"direct_redis_{name}"].rpartition("/")
        assert (found, mounted[folder]) == (file, secret)


def test_a_server_that_is_not_verified_is_a_setting(render: Render) -> None:
    server = {**ENDPOINT, "tls": {"enabled": True, "verify": False}}
    settings = adapter(render(external(client="direct", external=server)))["adapter_params"]
    assert settings["direct_redis_verify"] is False
    assert not settings.keys() & {"direct_redis_ca", "direct_redis_certificate", "direct_redis_key"}


def test_user_and_password_are_in_the_servers_environment_alone(render: Render) -> None:
    auth = {"password": PASSWORD, "username": "cache"}
    manifests = render(values(client="direct", deploy=False, external=ENDPOINT, auth=auth))
    (container,) = sidecars(pod(manifests).spec)
    variables = environment(container)
    assert variables["LMCACHE_RESP_USERNAME"] == "cache"
    assert "secretKeyRef" in variables["LMCACHE_RESP_PASSWORD"]
    assert PASSWORD not in json.dumps(pod(manifests).spec)
    assert "cache" not in json.dumps(adapter(manifests)["adapter_params"]).replace("cache.example.com", "")


@pytest.mark.parametrize("client", ["redis-py", "auto", "direct"])
def test_what_lmcaches_own_client_lacks_is_refused_for_it_alone(helm: Helm, client: str) -> None:
    chosen = external(client=client, external={**ENCRYPTED, "database": 3})
    if client != "redis-py":
        assert helm.template(CHART, release="llm", namespace="models", values=chosen)
        return
    with pytest.raises(HelmError) as caught:
        helm.template(CHART, release="llm", namespace="models", values=chosen)
    for value in ("external.tls.enabled", "external.database"):
        assert f"remoteBackend.redis.{value}: LMCache's client of lmcache.mode multiprocess" in str(caught.value)
    assert "use remoteBackend.redis.client auto" in str(caught.value)


def test_a_release_without_mode_multiprocess_is_refused_by_name(helm: Helm) -> None:
    chosen = external(client="direct", external=ENCRYPTED)
    chosen["lmcache"] = {"mode": "multiprocess", "version": "0.4.7"}
    with pytest.raises(HelmError) as caught:
        helm.template(CHART, release="llm", namespace="models", values=chosen)
    assert "lmcache.mode: multiprocess needs LMCache 0.5.0 or newer, but lmcache.version is 0.4.7" in str(caught.value)
    assert "1 problem " in str(caught.value)
