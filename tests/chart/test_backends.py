"""The remote backends: deployed or external, bounded, closed, and asked whether they live."""

import re
from typing import Any
from urllib.parse import SplitResult, parse_qs, urlsplit

import pytest
from rendering import (
    BACKENDS,
    CHART,
    PASSWORD,
    Render,
    backend_workload,
    environment,
    lmcache_extra_config,
    lmcache_file,
    pod,
    remote_backend,
)

from lmcache_kserve.chart import policies
from lmcache_kserve.chart.helm import Helm, HelmError
from lmcache_kserve.chart.manifests import Manifests

ANY = pytest.mark.parametrize("backend", BACKENDS)
RESP = pytest.mark.parametrize("backend", ["redis", "valkey"])
PORTS = {"redis": 6379, "valkey": 6379, "lmcache-server": 65432}


def container(manifests: Manifests) -> dict[str, Any]:
    (found,) = backend_workload(manifests)["spec"]["template"]["spec"]["containers"]
    return dict(found)


def directives(manifests: Manifests) -> dict[str, str]:
    """The server's configuration file."""
    (config_map,) = (m for m in manifests.labelled(component="remote-backend") if m["kind"] == "ConfigMap")
    (text,) = config_map["data"].values()
    return dict(line.split(" ", 1) for line in text.splitlines() if line.strip())


def remote_url(manifests: Manifests) -> str:
    return str(lmcache_file(manifests)["remote_url"])


def address(manifests: Manifests) -> SplitResult:
    """Where LMCache's usual client of a backend finds the server."""
    direct = lmcache_extra_config(manifests).get("direct_redis_url")
    return urlsplit(direct or remote_url(manifests))


def through_redis_py(backend: str, **values: Any) -> dict[str, Any]:
    return remote_backend(backend, client="redis-py", **values)


@ANY
def test_a_deployed_backend_keeps_every_policy(render: Render, backend: str) -> None:
    assert [str(violation) for violation in policies.check(render(remote_backend(backend)))] == []


def test_without_a_backend_nothing_of_one_is_rendered(render: Render) -> None:
    manifests = render({"remoteBackend": {"type": "none"}})
    assert manifests.labelled(component="remote-backend") == []
    assert "remote_url" not in lmcache_file(manifests)
    assert "initContainers" not in pod(manifests).spec


@ANY
def test_an_external_backend_is_used_and_not_deployed(render: Render, backend: str) -> None:
    values: dict[str, Any] = {"deploy": False, "external": {"endpoint": "cache.example.com:7000"}}
    if backend != "lmcache-server":
        values["auth"] = {"enabled": False}
    manifests = render(remote_backend(backend, **values))
    assert manifests.labelled(component="remote-backend") == []
    assert address(manifests).netloc == "cache.example.com:7000"


@ANY
def test_values_of_another_backend_render_nothing(render: Render, backend: str) -> None:
    (workload,) = (m for m in render(remote_backend(backend)) if m["kind"] in {"Deployment", "StatefulSet"})
    assert workload["metadata"]["name"].endswith(backend)


@ANY
def test_the_predictor_connects_to_the_service_and_the_service_to_the_server(render: Render, backend: str) -> None:
    values = remote_backend(backend, **({} if backend == "lmcache-server" else {"auth": {"enabled": False}}))
    manifests = render(values)
    (service,) = (m for m in manifests.labelled(component="remote-backend") if m["kind"] == "Service")
    url = address(manifests)
    assert url.port == PORTS[backend] == service["spec"]["ports"][0]["port"]
    assert url.hostname is not None
    assert url.hostname.startswith(f"{service['metadata']['name']}.models.svc")
    template = backend_workload(manifests)["spec"]["template"]
    assert service["spec"]["selector"].items() <= template["metadata"]["labels"].items()
    target = service["spec"]["ports"][0].get("targetPort", PORTS[backend])
    assert target in {
        value for port in container(manifests)["ports"] for value in (port["name"], port["containerPort"])
    }


