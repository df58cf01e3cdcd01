"""The chart's test hook: what `helm test` runs, and what the release holds for it."""

from typing import Any

import pytest
from rendering import BACKENDS, CHART, EVERYTHING, Render, option, remote_backend

from lmcache_kserve.chart import policies
from lmcache_kserve.chart.manifests import Manifests

COMPONENT = "app.kubernetes.io/component"


def spec(manifests: Manifests) -> dict[str, Any]:
    found: dict[str, Any] = manifests.one("Pod")["spec"]
    return found


def container(manifests: Manifests) -> dict[str, Any]:
    (found,) = spec(manifests)["containers"]
    return dict(found)


def argument(render: Render, name: str, values: dict[str, Any] | None = None) -> str | None:
    return option(container(render(values))["args"], name)


def service(manifests: Manifests) -> dict[str, Any]:
    (found,) = (m for m in manifests.labelled(component="test") if m["kind"] == "Service")
    return found


def policy(manifests: Manifests, component: str) -> dict[str, Any]:
    (found,) = (m for m in manifests.labelled(component=component) if m["kind"] == "NetworkPolicy")
    return dict(found["spec"])


def test_the_pod_alone_is_a_hook_and_stays_with_its_log_until_the_next_run(render: Render) -> None:
    # Helm 3 deletes a hook that succeeded before `helm test --logs` has read it.
    manifests = render()
    assert manifests.one("Pod")["metadata"]["annotations"] == {
        "helm.sh/hook": "test",
        "helm.sh/hook-delete-policy": "before-hook-creation",
    }
    for manifest in manifests:
        if manifest["kind"] != "Pod":
            assert "helm.sh/hook" not in manifest["metadata"].get("annotations", {})


def test_the_pod_runs_once_and_not_for_ever(render: Render) -> None:
    pod = spec(render({"tests": {"timeoutSeconds": 100}}))
    assert pod["restartPolicy"] == "Never"
    assert pod["activeDeadlineSeconds"] > 100


def test_by_default_the_test_ends_before_helm_stops_waiting(render: Render) -> None:
    assert int(argument(render, "--timeout") or "") < 300


@pytest.mark.parametrize("server", ["vllm", "huggingfaceserver"])
def test_no_image_is_needed_but_the_predictors(render: Render, server: str) -> None:
    manifests = render({"runtime": {"server": server, "image": {"pullPolicy": "Always"}}})
    predictor = manifests.one("ServingRuntime")["spec"]["containers"][0]
    assert container(manifests)["image"] == predictor["image"]
    assert container(manifests)["imagePullPolicy"] == "Always"


def test_the_script_comes_from_the_release(render: Render) -> None:
    manifests = render()
    interpreter, path = container(manifests)["command"]
    (mount,) = container(manifests)["volumeMounts"]
    (volume,) = spec(manifests)["volumes"]
    assert interpreter == "python3"
    assert mount["name"] == volume["name"]
    folder, _, file = path.rpartition("/")
    assert mount["mountPath"] == folder
    mounted = manifests.one("ConfigMap", volume["configMap"]["name"])["data"]
    modules = (CHART / "files" / "prove_reuse").glob("*.py")
    assert mounted == {module.name: module.read_text(encoding="utf-8") for module in modules}
    assert file in mounted


@pytest.mark.parametrize("values", [{}, EVERYTHING], ids=["defaults", "everything"])
def test_the_pod_is_admitted_where_pods_are_restricted(render: Render, values: dict[str, Any]) -> None:
    manifests = render(values)
    test = Manifests(objects=(manifests.one("Pod"),), text="")
    assert policies.restricted_pod_security(test) == []
    assert container(manifests)["securityContext"]["readOnlyRootFilesystem"] is True
    assert spec(manifests)["automountServiceAccountToken"] is False


def test_the_pod_runs_as_the_user_that_the_predictor_runs_as(render: Render) -> None:
    values = {"predictor": {"securityContext": {"runAsUser": None, "runAsGroup": None}, "serviceAccountName": "models"}}
    manifests = render(values)
    assert "runAsUser" not in container(manifests)["securityContext"]
    assert spec(manifests)["serviceAccountName"] == "models"


