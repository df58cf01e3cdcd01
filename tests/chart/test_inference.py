"""The InferenceService and its ServingRuntime: dialects of the server, deployment modes, scaling, placement."""

from typing import Any

import pytest
from rendering import CHART, Render, environment, option, pod, remote_backend

from lmcache_kserve.chart.helm import Helm, HelmError

SERVERS = pytest.mark.parametrize("server", ["vllm", "huggingfaceserver"])


def predictor(render: Render, values: dict[str, Any] | None = None) -> dict[str, Any]:
    spec: dict[str, Any] = render(values).one("InferenceService")["spec"]["predictor"]
    return spec


def command_line(render: Render, server: str, **values: Any) -> list[str]:
    """The command line without a launcher in front."""
    runtime = {"server": server, **values.pop("runtime", {})}
    return pod(render({"remoteBackend": {"type": "none"}, "runtime": runtime, **values})).command_line


def test_vllms_own_server_is_started_as_a_module_with_its_own_options(render: Render) -> None:
    command = command_line(render, "vllm", model={"name": "llama", "id": "meta-llama/Llama-3.2-1B"})
    assert command[command.index("--") + 1 :][:3] == ["python3", "-m", "vllm.entrypoints.openai.api_server"]
    assert option(command, "--served-model-name") == "llama"
    assert option(command, "--model") == "meta-llama/Llama-3.2-1B"
    assert not [argument for argument in command if argument.startswith(("--model_", "--http_port"))]


def test_kserves_server_is_started_with_its_own_options(render: Render) -> None:
    command = command_line(render, "huggingfaceserver", model={"name": "llama", "id": "meta-llama/Llama-3.2-1B"})
    assert command[command.index("--") + 1 :][:3] == ["python3", "-m", "huggingfaceserver"]
    assert option(command, "--model_name") == "llama"
    assert option(command, "--model_id") == "meta-llama/Llama-3.2-1B"
    assert option(command, "--model") is None


@SERVERS
def test_a_model_from_storage_is_served_from_where_kserve_puts_it(render: Render, server: str) -> None:
    values = {"model": {"storageUri": "hf://a/b"}, "runtime": {"server": server}}
    model = predictor(render, values)["model"]
    assert model["storageUri"] == "hf://a/b"
    source = option(pod(render(values)).command_line, "--model" if server == "vllm" else "--model_dir")
    assert source == "/mnt/models"
    assert option(pod(render(values)).command_line, "--model_id") is None


@SERVERS
@pytest.mark.parametrize("port", [8080, 9000])
def test_the_port_is_one_token_of_the_arguments_and_declared(render: Render, server: str, port: int) -> None:
    values = {"runtime": {"server": server, "port": port}}
    container = pod(render(values)).container
    name = {"vllm": "--port", "huggingfaceserver": "--http_port"}[server]
    assert f"{name}={port}" in container["args"]
    assert [declared["containerPort"] for declared in container["ports"]] == [port]


@SERVERS
def test_probes_ask_the_dialects_routes_on_the_servers_port(render: Render, server: str) -> None:
    container = pod(render({"runtime": {"server": server, "port": 9000}, "model": {"name": "llama"}})).container
    routes = {
        # An API key closes /v1 and all that is not made for probes.
        "vllm": ("/health", "/health"),
        # /v2/health/live answers 200 after the engine has died.
        "huggingfaceserver": ("/v1/models/llama", "/v1/models/llama"),
    }
    model, health = routes[server]
    assert container["startupProbe"]["httpGet"] == {"path": model, "port": 9000}
    assert container["readinessProbe"]["httpGet"] == {"path": model, "port": 9000}
    assert container["livenessProbe"]["httpGet"] == {"path": health, "port": 9000}


@pytest.mark.parametrize("name", ["a/b", "a b", "a%b", "a?b", "a#b", "a:b"])
def test_a_models_name_is_a_part_of_a_route_as_it_stands(helm: Helm, name: str) -> None:
    with pytest.raises(HelmError, match="name"):
        helm.template(CHART, release="llm", namespace="models", values={"model": {"name": name}})


def test_loading_a_model_may_take_half_an_hour(render: Render) -> None:
    probe = pod(render()).container["startupProbe"]
    assert probe["periodSeconds"] * probe["failureThreshold"] >= 1800


def test_a_probe_can_ask_something_else_or_be_switched_off(render: Render) -> None:
    mine = {"startup": None, "readiness": {"tcpSocket": {"port": 8080}}}
    container = pod(render({"runtime": {"probes": mine}})).container
    assert "startupProbe" not in container
    assert container["readinessProbe"]["tcpSocket"] == {"port": 8080}
    assert "httpGet" not in container["readinessProbe"]


