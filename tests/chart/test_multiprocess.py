"""Mode multiprocess: LMCache's server as a sidecar or a DaemonSet, the way to it, and the backend behind it."""

import json
from collections.abc import Mapping
from typing import Any

import pytest
from cache_server import CPU, adapter, connector, server
from rendering import NEWEST, PASSWORD, Render, environment, option, pod, remote_backend

from lmcache_kserve.chart import policies
from lmcache_kserve.chart.manifests import Manifests

HEARTBEAT = "lmcache.mp.heartbeat_interval"


def multiprocess(values: Mapping[str, Any] | None = None, **mode: Any) -> dict[str, Any]:
    return {"lmcache": {"mode": "multiprocess", "multiprocess": mode}, **(values or {})}


def daemonset(values: Mapping[str, Any] | None = None, **mode: Any) -> dict[str, Any]:
    return multiprocess({**NEWEST, **(values or {})}, placement="daemonset", **mode)


def policy(manifests: Manifests, suffix: str) -> dict[str, Any]:
    return dict(manifests.one("NetworkPolicy", f"llm-lmcache-kserve-{suffix}")["spec"])


def test_the_sidecar_starts_before_the_engine_and_stays(render: Render) -> None:
    containers = pod(render(multiprocess())).spec["initContainers"]
    assert [container["name"] for container in containers] == ["wait-for-backend", "lmcache-server"]
    assert [container.get("restartPolicy") for container in containers] == [None, "Always"]


def test_a_sidecar_that_starts_again_does_not_take_its_replica_out_of_service(render: Render) -> None:
    container = server(render(multiprocess()))
    assert "readinessProbe" not in container
    assert {"startupProbe", "livenessProbe"} <= container.keys()


def test_an_engine_without_gpus_can_share_the_servers_memory(render: Render) -> None:
    shared = render(multiprocess(CPU, l1={"shared": True, "sizeGB": "1.5"}))
    assert server(shared)["command"][-1].endswith("/shared_mp_server.py")
    assert connector(shared)["kv_connector"] == "SharedLMCacheMPConnector"
    assert connector(shared)["kv_connector_module_path"] == "shared_mp_connector"
    scripts = shared.one("ConfigMap", "llm-lmcache-kserve-scripts")["data"]
    assert {
        "shared_mp_server.py",
        "mp_server.py",
        "shared_mp_connector.py",
        "checked_mp_connector.py",
    } <= scripts.keys()
    assert "shm" in [mount["name"] for mount in server(shared)["volumeMounts"]]
    volumes = {volume["name"]: volume for volume in shared.one("ServingRuntime")["spec"]["volumes"]}
    assert volumes["shm"]["emptyDir"]["sizeLimit"] == str(int(3.5 * 2**30))


def test_nothing_is_shared_unless_asked(render: Render) -> None:
    apart = render(multiprocess(CPU))
    assert server(apart)["command"][-1].endswith("/mp_server.py")
    scripts = apart.one("ConfigMap", "llm-lmcache-kserve-scripts")["data"]
    assert {"mp_server.py", "unwritten.py"} <= scripts.keys()
    assert "shared_mp_server.py" not in scripts
    assert "shm" not in [mount["name"] for mount in server(apart)["volumeMounts"]]
    volumes = {volume["name"]: volume for volume in apart.one("ServingRuntime")["spec"]["volumes"]}
    assert volumes["shm"]["emptyDir"]["sizeLimit"] == "2Gi"


@pytest.mark.parametrize("values", [multiprocess(), daemonset()], ids=["sidecar", "daemonset"])
def test_probes_run_inside_because_the_administration_is_on_the_loopback_address(
    render: Render, values: dict[str, Any]
) -> None:
    container = server(render(values))
    assert option(container["args"], "--http-host") == "127.0.0.1"
    probes = {name: probe for name, probe in container.items() if name.endswith("Probe")}
    assert len(probes) >= 2
    for probe in probes.values():
        assert probe["exec"]["command"][-2:] == ["--check", "8085"]


def test_the_engine_finds_its_sidecar_on_the_loopback_address(render: Render) -> None:
    manifests = render(multiprocess(port=5999))
    extra = connector(manifests)["kv_connector_extra_config"]
    assert (extra["lmcache.mp.host"], extra["lmcache.mp.port"]) == ("tcp://127.0.0.1", 5999)
    assert option(server(manifests)["args"], "--host") == "127.0.0.1"
    assert option(server(manifests)["args"], "--port") == "5999"