@ANY
def test_the_servers_port_is_a_token_of_its_arguments(render: Render, backend: str) -> None:
    server = container(render(remote_backend(backend)))
    assert str(PORTS[backend]) in server["args"]
    assert PORTS[backend] in [port["containerPort"] for port in server["ports"]]


@RESP
def test_memory_for_chunks_is_four_fifths_of_the_limit(render: Render, backend: str) -> None:
    for limit, expected in (("10Gi", 8 * 2**30), ("1G", 800_000_000), ("512Mi", 429496729)):
        values = remote_backend(backend, resources={"requests": {"memory": "1Gi"}, "limits": {"memory": limit}})
        assert directives(render(values))["maxmemory"] == str(expected)


@RESP
def test_memory_for_chunks_can_be_chosen(render: Render, backend: str) -> None:
    assert directives(render(remote_backend(backend, maxmemory="2Gi")))["maxmemory"] == str(2 * 2**30)


@RESP
def test_old_chunks_give_way_and_nothing_is_written_to_disk(render: Render, backend: str) -> None:
    configuration = directives(render(remote_backend(backend)))
    assert configuration["maxmemory-policy"] == "allkeys-lru"
    assert configuration["save"] == '""'
    assert configuration["appendonly"] == "no"


@RESP
def test_directives_of_the_user_win(render: Render, backend: str) -> None:
    mine = {"maxmemory-policy": "allkeys-lfu", "maxclients": 500, "save": None}
    configuration = directives(render(remote_backend(backend, config=mine)))
    assert configuration["maxmemory-policy"] == "allkeys-lfu"
    assert configuration["maxclients"] == "500"


@RESP
def test_persistence_is_a_stateful_set_with_a_claim(render: Render, backend: str) -> None:
    manifests = render(
        remote_backend(backend, persistence={"enabled": True, "size": "5Gi", "storageClassName": "fast"})
    )
    (claim,) = manifests.one("StatefulSet")["spec"]["volumeClaimTemplates"]
    assert claim["spec"]["resources"]["requests"]["storage"] == "5Gi"
    assert claim["spec"]["storageClassName"] == "fast"
    assert directives(manifests)["appendonly"] == "yes"
    assert manifests.of_kind("Deployment") == []


@RESP
def test_persistence_may_use_a_claim_that_exists(render: Render, backend: str) -> None:
    manifests = render(remote_backend(backend, persistence={"enabled": True, "existingClaim": "mine"}))
    spec = manifests.one("StatefulSet")["spec"]
    assert "volumeClaimTemplates" not in spec
    assert {"claimName": "mine"} in [v.get("persistentVolumeClaim") for v in spec["template"]["spec"]["volumes"]]


@RESP
def test_the_server_has_a_password_that_no_argument_shows(render: Render, backend: str) -> None:
    server = container(render(remote_backend(backend, auth={"password": PASSWORD})))
    assert "requirepass" in " ".join(server["command"])
    assert "secretKeyRef" in environment(server)["REDISCLI_AUTH"]
    assert "umask 077" in " ".join(server["command"])


@RESP
@pytest.mark.parametrize("probe", ["startupProbe", "readinessProbe", "livenessProbe"])
def test_a_probe_is_an_authenticated_ping_that_expects_a_pong(render: Render, backend: str, probe: str) -> None:
    command = container(render(remote_backend(backend)))[probe]["exec"]["command"]
    text = " ".join(command)
    assert f"{backend}-cli" in text
    assert "PONG" in text
    assert "REDISCLI_AUTH" in text
    assert command[command.index("-p") + 1] == "6379"


@RESP
def test_a_dead_backend_does_not_hold_up_a_request(render: Render, backend: str) -> None:
    values = through_redis_py(backend, auth={"enabled": False}, timeouts={"connectSeconds": 0.5, "commandSeconds": 3})
    query = parse_qs(urlsplit(remote_url(render(values))).query)
    assert query["socket_connect_timeout"] == ["0.5"]
    assert query["socket_timeout"] == ["3"]
    assert "socket_timeout=" in environment(pod(render(through_redis_py(backend))).container)["REMOTE_BACKEND_URL"]