@SERVERS
@pytest.mark.parametrize(
    ("value", "flag"), [(True, "--enable-prefix-caching"), (False, "--no-enable-prefix-caching"), (None, None)]
)
def test_vllms_prefix_cache_is_on_off_or_left_to_the_server(
    render: Render,
    server: str,
    value: bool | None,  # noqa: FBT001 (the value under test)
    flag: str | None,
) -> None:
    command = command_line(render, server, runtime={"prefixCaching": value})
    assert [argument for argument in command if "prefix-caching" in argument] == ([flag] if flag else [])


@SERVERS
def test_arguments_of_the_user_come_last(render: Render, server: str) -> None:
    command = command_line(render, server, model={"maxModelLen": 10000, "extraArgs": ["--dtype=float32"]})
    assert command[-1] == "--dtype=float32"
    assert option(command, "--max-model-len") == "10000"


def test_workers_share_the_gpus_of_a_replica(render: Render) -> None:
    gpus = {"gpu": {"count": 2}, "resources": {"limits": {"memory": "64Gi"}}}
    for server in ("vllm", "huggingfaceserver"):
        assert option(command_line(render, server, predictor=gpus), "--tensor-parallel-size") == "2"


@pytest.mark.parametrize("resource", ["nvidia.com/gpu", "nvidia.com/mig-3g.40gb", "amd.com/gpu"])
def test_gpus_are_requested_and_limited_by_their_resource(render: Render, resource: str) -> None:
    resources = pod(render({"predictor": {"gpu": {"count": 1, "resourceName": resource}}})).container["resources"]
    assert resources["limits"][resource] == resources["requests"][resource] == 1


def test_without_gpus_none_are_requested(render: Render) -> None:
    image = {"repository": "registry.example.com/vllm-cpu", "tag": "1"}
    resources = pod(render({"runtime": {"image": image}, "predictor": {"gpu": {"count": 0}}})).container["resources"]
    assert not [name for name in resources["limits"] if "/" in name]


def test_shared_memory_is_mounted_in_memory_with_a_bound(render: Render) -> None:
    manifests = render({"runtime": {"shm": {"sizeLimit": "8Gi"}}})
    (mount,) = (m for m in pod(manifests).container["volumeMounts"] if m["mountPath"] == "/dev/shm")  # noqa: S108 - a mount path
    (volume,) = (v for v in pod(manifests).spec["volumes"] if v["name"] == mount["name"])
    assert volume["emptyDir"] == {"medium": "Memory", "sizeLimit": "8Gi"}


def test_everything_that_writes_has_a_home_that_any_user_can_write(render: Render) -> None:
    container = pod(render({"runtime": {"home": {"path": "/cache"}}})).container
    assert [mount for mount in container["volumeMounts"] if mount["mountPath"] == "/cache"]
    for name in ("HOME", "HF_HOME", "XDG_CACHE_HOME", "TRITON_CACHE_DIR", "VLLM_CONFIG_ROOT"):
        assert environment(container)[name].startswith("/cache")


@pytest.mark.parametrize(
    ("version", "mode", "spelling"),
    [
        ("0.15", "Standard", "RawDeployment"),
        ("0.15", "Knative", "Serverless"),
        ("0.16", "Standard", "Standard"),
        ("0.21", "Standard", "Standard"),
        ("0.21", "Knative", "Knative"),
    ],
)
def test_the_deployment_mode_is_spelt_as_the_kserve_release_spells_it(
    render: Render, version: str, mode: str, spelling: str
) -> None:
    service = render({"kserve": {"version": version, "deploymentMode": mode}}).one("InferenceService")
    assert service["metadata"]["annotations"]["serving.kserve.io/deploymentMode"] == spelling


@pytest.mark.parametrize("version", ["0.15", "0.15.1", "0.15.2"])
def test_the_oldest_kserve_is_the_first_whose_webhook_admits_the_chart(render: Render, version: str) -> None:
    assert render({"kserve": {"version": version}}, kserve_version="0.15.2")


def test_fixed_replicas_have_no_autoscaler(render: Render) -> None:
    service = render({"predictor": {"replicas": 3}}).one("InferenceService")
    assert service["metadata"]["annotations"]["serving.kserve.io/autoscalerClass"] == "none"
    assert service["spec"]["predictor"]["minReplicas"] == 3
    assert "maxReplicas" not in service["spec"]["predictor"]


@pytest.mark.parametrize("autoscaler", ["hpa", "keda", "external"])
def test_an_autoscaler_owns_the_number_of_replicas(render: Render, autoscaler: str) -> None:
    scaling = {"enabled": True, "class": autoscaler, "minReplicas": 2, "maxReplicas": 5}
    service = render({"predictor": {"replicas": 9, "autoscaling": scaling}}).one("InferenceService")
    assert service["metadata"]["annotations"]["serving.kserve.io/autoscalerClass"] == autoscaler
    assert service["spec"]["predictor"]["minReplicas"] == 2
    assert service["spec"]["predictor"]["maxReplicas"] == 5