def test_the_engine_finds_the_server_of_its_node(render: Render) -> None:
    manifests = render(daemonset())
    extra = connector(manifests)["kv_connector_extra_config"]
    assert extra["lmcache.mp.host"] == "tcp://llm-lmcache-kserve-cache.models.svc"
    service = manifests.one("Service", "llm-lmcache-kserve-cache")
    assert service["spec"]["internalTrafficPolicy"] == "Local"
    labels = manifests.one("DaemonSet")["spec"]["template"]["metadata"]["labels"]
    assert service["spec"]["selector"].items() <= labels.items()
    assert option(server(manifests)["args"], "--host") == "0.0.0.0"  # noqa: S104 - in a pod of its own


def test_the_connector_is_the_charts_and_recomputes_what_cannot_be_loaded(render: Render) -> None:
    found = connector(render(multiprocess(mqTimeoutSeconds=45, heartbeatSeconds=3)))
    assert found["kv_connector"] == "CheckedLMCacheMPConnector"
    assert found["kv_connector_module_path"] == "checked_mp_connector"
    assert found["kv_load_failure_policy"] == "recompute"
    extra = found["kv_connector_extra_config"]
    assert (extra["lmcache.mp.mq_timeout"], extra[HEARTBEAT]) == (45, 3)


@pytest.mark.parametrize("seconds", [1, 5, 12])
def test_a_new_server_listens_only_after_every_engine_missed_a_ping(render: Render, seconds: int) -> None:
    manifests = render(multiprocess(heartbeatSeconds=seconds))
    silence = option(server(manifests)["args"], "--silence")
    assert silence
    # A ping that was just answered is followed by the next after one interval, which fails after another.
    assert int(silence) > 2 * connector(manifests)["kv_connector_extra_config"][HEARTBEAT]


@pytest.mark.parametrize("backend", ["redis", "valkey"])
def test_the_backend_is_an_adapter_without_a_secret(render: Render, backend: str) -> None:
    manifests = render(multiprocess(remote_backend(backend, auth={"password": PASSWORD}), l2Workers=3))
    host = f"llm-lmcache-kserve-{backend}.models.svc"
    assert adapter(manifests) == {"type": "resp", "host": host, "port": 6379, "num_workers": 3}
    variables = environment(server(manifests))
    reference = {"name": f"llm-lmcache-kserve-{backend}", "key": "password"}
    assert variables["LMCACHE_RESP_PASSWORD"] == {"secretKeyRef": reference}
    assert PASSWORD not in json.dumps(pod(manifests).spec)


def test_an_external_backend_is_an_adapter_with_its_user(render: Render) -> None:
    values = remote_backend(
        "redis",
        deploy=False,
        external={"endpoint": "[fd00::1]:7000"},
        auth={"existingSecret": "mine", "existingSecretKey": "word", "username": "cache"},
    )
    manifests = render(multiprocess(values))
    found = adapter(manifests)
    assert found
    assert (found["host"], found["port"]) == ("fd00::1", 7000)
    variables = environment(server(manifests))
    assert variables["LMCACHE_RESP_USERNAME"] == "cache"
    assert variables["LMCACHE_RESP_PASSWORD"] == {"secretKeyRef": {"name": "mine", "key": "word"}}


def test_without_a_backend_there_is_no_adapter(render: Render) -> None:
    manifests = render(multiprocess({"remoteBackend": {"type": "none"}}))
    assert adapter(manifests) is None
    assert [container["name"] for container in pod(manifests).spec["initContainers"]] == ["lmcache-server"]


@pytest.mark.parametrize("values", [multiprocess(), daemonset()], ids=["sidecar", "daemonset"])
def test_the_engine_knows_neither_backend_nor_password(render: Render, values: dict[str, Any]) -> None:
    container = pod(render(values)).container
    assert [name for name in environment(container) if "BACKEND" in name or "REMOTE" in name] == []
    assert not {"LMCACHE_CONFIG_FILE", "LAUNCHER_REDACT"} & environment(container).keys()


def test_there_is_no_configuration_file_to_go_stale(render: Render) -> None:
    names = [item["metadata"]["name"] for item in render(multiprocess()).of_kind("ConfigMap")]
    assert "llm-lmcache-kserve-lmcache" not in names


def test_only_the_servers_of_the_nodes_reach_the_backend(render: Render) -> None:
    (rule,) = policy(render(daemonset()), "redis")["ingress"]
    (peer,) = rule["from"]
    assert peer["podSelector"]["matchLabels"]["app.kubernetes.io/component"] == "cache-server"