def test_the_pod_goes_where_the_predictors_image_is(render: Render) -> None:
    tolerations = [{"key": "nvidia.com/gpu", "operator": "Exists"}]
    manifests = render({"predictor": {"nodeSelector": {"gpu": "a100"}, "tolerations": tolerations}})
    assert spec(manifests)["nodeSelector"] == {"gpu": "a100"}
    assert spec(manifests)["tolerations"] == tolerations
    (term,) = spec(manifests)["affinity"]["podAffinity"]["preferredDuringSchedulingIgnoredDuringExecution"]
    assert term["podAffinityTerm"]["labelSelector"]["matchLabels"] == service(manifests)["spec"]["selector"]
    assert "nvidia.com/gpu" not in container(manifests)["resources"]["limits"]


@pytest.mark.parametrize(
    ("server", "openai", "model"),
    [("vllm", "/v1", "/health"), ("huggingfaceserver", "/openai/v1", "/v1/models/llama")],
)
def test_the_dialects_routes_are_asked(render: Render, server: str, openai: str, model: str) -> None:
    values = {"runtime": {"server": server}, "model": {"name": "llama"}}
    assert argument(render, "--openai-path", values) == openai
    assert argument(render, "--model-path", values) == model
    assert argument(render, "--model", values) == "llama"


def test_replicas_are_found_by_a_service_that_names_every_pod(render: Render) -> None:
    manifests = render({"runtime": {"port": 9000}})
    found = service(manifests)
    assert found["spec"]["clusterIP"] == "None"
    assert found["spec"]["publishNotReadyAddresses"] is True
    name = manifests.one("InferenceService")["metadata"]["name"]
    assert found["spec"]["selector"] == {"serving.kserve.io/inferenceservice": name, "component": "predictor"}
    assert option(container(manifests)["args"], "--pods") == f"{found['metadata']['name']}.models.svc:9000"
    assert [port["targetPort"] for port in found["spec"]["ports"]] == [9000]


@pytest.mark.parametrize(
    ("predictor", "replicas", "or_more"),
    [
        ({"replicas": 3}, "3", False),
        ({"replicas": 3, "autoscaling": {"enabled": True, "minReplicas": 2}}, "2", True),
        ({"autoscaling": {"enabled": True, "class": "keda", "minReplicas": 0}}, "1", True),
    ],
    ids=["fixed", "scaled", "scaled to zero"],
)
def test_as_many_replicas_are_waited_for_as_there_should_be(
    render: Render,
    predictor: dict[str, Any],
    replicas: str,
    or_more: bool,  # noqa: FBT001 (the value under test)
) -> None:
    args = container(render({"predictor": predictor}))["args"]
    assert option(args, "--replicas") == replicas
    assert ("--or-more" in args) == or_more


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_release_with_a_backend_has_to_share(render: Render, backend: str) -> None:
    values = remote_backend(backend)
    assert argument(render, "--reuse", values) == "shared"
    assert argument(render, "--backend", values) == backend
    (_, port) = (argument(render, "--endpoint", values) or "").split(".models.svc:")
    assert port.isdecimal()


@pytest.mark.parametrize(
    ("values", "reuse"),
    [
        ({"remoteBackend": {"type": "none"}}, "own"),
        ({"remoteBackend": {"type": "none"}, "lmcache": {"config": {"remote_url": "fs:///cache"}}}, "shared"),
        ({"remoteBackend": {"type": "none"}, "lmcache": {"enabled": False}}, "none"),
        ({"lmcache": {"kvRole": "kv_producer"}}, "none"),
        ({"lmcache": {"kvTransferConfig": {"kv_role": "kv_consumer"}}}, "none"),
    ],
    ids=["no backend", "a backend of the user", "no LMCache", "stores only", "loads only"],
)
def test_only_what_the_release_can_do_is_expected(render: Render, values: dict[str, Any], reuse: str) -> None:
    assert argument(render, "--reuse", values) == reuse