def test_metrics_of_an_autoscaler_are_passed_on(render: Render) -> None:
    metrics = [{"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization"}}}]
    scaling = {"enabled": True, "metrics": metrics, "scaleMetric": "memory"}
    spec = predictor(render, {"predictor": {"autoscaling": scaling}})
    assert spec["autoScaling"]["metrics"] == metrics
    assert "scaleMetric" not in spec


def test_knative_gets_nothing_that_it_refuses(render: Render) -> None:
    values = {"kserve": {"deploymentMode": "Knative"}, "predictor": {"deploymentStrategy": {"type": "Recreate"}}}
    spec = predictor(render, values)
    assert (
        set(spec) & {"initContainers", "deploymentStrategy", "securityContext", "terminationGracePeriodSeconds"}
        == set()
    )
    assert "lifecycle" not in spec["model"]


def test_where_replicas_run_is_up_to_the_user(render: Render) -> None:
    placement = {
        "runtimeClassName": "nvidia",
        "priorityClassName": "high",
        "nodeSelector": {"gpu": "a100"},
        "tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists"}],
        "affinity": {"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": []}},
        "topologySpreadConstraints": [
            {"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule", "labelSelector": {}}
        ],
    }
    spec = predictor(render, {"predictor": placement})
    assert {key: spec[key] for key in placement} == placement


def test_placement_may_refer_to_the_release(render: Render) -> None:
    constraint = {
        "maxSkew": 1,
        "topologyKey": "zone",
        "whenUnsatisfiable": "DoNotSchedule",
        "labelSelector": {"matchLabels": {"app": "isvc.{{ .Release.Name }}"}},
    }
    spec = predictor(render, {"predictor": {"topologySpreadConstraints": [constraint]}})
    assert spec["topologySpreadConstraints"][0]["labelSelector"]["matchLabels"] == {"app": "isvc.llm"}


def test_a_budget_covers_the_pods_that_kserve_makes(render: Render) -> None:
    manifests = render()
    name = manifests.one("InferenceService")["metadata"]["name"]
    budget = manifests.one("PodDisruptionBudget")["spec"]
    assert budget["selector"]["matchLabels"] == {"serving.kserve.io/inferenceservice": name, "component": "predictor"}
    assert budget["maxUnavailable"] == 1


def test_the_runtime_is_the_releases_own_and_selected_by_nobody_else(render: Render) -> None:
    manifests = render()
    runtime = manifests.one("ServingRuntime")
    assert manifests.one("InferenceService")["spec"]["predictor"]["model"]["runtime"] == runtime["metadata"]["name"]
    assert not any(model.get("autoSelect") for model in runtime["spec"]["supportedModelFormats"])
    # KServe rewrites the images of runtimes with this annotation.
    assert "serving.kserve.io/server-type" not in runtime["metadata"].get("annotations", {})


@pytest.mark.parametrize(
    ("image", "reference"),
    [
        ({"repository": "example.com/vllm", "tag": "1"}, "example.com/vllm:1"),
        ({"repository": "example.com/vllm", "digest": f"sha256:{'0' * 64}"}, f"example.com/vllm@sha256:{'0' * 64}"),
    ],
)
def test_the_image_is_a_tag_or_a_digest(render: Render, image: dict[str, str], reference: str) -> None:
    assert pod(render({"runtime": {"image": image}})).container["image"] == reference


def test_server_and_wait_run_the_same_image(render: Render) -> None:
    manifests = render(remote_backend("redis"))
    (wait,) = pod(manifests).spec["initContainers"]
    assert wait["image"] == pod(manifests).container["image"]


def test_service_links_do_not_leak_into_vllms_settings(render: Render) -> None:
    # A Service named `vllm` would become VLLM_PORT.
    assert pod(render()).spec["enableServiceLinks"] is False


def test_a_replica_leaves_the_service_before_it_stops(render: Render) -> None:
    assert "preStop" in pod(render()).container["lifecycle"]
    assert pod(render()).spec["terminationGracePeriodSeconds"] >= 30


def test_a_null_leaves_the_user_id_to_openshift(render: Render) -> None:
    values = {
        "predictor": {
            "podSecurityContext": {"fsGroup": None},
            "securityContext": {"runAsUser": None, "runAsGroup": None},
        }
    }
    found = pod(render(values))
    assert found.spec["securityContext"] == {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
    assert set(found.container["securityContext"]) & {"runAsUser", "runAsGroup"} == set()
