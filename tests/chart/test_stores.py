"""Mooncake, InfiniStore, S3, custom backends, the clients glide and direct: what the predictor and servers are told."""

import re
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from rendering import CHART, PASSWORD, Render, environment, lmcache_extra_config, lmcache_file, pod, remote_backend

from lmcache_kserve.chart import policies
from lmcache_kserve.chart.manifests import Manifest, Manifests

IMAGE: dict[str, Any] = {"runtime": {"image": {"repository": "example.com/kserve-backends", "tag": "1"}}}
HCA: dict[str, Any] = {"predictor": {"resources": {"limits": {"memory": "24Gi", "rdma/hca": 1}}}}
GIB = 2**30


def mooncake(**values: Any) -> dict[str, Any]:
    return {**IMAGE, **remote_backend("mooncake", **values)}


def infinistore(**values: Any) -> dict[str, Any]:
    return {**IMAGE, **HCA, **remote_backend("infinistore", **values)}


def s3(**values: Any) -> dict[str, Any]:
    return remote_backend("s3", **({"bucket": "kv", "external": {"endpoint": "s3.example.com"}} | values))


def direct(kind: str = "redis", **values: Any) -> dict[str, Any]:
    return remote_backend(kind, client="direct", **values)


def glide(**values: Any) -> dict[str, Any]:
    return {**IMAGE, **remote_backend("valkey", client="glide", **values)}


def container(workload: Manifest) -> dict[str, Any]:
    (found,) = workload["spec"]["template"]["spec"]["containers"]
    return dict(found)


def flags(workload: Manifest) -> dict[str, str]:
    return dict(
        argument.removeprefix("--").split("=", 1) for argument in container(workload)["args"] if "=" in argument
    )


def of_backend(manifests: Manifests, kind: str) -> Manifest:
    (found,) = (m for m in manifests.labelled(component="remote-backend") if m["kind"] == kind)
    return found


def backend_policy(manifests: Manifests) -> dict[str, Any]:
    return dict(of_backend(manifests, "NetworkPolicy")["spec"])


@pytest.mark.parametrize(
    "values",
    [mooncake(), s3(), direct(), glide(), glide(auth={"enabled": False}), remote_backend("custom", url="mock://1/")],
    ids=["mooncake", "s3", "direct", "glide", "glide without a password", "custom"],
)
def test_every_policy_is_kept(render: Render, values: dict[str, Any]) -> None:
    assert [str(violation) for violation in policies.check(render(values))] == []