def test_only_the_predictor_reaches_the_servers_of_the_nodes(render: Render) -> None:
    (rule,) = policy(render(daemonset()), "cache")["ingress"]
    (peer,) = rule["from"]
    assert peer["podSelector"]["matchLabels"]["component"] == "predictor"
    assert [port["port"] for port in rule["ports"]] == [5555]


def test_nobody_reaches_a_sidecar_from_outside(render: Render) -> None:
    (rule,) = policy(render(multiprocess()), "predictor")["ingress"]
    assert [port["port"] for port in rule["ports"]] == [8080]


@pytest.mark.parametrize(
    ("values", "name", "rule"), [(multiprocess, "predictor", 0), (daemonset, "cache", 1)], ids=["sidecar", "daemonset"]
)
def test_metrics_have_a_port_of_their_own_when_they_are_wanted(
    render: Render, values: Any, name: str, rule: int
) -> None:
    manifests = render(values(metrics={"enabled": True, "port": 9191}))
    assert "--metrics-port=9191" in server(manifests)["args"]
    ports = {port["name"]: port["containerPort"] for port in server(manifests)["ports"]}
    assert ports["lmcache-metrics"] == 9191
    assert 9191 in [port["port"] for port in policy(manifests, name)["ingress"][rule]["ports"]]
    without = render(values())
    assert "metrics" not in json.dumps([*server(without)["args"], *server(without)["ports"]])


def test_restricted_egress_leads_to_the_server_and_from_it_to_the_backend(render: Render) -> None:
    egress = {"networkPolicy": {"predictor": {"egress": [{"to": [{"ipBlock": {"cidr": "10.0.0.0/8"}}]}]}}}
    manifests = render(daemonset(egress))
    ports = {
        name: [port["port"] for rule in policy(manifests, name)["egress"] for port in rule.get("ports", ())]
        for name in ("predictor", "cache")
    }
    assert 5555 in ports["predictor"]
    assert 6379 in ports["cache"]
    assert policy(manifests, "cache")["policyTypes"] == ["Ingress", "Egress"]


def test_the_server_is_told_its_sizes(render: Render) -> None:
    mode = {"l1": {"sizeGB": 2.5, "evictionPolicy": "ARC"}, "workers": 3, "extraArgs": ["--eviction-ratio=0.1"]}
    args = server(render(multiprocess(NEWEST, **mode)))["args"]
    told = {name: option(args, name) for name in ("--l1-size-gb", "--eviction-policy", "--max-workers", "--chunk-size")}
    assert told == {"--l1-size-gb": "2.5", "--eviction-policy": "ARC", "--max-workers": "3", "--chunk-size": "256"}
    assert args[-1] == "--eviction-ratio=0.1"
    assert "--log-requests" in args[: args.index("--")]


def test_a_server_has_a_thread_for_each_worker_of_a_replica(render: Render) -> None:
    manifests = render(multiprocess({"predictor": {"gpu": {"count": 4}}}))
    assert option(server(manifests)["args"], "--max-workers") == "4"


def test_requests_are_logged_unless_told_otherwise(render: Render) -> None:
    assert "--log-requests" not in server(render(multiprocess(logRequests=False)))["args"]


def test_a_server_of_gpus_sees_all_and_counts_none(render: Render) -> None:
    container = server(render(daemonset()))
    assert environment(container)["NVIDIA_VISIBLE_DEVICES"] == "all"
    assert "nvidia.com/gpu" not in json.dumps(container["resources"])


def test_a_server_that_reads_no_gpu_memory_sees_no_gpu(render: Render) -> None:
    container = server(render(daemonset(transferMode="engine_driven")))
    assert "NVIDIA_VISIBLE_DEVICES" not in environment(container)
    assert "/dev/shm" not in [mount["mountPath"] for mount in container["volumeMounts"]]  # noqa: S108 - a mount path


@pytest.mark.parametrize(
    ("mode", "isolated"),
    [
        ({"placement": "sidecar"}, False),
        ({"placement": "sidecar", "isolatedIpc": True}, True),
        ({"placement": "daemonset"}, True),
        ({"placement": "daemonset", "hostSharedMemory": True}, False),
        ({"placement": "daemonset", "transferMode": "engine_driven"}, False),
    ],
)
def test_engine_and_server_agree_on_isolated_ipc(render: Render, mode: dict[str, Any], *, isolated: bool) -> None:
    manifests = render(multiprocess(NEWEST, **mode))
    extra = connector(manifests)["kv_connector_extra_config"]
    assert extra.get("lmcache.mp.isolated_ipc", False) is isolated
    assert ("--isolated-ipc" in server(manifests)["args"]) is isolated