def test_prompts_know_the_longest_sequence_where_the_values_say(render: Render) -> None:
    assert argument(render, "--context", {"model": {"maxModelLen": 4096}}) == "4096"
    assert argument(render, "--context") is None


@pytest.mark.parametrize(("serde", "lossy"), [("naive", False), ("cachegen", True)])
def test_lossy_chunks_are_announced(render: Render, serde: str, lossy: bool) -> None:  # noqa: FBT001 (the value under test)
    assert ("--lossy" in container(render({"lmcache": {"serde": serde}}))["args"]) == lossy


def test_pairs_length_and_time_are_the_users(render: Render) -> None:
    args = container(render({"tests": {"pairs": 5, "promptChunks": 20, "timeoutSeconds": 900}}))["args"]
    assert [option(args, name) for name in ("--pairs", "--chunks", "--timeout")] == ["5", "20", "900"]


def test_a_closed_predictor_lets_the_test_in(render: Render) -> None:
    peer = {"namespaceSelector": {"matchLabels": {"name": "gateway"}}}
    closed = {"networkPolicy": {"predictor": {"ingressFrom": [peer]}}}
    (rule,) = policy(render(closed), "predictor")["ingress"]
    assert rule["from"][0] == peer
    labels = rule["from"][1]["podSelector"]["matchLabels"]
    assert labels.items() <= render(closed).one("Pod")["metadata"]["labels"].items()
    assert labels[COMPONENT] == "test"
    (rule,) = policy(render({**closed, "tests": {"enabled": False}}), "predictor")["ingress"]
    assert rule["from"] == [peer]


def test_the_pod_reaches_names_and_the_predictor_and_nobody_reaches_it(render: Render) -> None:
    manifests = render({"runtime": {"port": 9000}})
    found = policy(manifests, "test")
    assert found["podSelector"]["matchLabels"].items() <= manifests.one("Pod")["metadata"]["labels"].items()
    assert set(found["policyTypes"]) == {"Ingress", "Egress"}
    assert "ingress" not in found
    names, predictor = found["egress"]
    assert {port["port"] for port in names["ports"]} == {53, 5353}
    assert predictor["ports"] == [{"port": 9000, "protocol": "TCP"}]
    assert predictor["to"] == [{"podSelector": {"matchLabels": service(manifests)["spec"]["selector"]}}]


def test_the_pod_may_not_connect_to_the_backend(render: Render) -> None:
    manifests = render(remote_backend("redis"))
    (rule,) = policy(manifests, "remote-backend")["ingress"]
    pod_labels = manifests.one("Pod")["metadata"]["labels"]
    for peer in rule["from"]:
        assert not peer["podSelector"]["matchLabels"].items() <= pod_labels.items()


def test_switched_off_nothing_of_it_is_rendered(render: Render) -> None:
    manifests = render({"tests": {"enabled": False}})
    assert manifests.labelled(component="test") == []
    assert manifests.of_kind("Pod") == []
    assert "prove_reuse" not in manifests.text


def test_labels_and_annotations_are_the_users_too(render: Render) -> None:
    values = {"podLabels": {"sidecar.istio.io/inject": "false"}, "podAnnotations": {"helm.sh/hook": "none", "a": "b"}}
    metadata = render({"tests": values}).one("Pod")["metadata"]
    assert metadata["labels"]["sidecar.istio.io/inject"] == "false"
    assert metadata["labels"][COMPONENT] == "test"
    assert metadata["annotations"]["a"] == "b"
    assert metadata["annotations"]["helm.sh/hook"] == "test"


def test_a_change_of_the_test_restarts_nothing(render: Render) -> None:
    # A password that the chart generates would be another in each render.
    base = remote_backend("redis", auth={"existingSecret": "password"})
    before, after = render(base), render({**base, "tests": {"pairs": 9, "timeoutSeconds": 900}})
    for kind in ("InferenceService", "ServingRuntime"):
        assert before.one(kind) == after.one(kind)