class TestMooncake:
    def test_predictor_and_stores_find_the_same_master(self, render: Render) -> None:
        manifests = render(mooncake())
        settings, store = lmcache_extra_config(manifests), flags(manifests.one("StatefulSet"))
        assert settings["mooncake_master_server_addr"] == store["master_server_address"]
        assert settings["mooncake_metadata_server"] == store["metadata_server"]
        service = of_backend(manifests, "Service")
        address = urlsplit(f"//{settings['mooncake_master_server_addr']}")
        assert (address.hostname or "").startswith(f"{service['metadata']['name']}.models.svc")
        served = {port["name"]: port["port"] for port in service["spec"]["ports"]}
        assert (address.port, urlsplit(settings["mooncake_metadata_server"]).port) == (
            served["rpc"],
            served["metadata"],
        )

    def test_both_spellings_of_the_master_are_set(self, render: Render) -> None:
        settings = lmcache_extra_config(render(mooncake()))
        assert settings["mooncake_master_server_addr"] == settings["mooncake_master_server_address"]
        assert settings["mooncake_device_name"] == settings["mooncake_rdma_devices"]

    def test_the_master_listens_where_the_service_leads(self, render: Render) -> None:
        manifests = render(mooncake())
        master = manifests.one("Deployment")
        options = flags(master)
        ports = {port["name"]: port["containerPort"] for port in container(master)["ports"]}
        assert ports == {
            "rpc": int(options["rpc_port"]),
            "metadata": int(options["http_metadata_server_port"]),
            "metrics": int(options["metrics_port"]),
        }
        assert options["enable_http_metadata_server"] == "true"

    def test_the_master_evicts_before_the_stores_are_full(self, render: Render) -> None:
        ratio = flags(render(mooncake()).one("Deployment"))["eviction_high_watermark_ratio"]
        # Where Mooncake 0.3.13 found no more room for chunks of 2 MiB and 40 bytes.
        assert float(ratio) < 0.875
        chosen = flags(render(mooncake(master={"evictionHighWatermarkRatio": 0.5})).one("Deployment"))
        assert chosen["eviction_high_watermark_ratio"] == "0.5"

    def test_further_arguments_of_the_master_come_last(self, render: Render) -> None:
        argument = "--eviction_high_watermark_ratio=0.7"
        assert container(render(mooncake(master={"extraArgs": [argument]})).one("Deployment"))["args"][-1] == argument

    def test_the_service_leads_to_the_master_and_never_to_a_store(self, render: Render) -> None:
        manifests = render(mooncake())
        selector = of_backend(manifests, "Service")["spec"]["selector"]
        for workload, selected in ((manifests.one("Deployment"), True), (manifests.one("StatefulSet"), False)):
            template = workload["spec"]["template"]["metadata"]["labels"]
            assert workload["spec"]["selector"]["matchLabels"].items() <= template.items()
            assert (selector.items() <= template.items()) is selected

    def test_the_predictor_lends_no_memory_and_is_known_by_its_address(self, render: Render) -> None:
        settings = lmcache_extra_config(render(mooncake(localBuffer="512Mi")))
        assert settings["mooncake_global_segment_size"] == "0"
        assert settings["mooncake_local_hostname"] == "$(POD_IP)"
        assert settings["mooncake_local_buffer_size"] == str(GIB // 2)

    def test_lmcache_finds_the_charts_connector_where_the_launcher_looks(self, render: Render) -> None:
        manifests = render(mooncake())
        (plugin,) = lmcache_file(manifests)["remote_storage_plugins"]
        settings = lmcache_extra_config(manifests)
        module = settings[f"remote_storage_plugin.{plugin}.module_path"]
        scripts = next(volume for volume in pod(manifests).spec["volumes"] if volume["name"] == "scripts")
        files = manifests.one("ConfigMap", scripts["configMap"]["name"])["data"]
        assert pod(manifests).container["command"][:2] == ["python3", "/etc/lmcache-kserve/launcher.py"]
        assert f"class {settings[f'remote_storage_plugin.{plugin}.class_name']}(" in files[f"{module}.py"]

    @pytest.mark.parametrize(
        ("store", "size"),
        [
            ({"resources": {"limits": {"memory": "10Gi"}}}, 8 * GIB),
            ({"segmentSize": "4Gi"}, 4 * GIB),
        ],
    )
    def test_four_fifths_of_a_stores_memory_hold_chunks(self, render: Render, store: dict[str, Any], size: int) -> None:
        assert flags(render(mooncake(store=store)).one("StatefulSet"))["global_segment_size"] == str(size)

    def test_all_stores_start_side_by_side(self, render: Render) -> None:
        spec = render(mooncake(store={"replicas": 3})).one("StatefulSet")["spec"]
        assert (spec["replicas"], spec["podManagementPolicy"]) == (3, "Parallel")

    def test_rdma_gives_every_store_a_device(self, render: Render) -> None:
        rdma = {"devices": "mlx5_0", "resourceName": "rdma/hca"}
        manifests = render({**mooncake(protocol="rdma", rdma=rdma), **HCA})
        store = container(manifests.one("StatefulSet"))
        assert store["resources"]["limits"]["rdma/hca"] == store["resources"]["requests"]["rdma/hca"] == 1
        assert flags(manifests.one("StatefulSet"))["device_names"] == "mlx5_0"
        assert lmcache_extra_config(manifests)["mooncake_rdma_devices"] == "mlx5_0"
        assert "rdma/hca" not in container(manifests.one("Deployment"))["resources"]["limits"]

    def test_predictor_and_stores_alone_connect(self, render: Render) -> None:
        manifests = render(mooncake())
        policy = backend_policy(manifests)
        (rule,) = policy["ingress"]
        backend = {"podSelector": policy["podSelector"]}
        name = manifests.one("InferenceService")["metadata"]["name"]
        predictor = {"serving.kserve.io/inferenceservice": name, "component": "predictor"}
        assert rule["from"] == [{"podSelector": {"matchLabels": predictor}}, backend]
        transfers = environment(container(manifests.one("StatefulSet")))
        assert rule["ports"][-1] == {
            "port": int(transfers["MC_MIN_RPC_PORT"]),
            "endPort": int(transfers["MC_MAX_RPC_PORT"]),
            "protocol": "TCP",
        }
        names, stores = policy["egress"]
        assert {port["port"] for port in names["ports"]} == {53, 5353}
        assert stores == {"to": [backend]}

    def test_further_peers_may_read_the_metrics(self, render: Render) -> None:
        peer = {"namespaceSelector": {"matchLabels": {"name": "monitoring"}}}
        values = {**mooncake(), "networkPolicy": {"backend": {"ingressFrom": [peer]}}}
        (rule,) = backend_policy(render(values))["ingress"]
        assert peer in rule["from"]
        assert 9003 in [port["port"] for port in rule["ports"]]

    def test_a_closed_predictor_reaches_master_and_stores(self, render: Render) -> None:
        values = {**mooncake(), "networkPolicy": {"predictor": {"egress": [{"ports": [{"port": 443}]}]}}}
        (policy,) = (m for m in render(values).labelled(component="predictor") if m["kind"] == "NetworkPolicy")
        _, backend, _ = policy["spec"]["egress"]
        assert [port["port"] for port in backend["ports"]] == [50051, 8080, 15000]
        assert backend["ports"][-1]["endPort"] == 15999

    def test_an_external_master_is_used_and_nothing_deployed(self, render: Render) -> None:
        external = {"endpoint": "master.example.com:50051", "metadataServer": "P2PHANDSHAKE"}
        manifests = render(mooncake(deploy=False, external=external))
        assert manifests.labelled(component="remote-backend") == []
        assert lmcache_extra_config(manifests)["mooncake_master_server_addr"] == "master.example.com:50051"
        assert lmcache_extra_config(manifests)["mooncake_metadata_server"] == "P2PHANDSHAKE"
        (wait,) = pod(manifests).spec["initContainers"]
        assert "master.example.com:50051" in wait["args"]


class TestInfiniStore:
    def test_predictor_and_server_agree_on_address_device_and_link(self, render: Render) -> None:
        rdma = {"device": "mlx5_2", "linkType": "IB"}
        manifests = render(infinistore(rdma=rdma))
        server, url = flags(manifests.one("Deployment")), urlsplit(lmcache_file(manifests)["remote_url"])
        assert (url.scheme, str(url.port)) == ("infinistore", server["service-port"])
        assert parse_qs(url.query) == {"device": [server["dev-name"]]} == {"device": ["mlx5_2"]}
        assert (lmcache_extra_config(manifests)["infinistore_link_type"], server["link-type"]) == ("LINK_IB", "IB")

    def test_a_full_server_evicts(self, render: Render) -> None:
        server = container(render(infinistore(resources={"limits": {"memory": "20Gi"}})).one("Deployment"))
        assert "--prealloc-size=16" in server["args"]
        assert "--enable-periodic-evict" in server["args"]

    def test_the_server_gets_a_device_unless_it_has_one_by_other_means(self, render: Render) -> None:
        assert container(render(infinistore()).one("Deployment"))["resources"]["limits"]["rdma/hca"] == 1
        none = container(render(infinistore(rdma={"resourceName": ""})).one("Deployment"))
        assert set(none["resources"]["limits"]) == {"memory"}

    def test_what_the_restricted_standard_does_not_admit_is_the_server_alone(self, render: Render) -> None:
        manifests = render(infinistore())
        violations = policies.restricted_pod_security(manifests)
        server = manifests.one("Deployment")["metadata"]["name"]
        assert {violation.object for violation in violations} == {f"Deployment/{server}"}
        assert [str(found) for found in policies.check(manifests)] == []

    def test_an_external_server_is_used_and_not_deployed(self, render: Render) -> None:
        manifests = render(infinistore(deploy=False, external={"endpoint": "a.example.com:22345"}))
        assert manifests.labelled(component="remote-backend") == []
        assert urlsplit(lmcache_file(manifests)["remote_url"]).netloc == "a.example.com:22345"


class TestS3:
    def test_the_bucket_is_the_first_part_of_the_host(self, render: Render) -> None:
        manifests = render(s3(external={"endpoint": "s3.eu-central-1.amazonaws.com", "region": "eu-central-1"}))
        assert lmcache_file(manifests)["remote_url"] == "s3://kv.s3.eu-central-1.amazonaws.com"
        settings = lmcache_extra_config(manifests)
        assert settings["s3_region"] == "eu-central-1"
        assert settings["save_chunk_meta"] is False
        assert settings["disable_tls"] is False

    @pytest.mark.parametrize(
        ("external", "waited_for"),
        [
            ({"endpoint": "s3.example.com"}, "kv.s3.example.com:443"),
            ({"endpoint": "s3.example.com", "tls": {"enabled": False}}, "kv.s3.example.com:80"),
            ({"endpoint": "s3.example.com:9000"}, "kv.s3.example.com:9000"),
        ],
    )
    def test_a_replica_waits_for_the_port_of_the_connection(
        self, render: Render, external: dict[str, Any], waited_for: str
    ) -> None:
        manifests = render(s3(external=external))
        (wait,) = pod(manifests).spec["initContainers"]
        assert wait["args"][0] == waited_for
        assert lmcache_extra_config(manifests)["disable_tls"] is not external.get("tls", {}).get("enabled", True)

    def test_credentials_come_from_the_secret_or_from_the_pods_identity(self, render: Render) -> None:
        given = environment(pod(render(s3(auth={"existingSecret": "a", "accessKeyIdKey": "id"}))).container)
        assert given["AWS_ACCESS_KEY_ID"] == {"secretKeyRef": {"name": "a", "key": "id"}}
        assert given["AWS_SECRET_ACCESS_KEY"] == {"secretKeyRef": {"name": "a", "key": "AWS_SECRET_ACCESS_KEY"}}
        assert not [name for name in environment(pod(render(s3())).container) if name.startswith("AWS_")]

    def test_an_authority_stands_where_the_client_looks(self, render: Render) -> None:
        external = {"endpoint": "s3.example.com", "tls": {"caSecret": "authority"}}
        manifests = render(s3(external=external))
        path = "/etc/ssl/certs/ca-certificates.crt"
        (mount,) = (mount for mount in pod(manifests).container["volumeMounts"] if mount["mountPath"] == path)
        (volume,) = (volume for volume in pod(manifests).spec["volumes"] if volume["name"] == mount["name"])
        assert (mount["subPath"], volume["secret"]["secretName"]) == ("ca.crt", "authority")


class TestGlide:
    def test_what_a_url_would_say_are_settings(self, render: Render) -> None:
        external = {"endpoint": "cache.example.com:6380", "database": 3, "tls": {"enabled": True}}
        manifests = render(glide(deploy=False, external=external, auth={"existingSecret": "a", "username": "cache"}))
        assert lmcache_file(manifests)["remote_url"] == "valkey://cache.example.com:6380"
        settings = lmcache_extra_config(manifests)
        assert (settings["valkey_database"], settings["tls_enable"]) == (3, True)
        assert (settings["valkey_username"], settings["save_chunk_meta"]) == ("cache", False)
        assert (settings["connection_timeout"], settings["request_timeout"]) == (2, 10)

    def test_the_launcher_is_told_where_the_password_goes_and_no_configuration_has_it(self, render: Render) -> None:
        manifests = render(glide(auth={"password": PASSWORD}))
        variables = environment(pod(manifests).container)
        assert lmcache_extra_config(manifests)["valkey_password"] == "%REMOTE_BACKEND_PASSWORD%"  # noqa: S105 - a placeholder
        assert "secretKeyRef" in variables["REMOTE_BACKEND_PASSWORD"]
        assert "REMOTE_BACKEND_URL" not in variables
        assert variables["LAUNCHER_REDACT"] == "REMOTE_BACKEND_PASSWORD"
        assert "launcher.py" in " ".join(manifests.one("ServingRuntime")["spec"]["containers"][0]["command"])

    def test_without_a_password_the_settings_stand_in_the_file(self, render: Render) -> None:
        manifests = render(glide(auth={"enabled": False}))
        assert "valkey_password" not in lmcache_extra_config(manifests)
        assert "LMCACHE_EXTRA_CONFIG" not in environment(pod(manifests).container)

    def test_the_usual_client_stays_the_default(self, render: Render) -> None:
        variables = environment(pod(render(remote_backend("valkey"))).container)
        assert urlsplit(variables["REMOTE_BACKEND_URL"]).scheme == "redis"


class TestDirect:
    @pytest.mark.parametrize("kind", ["redis", "valkey", "redis-sentinel"])
    def test_auto_is_the_charts_connector_where_lmcache_can_host_it(self, render: Render, kind: str) -> None:
        def is_direct(**lmcache: Any) -> bool:
            manifests = render({**remote_backend(kind, client="auto"), "lmcache": lmcache})
            assert "REMOTE_BACKEND_PASSWORD" in environment(pod(manifests).container)
            return "direct_redis_url" in lmcache_extra_config(manifests)

        assert is_direct()
        assert is_direct(version="0.4.7")
        assert not is_direct(version="0.4.6")
        assert not is_direct(config={"enable_scheduler_bypass_lookup": True})
        assert not is_direct(config={"remote_storage_plugins": ["mine"]})

    @pytest.mark.parametrize("kind", ["redis", "valkey", "redis-sentinel"])
    def test_every_server_of_the_protocol_is_reached_by_the_charts_connector(self, render: Render, kind: str) -> None:
        manifests = render(direct(kind, connections=7, timeouts={"connectSeconds": 0.5, "commandSeconds": 3}))
        settings = lmcache_extra_config(manifests)
        (plugin,) = lmcache_file(manifests)["remote_storage_plugins"]
        module = settings[f"remote_storage_plugin.{plugin}.module_path"]
        scripts = next(one["data"] for one in manifests.of_kind("ConfigMap") if f"{module}.py" in one["data"])
        assert f"class {settings[f'remote_storage_plugin.{plugin}.class_name']}(" in scripts[f"{module}.py"]
        beside = {file.stem for file in (CHART / "files").glob("*.py")}
        imported = {name for name in beside if re.search(rf"(?m)^from {name} import ", scripts[f"{module}.py"])}
        assert imported
        assert {f"{name}.py" for name in imported} <= scripts.keys()
        assert "remote_url" not in lmcache_file(manifests)
        usual = environment(pod(render(remote_backend(kind, client="redis-py"))).container)["REMOTE_BACKEND_URL"]
        assert settings["direct_redis_url"] == usual.partition("?")[0]
        names = ("connections", "connect_s", "command_s")
        assert [settings[f"direct_redis_{name}"] for name in names] == [7, 0.5, 3]

    def test_the_launcher_is_told_where_the_password_goes_and_no_configuration_has_it(self, render: Render) -> None:
        manifests = render(direct(auth={"password": PASSWORD}))
        variables = environment(pod(manifests).container)
        assert lmcache_extra_config(manifests)["direct_redis_password"] == "%REMOTE_BACKEND_PASSWORD%"  # noqa: S105 - a placeholder
        assert "secretKeyRef" in variables["REMOTE_BACKEND_PASSWORD"]
        assert "REMOTE_BACKEND_URL" not in variables
        assert "launcher.py" in " ".join(manifests.one("ServingRuntime")["spec"]["containers"][0]["command"])

    def test_certificates_user_and_database_of_an_external_server_are_settings(self, render: Render) -> None:
        tls = {"enabled": True, "caSecret": "authority", "clientSecret": "identity"}
        external = {"endpoint": "cache.example.com:6380", "database": 3, "tls": tls}
        manifests = render(direct(deploy=False, external=external, auth={"existingSecret": "a", "username": "cache"}))
        settings = lmcache_extra_config(manifests)
        assert settings["direct_redis_url"] == "rediss://cache.example.com:6380/3"
        assert settings["direct_redis_username"] == "cache"
        assert settings["direct_redis_verify"] is True
        mounted = [mount["mountPath"] for mount in pod(manifests).container["volumeMounts"]]
        for name in ("ca", "certificate", "key"):
            assert settings[f"direct_redis_{name}"].rpartition("/")[0] in mounted

    def test_a_server_that_is_not_verified_is_a_setting(self, render: Render) -> None:
        external = {"endpoint": "cache.example.com:6380", "tls": {"enabled": True, "verify": False}}
        settings = lmcache_extra_config(render(direct(deploy=False, external=external, auth={"enabled": False})))
        assert settings["direct_redis_verify"] is False
        assert not settings.keys() & {"direct_redis_ca", "direct_redis_certificate", "direct_redis_password"}


class TestCustom:
    def test_the_users_words_reach_lmcache(self, render: Render) -> None:
        config = {"remote_serde": "cachegen", "extra_config": {"mine": 1}}
        configuration = lmcache_file(render(remote_backend("custom", url="redis-cluster://a:1,b:2", config=config)))
        assert configuration["remote_url"] == "redis-cluster://a:1,b:2"
        assert configuration["remote_serde"] == "cachegen"
        assert configuration["extra_config"] == {"fallback_policy": "local_cpu", "mine": 1}

    def test_a_connector_may_be_named_instead(self, render: Render) -> None:
        config = {"remote_storage_plugins": ["bigtable"], "extra_config": {"bigtable_project_id": "a"}}
        configuration = lmcache_file(render(remote_backend("custom", config=config)))
        assert "remote_url" not in configuration
        assert configuration["remote_storage_plugins"] == ["bigtable"]

    def test_credentials_complete_the_url_in_the_launcher(self, render: Render) -> None:
        auth = {"existingSecret": "a", "username": "cache"}
        manifests = render(remote_backend("custom", url="redis://cache.example.com:6379/0", auth=auth))
        variables = environment(pod(manifests).container)
        assert "remote_url" not in lmcache_file(manifests)
        assert variables["REMOTE_BACKEND_URL"] == "redis://cache.example.com:6379/0"
        assert variables["REMOTE_BACKEND_USERNAME"] == "cache"

    def test_credentials_go_where_settings_ask_for_them(self, render: Render) -> None:
        config = {"extra_config": {"azure_account_key": "%REMOTE_BACKEND_PASSWORD%"}}
        manifests = render(remote_backend("custom", url="azure://kv", config=config, auth={"existingSecret": "a"}))
        assert lmcache_extra_config(manifests)["azure_account_key"] == "%REMOTE_BACKEND_PASSWORD%"
        assert environment(pod(manifests).container)["REMOTE_BACKEND_URL"] == "azure://kv"

    def test_variables_ports_and_the_wait_are_the_users(self, render: Render) -> None:
        secret = {"name": "BT_KEY", "valueFrom": {"secretKeyRef": {"name": "a", "key": "b"}}}
        values = remote_backend("custom", url="a://b", env=[secret], ports=[7000], waitFor="b.example.com:7000")
        closed = {"networkPolicy": {"predictor": {"egress": [{"ports": [{"port": 443}]}]}}}
        manifests = render({**values, **closed})
        assert environment(pod(manifests).container)["BT_KEY"] == secret["valueFrom"]
        (wait,) = pod(manifests).spec["initContainers"]
        assert wait["args"][0] == "b.example.com:7000"
        (policy,) = (m for m in manifests.labelled(component="predictor") if m["kind"] == "NetworkPolicy")
        assert {port["port"] for rule in policy["spec"]["egress"] for port in rule["ports"]} == {53, 5353, 443, 7000}
