"""Fields of the predictor that go on to KServe: each as the user wrote it, and what the chart sets for the user."""

from typing import Any

import pytest
from rendering import CHART, REPOSITORY, Render, environment, option, pod, scenario_values

from lmcache_kserve.chart import policies, schemas
from lmcache_kserve.chart.helm import Helm, HelmError

VLLM: dict[str, Any] = {"server": "vllm"}
HOST: dict[str, Any] = {"predictor": {"hostNetwork": True}, "networkPolicy": {"enabled": False}}
SECRET_ANNOTATIONS = ("serving.kserve.io/storageSecretName", "serving.kserve.io/secretName")


def predictor(render: Render, values: dict[str, Any] | None = None) -> dict[str, Any]:
    spec: dict[str, Any] = render(values).one("InferenceService")["spec"]["predictor"]
    return spec


PASSED_ON = {
    "schedulerName": "volcano",
    "hostAliases": [{"ip": "10.0.0.7", "hostnames": ["registry.example.com"]}],
    "dnsConfig": {"options": [{"name": "ndots", "value": "2"}]},
    "dnsPolicy": "ClusterFirst",
    "timeout": 1800,
    "resourceClaims": [{"name": "nic", "resourceClaimTemplateName": "nic"}],
}


@pytest.mark.parametrize("kserve", schemas.KSERVE_VERSIONS)
def test_a_field_reaches_kserve_as_the_user_wrote_it(render: Render, kserve: str) -> None:
    service = render({"predictor": PASSED_ON}, kserve_version=kserve).one("InferenceService")
    spec = service["spec"]["predictor"]
    assert {name: spec[name] for name in PASSED_ON} == PASSED_ON


def test_a_field_that_nobody_sets_is_not_rendered(render: Render) -> None:
    assert set(PASSED_ON) & set(predictor(render)) == {"timeout"}
    assert {"hostNetwork", "containerConcurrency"} & set(predictor(render)) == set()


@pytest.mark.parametrize(("mode", "seconds"), [("Standard", 3600), ("Knative", 600)])
def test_a_long_answer_is_not_cut_off(render: Render, mode: str, seconds: int) -> None:
    # KServe's own default is 60 seconds. Knative admits 600 at most, unless its administrator says otherwise.
    assert predictor(render, {"kserve": {"deploymentMode": mode}})["timeout"] == seconds


@pytest.mark.parametrize("limit", [0, 8])
def test_knative_is_told_how_many_requests_a_replica_takes(render: Render, limit: int) -> None:
    values = {"kserve": {"deploymentMode": "Knative"}, "predictor": {"containerConcurrency": limit}}
    assert predictor(render, values)["containerConcurrency"] == limit


def test_variables_may_come_from_whole_objects_and_single_ones_win(render: Render) -> None:
    sources = [{"configMapRef": {"name": "proxy-settings"}}, {"prefix": "S3_", "secretRef": {"name": "login"}}]
    container = pod(render({"predictor": {"envFrom": sources}})).container
    assert container["envFrom"] == sources
    assert "HOME" in environment(container)


def test_the_nodes_network_resolves_names_of_the_cluster(render: Render) -> None:
    spec = pod(render(HOST)).spec
    assert spec["hostNetwork"] is True
    assert spec["dnsPolicy"] == "ClusterFirstWithHostNet"
    assert spec["containers"][0]["readinessProbe"]["httpGet"]["port"] == 8080
    assert [port["containerPort"] for port in spec["containers"][0]["ports"]] == [8080]


def test_the_nodes_network_is_a_documented_exception_of_the_policies(render: Render) -> None:
    (found,) = (one for policy in policies.catalogue() for one in policy.breaches(render(HOST)))
    assert found.exception is not None
    assert found.exception.value == "predictor.hostNetwork"


@pytest.mark.parametrize("policy", ["Default", "None"])
def test_pods_may_find_names_elsewhere_where_no_name_is_the_clusters(render: Render, policy: str) -> None:
    config = {"nameservers": ["10.0.0.10"]}
    values = {"predictor": {"dnsPolicy": policy, "dnsConfig": config}, "remoteBackend": {"type": "none"}}
    assert predictor(render, values)["dnsPolicy"] == policy