@RESP
@pytest.mark.parametrize("auth", [True, False])
def test_a_connection_to_a_replaced_server_loses_no_command(render: Render, backend: str, *, auth: bool) -> None:
    manifests = render(through_redis_py(backend, auth={"enabled": auth}))
    url = environment(pod(manifests).container)["REMOTE_BACKEND_URL"] if auth else remote_url(manifests)
    query = parse_qs(urlsplit(url).query)
    assert query["health_check_interval"] == ["1"]
    assert query["retry_on_timeout"] == ["true"]


@RESP
def test_tls_verifies_with_the_users_authority_and_certificate(render: Render, backend: str) -> None:
    tls = {"enabled": True, "caSecret": "ca", "clientSecret": "client"}
    external = {"endpoint": "cache.example.com:6380", "database": 3, "tls": tls}
    manifests = render(through_redis_py(backend, deploy=False, external=external, auth={"existingSecret": "a"}))
    url = urlsplit(environment(pod(manifests).container)["REMOTE_BACKEND_URL"])
    query = {key: value for key, (value,) in parse_qs(url.query).items()}
    assert (url.scheme, url.netloc, url.path) == ("rediss", "cache.example.com:6380", "/3")
    assert query["ssl_cert_reqs"] == "required"
    mounted = {mount["mountPath"]: mount["name"] for mount in pod(manifests).container["volumeMounts"]}
    secrets = {
        volume["name"]: volume["secret"]["secretName"]
        for volume in pod(manifests).spec["volumes"]
        if "secret" in volume
    }
    for option, secret in (("ssl_ca_certs", "ca"), ("ssl_certfile", "client"), ("ssl_keyfile", "client")):
        (folder,) = (path for path in mounted if query[option].startswith(f"{path}/"))
        assert secrets[mounted[folder]] == secret


@RESP
def test_tls_without_verification_has_to_be_asked_for(render: Render, backend: str) -> None:
    external = {"endpoint": "cache.example.com:6380", "tls": {"enabled": True, "verify": False}}
    manifests = render(through_redis_py(backend, deploy=False, external=external, auth={"enabled": False}))
    assert parse_qs(urlsplit(remote_url(manifests)).query)["ssl_cert_reqs"] == ["none"]


def test_a_user_name_is_passed_beside_the_password(render: Render) -> None:
    auth = {"existingSecret": "a", "username": "cache"}
    values = remote_backend("redis", deploy=False, external={"endpoint": "a:6379"}, auth=auth)
    assert environment(pod(render(values)).container)["REMOTE_BACKEND_USERNAME"] == "cache"


@pytest.mark.parametrize(
    ("kind", "path"),
    [
        ("redis", "redis.image"),
        ("valkey", "valkey.image"),
        ("redis-sentinel", "redisSentinel.image"),
        ("redis-sentinel", "redisSentinel.proxy.image"),
    ],
)
def test_an_image_without_a_version_is_refused(helm: Helm, kind: str, path: str) -> None:
    values: dict[str, Any] = {"tag": ""}
    for key in reversed(path.split(".")):
        values = {key: values}
    with pytest.raises(HelmError, match=rf"- remoteBackend\.{path}\.tag: is required"):
        helm.template(CHART, release="llm", namespace="models", values={"remoteBackend": {"type": kind, **values}})


def test_lmcache_server_runs_lmcaches_own_program_in_the_predictors_image(render: Render) -> None:
    manifests = render(remote_backend("lmcache-server"))
    server = container(manifests)
    assert "lmcache_server" in " ".join([*server["command"], *server["args"]])
    assert "experimental" not in " ".join([*server["command"], *server["args"]])
    assert server["args"][-1] == "cpu"
    assert server["image"] == pod(manifests).container["image"]
    assert backend_workload(manifests)["spec"]["replicas"] == 1
    assert urlsplit(remote_url(manifests)).scheme == "lm"


