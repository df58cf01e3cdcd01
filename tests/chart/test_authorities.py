"""Certificate authorities from a Secret or a ConfigMap, and the recipe for a new password."""

from typing import Any

import pytest
from rendering import Render, environment, lmcache_extra_config, pod, remote_backend

from lmcache_kserve.chart.manifests import Manifests

LOGIN: dict[str, Any] = {"auth": {"existingSecret": "login"}}


def external(backend: str, tls: dict[str, Any]) -> dict[str, Any]:
    """Values for a server that exists already."""
    if backend == "s3":
        return remote_backend("s3", bucket="kv", external={"endpoint": "s3.example.com", "tls": tls}, **LOGIN)
    address = {"servers": ["a:6379"]} if backend == "redis-sentinel" else {"endpoint": "a:6379"}
    return remote_backend(backend, deploy=False, external={**address, "tls": {"enabled": True, **tls}}, **LOGIN)


def authority(manifests: Manifests, backend: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """The volume with the authority, and its mount in the container that connects."""
    spec, container = pod(manifests).spec, pod(manifests).container
    if backend == "redis-sentinel":
        (workload,) = manifests.of_kind("Deployment")
        spec = workload["spec"]["template"]["spec"]
        (container,) = spec["containers"]
    name = "ca" if backend == "redis-sentinel" else "backend-ca"
    (volume,) = (one for one in spec["volumes"] if one["name"] == name)
    (mount,) = (one for one in container["volumeMounts"] if one["name"] == name)
    return volume, mount


@pytest.mark.parametrize("backend", ["redis", "valkey", "redis-sentinel", "s3"])
def test_an_authority_comes_from_a_secret_or_a_configmap_to_the_same_place(render: Render, backend: str) -> None:
    key = {"caSecretKey": "bundle.pem"}
    from_secret, mount = authority(render(external(backend, {"caSecret": "mine", **key})), backend)
    from_map, same = authority(render(external(backend, {"caConfigMap": "mine", **key})), backend)
    assert mount == same
    assert from_secret["secret"]["secretName"] == "mine"
    assert from_map["configMap"]["name"] == "mine"
    assert "secret" not in from_map
    assert from_secret["secret"].get("items") == from_map["configMap"].get("items")


@pytest.mark.parametrize("backend", ["redis", "valkey"])
def test_every_client_reads_the_authority_from_where_it_is_mounted(render: Render, backend: str) -> None:
    values = external(backend, {"caConfigMap": "mine", "caSecretKey": "bundle.pem"})
    manifests = render(values)
    _, mount = authority(manifests, backend)
    url = environment(pod(manifests).container)["REMOTE_BACKEND_URL"]
    assert f"ssl_ca_certs={mount['mountPath']}/bundle.pem" in url
    values["remoteBackend"][backend]["client"] = "direct"
    assert lmcache_extra_config(render(values))["direct_redis_ca"] == f"{mount['mountPath']}/bundle.pem"


DAEMONSET: dict[str, Any] = {
    "mode": "multiprocess",
    "multiprocess": {
        "placement": "daemonset",
        "transferMode": "engine_driven",
        "daemonset": {"podAnnotations": {"restarted": "1"}},
    },
}


@pytest.mark.parametrize("backend", ["redis", "valkey", "redis-sentinel"])
def test_the_recipe_for_a_new_password_restarts_every_pod_that_has_the_password(render: Render, backend: str) -> None:
    values = remote_backend(backend, **LOGIN)
    values["remoteBackend"]["pod"] = {"podAnnotations": {"restarted": "1"}}
    manifests = render({**values, "lmcache": DAEMONSET, "predictor": {"podAnnotations": {"restarted": "1"}}})
    templates = [
        one["spec"]["template"]
        for kind in ("Deployment", "StatefulSet", "DaemonSet")
        for one in manifests.of_kind(kind)
        if "login" in str(one["spec"]["template"])
    ]
    assert len(templates) >= 2
    assert {template["metadata"]["annotations"]["restarted"] for template in templates} == {"1"}
    assert manifests.one("InferenceService")["spec"]["predictor"]["annotations"]["restarted"] == "1"