def test_free_form_fields_stand_beside_the_charts_own(render: Render) -> None:
    extra = {"logger": {"mode": "all", "url": "http://log.example.com"}, "shareProcessNamespace": True}
    assert predictor(render, {"predictor": {"extra": extra}}).items() >= extra.items()


def test_every_field_that_the_chart_renders_is_refused_among_free_form_fields(render: Render, helm: Helm) -> None:
    everything = {
        **PASSED_ON,
        "hostNetwork": True,
        "sidecars": [{"name": "log", "image": "example.com/log:1"}],
        "initContainers": [{"name": "fetch", "image": "example.com/fetch:1"}],
        "deploymentStrategy": {"type": "Recreate"},
        "podLabels": {"a": "b"},
        "serviceAccountName": "a",
        "runtimeClassName": "a",
        "priorityClassName": "a",
        "nodeSelector": {"a": "b"},
        "tolerations": [{"operator": "Exists"}],
        "affinity": {"nodeAffinity": {}},
        "topologySpreadConstraints": [{"maxSkew": 1, "topologyKey": "a", "whenUnsatisfiable": "DoNotSchedule"}],
        "dnsPolicy": "ClusterFirstWithHostNet",
        "autoscaling": {"enabled": True, "scaleMetric": "cpu", "scaleTarget": 1, "behavior": {"scaleUp": {}}},
    }
    values = {"imagePullSecrets": [{"name": "a"}], "networkPolicy": {"enabled": False}}
    rendered = set(predictor(render, {"predictor": everything, **values}))
    rendered |= {"containerConcurrency"}  # for Knative only
    refused = set()
    for field in rendered:
        given = {"predictor": {"extra": {field: {"a": "b"}}}}
        if f"predictor.extra.{field}: is set through" in helm_refusal(helm, given):
            refused.add(field)
    assert refused == rendered


def helm_refusal(helm: Helm, values: dict[str, Any]) -> str:
    """What Helm says about values, empty where it accepts them."""
    try:
        helm.template(CHART, release="llm", namespace="models", values=values)
    except HelmError as error:
        return str(error)
    return ""


def test_schemas_judge_free_form_fields(render: Render) -> None:
    with pytest.raises(schemas.SchemaError, match="loger"):
        render({"predictor": {"extra": {"loger": {"mode": "all"}}}})


def test_a_model_has_further_names_behind_its_first(render: Render) -> None:
    names = ["a/b", "short"]
    args = pod(render({"runtime": VLLM, "model": {"name": "llama", "aliases": names}})).container["args"]
    start = args.index("--served-model-name")
    assert args[start + 1 : start + 4] == ["llama", *names]
    assert args[start + 4].startswith("--")
    assert option(args, "--served-model-name") == "llama"


def test_a_name_with_a_slash_is_the_same_for_server_and_test(render: Render) -> None:
    manifests = render({"runtime": VLLM, "model": {"name": "a/b"}})
    container = pod(manifests).container
    (test,) = manifests.one("Pod")["spec"]["containers"]
    assert option(container["args"], "--served-model-name") == "a/b"
    assert option(test["args"], "--model") == "a/b"
    assert option(test["args"], "--model-path") == container["readinessProbe"]["httpGet"]["path"] == "/health"


@pytest.mark.parametrize("server", ["vllm", "huggingfaceserver"])
def test_a_model_from_kserves_storage_spec_is_served_from_where_kserve_puts_it(render: Render, server: str) -> None:
    storage = {"key": "minio", "path": "llama3"}
    manifests = render({"model": {"storage": storage}, "runtime": {"server": server}})
    assert manifests.one("InferenceService")["spec"]["predictor"]["model"]["storage"] == storage
    source = option(pod(manifests).command_line, "--model" if server == "vllm" else "--model_dir")
    assert source == "/mnt/models"


def test_models_of_different_places_in_a_storage_share_nothing(render: Render) -> None:
    places = [{"path": "a"}, {"path": "b"}, {"key": "minio", "path": "a"}]
    seeds = {
        environment(pod(render({"model": {"storage": place}})).container)["PYTHONHASHSEED"] for place in (*places, {})
    }
    assert len(seeds) == len(places) + 1