def test_a_sidecar_of_gpus_shares_the_pods_memory(render: Render) -> None:
    manifests = render(multiprocess())
    mounts = {mount["mountPath"]: mount["name"] for mount in server(manifests)["volumeMounts"]}
    engine = {mount["mountPath"]: mount["name"] for mount in pod(manifests).container["volumeMounts"]}
    assert mounts["/dev/shm"] == engine["/dev/shm"]  # noqa: S108 - a mount path


def test_the_nodes_shared_memory_is_mounted_on_both_sides_when_asked_for(render: Render) -> None:
    manifests = render(daemonset(hostSharedMemory=True))
    for spec in (pod(manifests).spec, manifests.one("DaemonSet")["spec"]["template"]["spec"]):
        (volume,) = (volume for volume in spec["volumes"] if volume["name"] == "shm")
        assert volume["hostPath"]["path"] == "/dev/shm"  # noqa: S108 - the path is what is tested
    assert policies.restricted_pod_security(manifests)


@pytest.mark.parametrize("values", [multiprocess(), daemonset()], ids=["sidecar", "daemonset"])
def test_both_placements_are_restricted(render: Render, values: dict[str, Any]) -> None:
    assert policies.check(render(values)) == []


def test_server_and_engine_have_one_user(render: Render) -> None:
    manifests = render(multiprocess({"predictor": {"securityContext": {"runAsUser": 4321}}}))
    assert server(manifests)["securityContext"]["runAsUser"] == 4321
    assert pod(manifests).container["securityContext"]["runAsUser"] == 4321


def test_the_daemonset_runs_where_the_predictor_may(render: Render) -> None:
    tolerations = [{"key": "nvidia.com/gpu", "operator": "Exists"}]
    predictor = {"nodeSelector": {"gpu": "a100"}, "tolerations": tolerations, "runtimeClassName": "nvidia"}
    spec = render(daemonset({"predictor": predictor})).one("DaemonSet")["spec"]["template"]["spec"]
    assert {key: spec[key] for key in predictor} == predictor
    own = {"nodeSelector": {"gpu": "h100"}, "tolerations": []}
    spec = render(daemonset({"predictor": predictor}, daemonset=own)).one("DaemonSet")["spec"]["template"]["spec"]
    assert spec["nodeSelector"] == {"gpu": "h100"}
    assert "tolerations" not in spec


def test_the_predictor_waits_for_the_server_of_its_node_and_that_for_the_backend(render: Render) -> None:
    manifests = render(daemonset())
    (waits,) = pod(manifests).spec["initContainers"]
    assert waits["name"] == "wait-for-cache"
    assert waits["args"][0] == "llm-lmcache-kserve-cache.models.svc:5555"
    (waits,) = manifests.one("DaemonSet")["spec"]["template"]["spec"]["initContainers"]
    assert waits["args"][0] == "llm-lmcache-kserve-redis.models.svc:6379"


def test_a_new_password_restarts_the_servers_of_the_nodes_and_not_the_engines(render: Render) -> None:
    first, second = (render(daemonset(remote_backend("redis", auth={"password": word}))) for word in ("one", "two"))
    templates = [manifests.one("DaemonSet")["spec"]["template"] for manifests in (first, second)]
    assert templates[0] != templates[1]
    assert pod(first).annotations == pod(second).annotations


def test_a_new_password_restarts_replicas_with_their_sidecars(render: Render) -> None:
    first, second = (render(multiprocess(remote_backend("redis", auth={"password": word}))) for word in ("one", "two"))
    assert pod(first).annotations != pod(second).annotations


def test_the_mode_is_an_annotation(render: Render) -> None:
    annotations = render(multiprocess()).one("InferenceService")["metadata"]["annotations"]
    assert annotations["lmcache-kserve/mode"] == "multiprocess"


def test_the_users_variables_win(render: Render) -> None:
    manifests = render(multiprocess(env=[{"name": "LMCACHE_LOG_LEVEL", "value": "DEBUG"}, {"name": "A", "value": 1}]))
    variables = environment(server(manifests))
    assert (variables["LMCACHE_LOG_LEVEL"], variables["A"]) == ("DEBUG", "1")


def test_the_server_has_an_image_of_its_own_when_it_is_named(render: Render) -> None:
    image = {"repository": "docker.io/lmcache/standalone", "tag": "v1"}
    assert server(render(multiprocess(image=image)))["image"] == "docker.io/lmcache/standalone:v1"