@ANY
def test_two_servers_never_stand_behind_one_address(render: Render, backend: str) -> None:
    spec = backend_workload(render(remote_backend(backend)))["spec"]
    assert spec["replicas"] == 1
    assert spec.get("strategy", {"type": "Recreate"})["type"] == "Recreate"


@ANY
def test_a_replica_waits_for_its_backend_but_not_for_ever(render: Render, backend: str) -> None:
    manifests = render({"remoteBackend": {"type": backend, "waitSeconds": 30}})
    (wait,) = pod(manifests).spec["initContainers"]
    assert wait["name"] == "wait-for-backend"
    assert "30" in wait["args"]
    (endpoint,) = (argument for argument in wait["args"] if re.search(r":\d+$", argument))
    assert endpoint.endswith(f":{PORTS[backend]}")
    (volume,) = (v for v in pod(manifests).spec["volumes"] if v["name"] == wait["volumeMounts"][0]["name"])
    script = wait["command"][-1].rpartition("/")[2]
    assert script in manifests.one("ConfigMap", volume["configMap"]["name"])["data"]


@ANY
def test_waiting_can_be_switched_off(render: Render, backend: str) -> None:
    assert "initContainers" not in pod(render({"remoteBackend": {"type": backend, "waitSeconds": 0}})).spec


@ANY
def test_only_the_predictor_may_connect_to_a_backend_and_it_to_nobody(render: Render, backend: str) -> None:
    manifests = render(remote_backend(backend))
    (policy,) = (m for m in manifests.labelled(component="remote-backend") if m["kind"] == "NetworkPolicy")
    template = backend_workload(manifests)["spec"]["template"]
    assert policy["spec"]["podSelector"]["matchLabels"].items() <= template["metadata"]["labels"].items()
    (rule,) = policy["spec"]["ingress"]
    name = manifests.one("InferenceService")["metadata"]["name"]
    labels = {"serving.kserve.io/inferenceservice": name, "component": "predictor"}
    assert rule["from"] == [{"podSelector": {"matchLabels": labels}}]
    assert [port["port"] for port in rule["ports"]] == [PORTS[backend]]
    assert set(policy["spec"]["policyTypes"]) == {"Ingress", "Egress"}
    assert not policy["spec"].get("egress")


def test_further_peers_of_a_backend_have_to_be_named(render: Render) -> None:
    peer = {"namespaceSelector": {"matchLabels": {"name": "monitoring"}}}
    manifests = render({**remote_backend("redis"), "networkPolicy": {"backend": {"ingressFrom": [peer]}}})
    (policy,) = (m for m in manifests.labelled(component="remote-backend") if m["kind"] == "NetworkPolicy")
    assert peer in policy["spec"]["ingress"][0]["from"]


def test_requests_reach_the_predictor_on_its_ports_alone(render: Render) -> None:
    manifests = render({"runtime": {"port": 9000}})
    (policy,) = (m for m in manifests.labelled(component="predictor") if m["kind"] == "NetworkPolicy")
    (rule,) = policy["spec"]["ingress"]
    assert [port["port"] for port in rule["ports"]] == [9000]
    assert "from" not in rule


@ANY
def test_a_closed_predictor_still_reaches_names_and_its_backend(render: Render, backend: str) -> None:
    https = {"ports": [{"port": 443}]}
    manifests = render({**remote_backend(backend), "networkPolicy": {"predictor": {"egress": [https]}}})
    (policy,) = (m for m in manifests.labelled(component="predictor") if m["kind"] == "NetworkPolicy")
    open_ports = {port["port"] for rule in policy["spec"]["egress"] for port in rule["ports"]}
    assert open_ports == {53, 5353, 443, PORTS[backend]}


def test_policies_can_be_switched_off(render: Render) -> None:
    assert render({"networkPolicy": {"enabled": False}}).of_kind("NetworkPolicy") == []