HF = {"storageUri": "hf://meta-llama/Llama-3.1-8B-Instruct"}


@pytest.mark.parametrize(
    ("token", "secret"),
    [({"existingSecret": "hf-secret"}, "hf-secret"), ({"token": "hf_0123456789"}, "llm-lmcache-kserve-hugging-face")],
    ids=["existing", "the chart's"],
)
def test_kserves_downloader_gets_the_token(render: Render, token: dict[str, str], secret: str) -> None:
    annotations = pod(render({"model": HF, "huggingFace": token})).annotations
    assert {annotations[name] for name in SECRET_ANNOTATIONS} == {secret}


def test_the_token_reaches_what_kserve_downloads_beside_the_model(render: Render) -> None:
    extra = {"storageUris": [{"uri": "hf://a/adapter", "mountPath": "/mnt/adapters/a"}]}
    manifests = render({"predictor": {"extra": extra}, "huggingFace": {"existingSecret": "hf-secret"}})
    assert {pod(manifests).annotations[name] for name in SECRET_ANNOTATIONS} == {"hf-secret"}


@pytest.mark.parametrize(
    "values",
    [
        {"model": HF},
        {"model": {"storageUri": "s3://a/b"}, "huggingFace": {"existingSecret": "hf-secret"}},
        {"huggingFace": {"existingSecret": "hf-secret"}},
        {
            "model": HF,
            "huggingFace": {"existingSecret": "hf-secret", "existingSecretKey": "token"},
            "predictor": {"serviceAccountName": "downloader"},
        },
    ],
    ids=["no token", "another storage", "no storage", "an account with another Secret"],
)
def test_a_secret_that_the_downloader_does_not_need_is_not_named_to_it(render: Render, values: dict[str, Any]) -> None:
    assert set(SECRET_ANNOTATIONS) & set(pod(render(values)).annotations) == set()


def test_a_secret_that_the_user_names_to_the_downloader_stays(render: Render) -> None:
    token = {"existingSecret": "hf-secret"}
    (first, second) = SECRET_ANNOTATIONS
    values = {
        "model": HF,
        "huggingFace": token,
        "predictor": {"podAnnotations": {first: "mine"}},
        "kserve": {"annotations": {second: "mine"}},
    }
    manifests = render(values)
    annotations = {**manifests.one("InferenceService")["metadata"]["annotations"], **pod(manifests).annotations}
    assert {annotations[name] for name in SECRET_ANNOTATIONS} == {"mine"}


DRA = scenario_values(REPOSITORY / "values" / "gpu-dra.yaml")


def test_gpus_of_a_claim_are_counted_and_not_requested(render: Render) -> None:
    manifests = render({**DRA, "predictor": {**DRA["predictor"], "gpu": {"count": 2, "resourceName": ""}}})
    container = pod(manifests).container
    assert [name for kind in ("requests", "limits") for name in container["resources"][kind] if "/" in name] == []
    assert container["resources"]["claims"] == [{"name": "gpu"}]
    assert pod(manifests).spec["resourceClaims"] == DRA["predictor"]["resourceClaims"]
    assert option(container["args"], "--tensor-parallel-size") == "2"


def test_a_sidecar_that_reads_gpu_memory_uses_the_engines_claim(render: Render) -> None:
    (server,) = (
        container
        for container in pod(render({**DRA, "lmcache": {"mode": "multiprocess"}})).spec["initContainers"]
        if container["name"] == "lmcache-server"
    )
    assert server["resources"]["claims"] == [{"name": "gpu"}]
    assert "NVIDIA_VISIBLE_DEVICES" not in environment(server)


def test_a_sidecar_that_reads_no_gpu_memory_has_no_claim(render: Render) -> None:
    mode = {"mode": "multiprocess", "multiprocess": {"transferMode": "engine_driven"}}
    for container in pod(render({**DRA, "lmcache": mode})).spec["initContainers"]:
        assert "claims" not in container["resources"]
