import copy
import json
from collections.abc import Callable
from typing import Any

import pytest
import yaml

from lmcache_kserve.chart import policies
from lmcache_kserve.chart.manifests import Manifests

RELEASE = """
apiVersion: serving.kserve.io/v1beta1
kind: InferenceService
metadata: {name: llm, labels: {app.kubernetes.io/name: lmcache-kserve}}
spec:
  predictor:
    annotations: {checksum/config: abc}
    securityContext: {runAsNonRoot: true, seccompProfile: {type: RuntimeDefault}}
    volumes:
      - {name: lmcache-config, configMap: {name: llm-lmcache, items: [{key: lmcache.yaml, path: lmcache.yaml}]}}
    model:
      modelFormat: {name: vLLM}
      runtime: llm
      env:
        - {name: PYTHONHASHSEED, value: "0"}
        - {name: REMOTE_BACKEND_PASSWORD, valueFrom: {secretKeyRef: {name: llm-redis, key: password}}}
      resources: {requests: {cpu: 1}, limits: {memory: 6Gi}}
      volumeMounts: [{name: lmcache-config, mountPath: /lmcache}, {name: devshm, mountPath: /dev/shm}]
---
apiVersion: serving.kserve.io/v1alpha1
kind: ServingRuntime
metadata: {name: llm}
spec:
  supportedModelFormats: [{name: vLLM}]
  containers:
    - name: kserve-container
      image: example.com:5000/vllm:0.32.0
      args: [--port=8080]
      ports: [{name: http, containerPort: 8080}]
      securityContext: {allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}
  volumes: [{name: devshm, emptyDir: {medium: Memory}}]
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: llm-redis, labels: {app.kubernetes.io/component: remote-backend}}
spec:
  selector: {matchLabels: {app.kubernetes.io/component: remote-backend}}
  template:
    metadata: {labels: {app.kubernetes.io/component: remote-backend}}
    spec:
      securityContext: {runAsNonRoot: true, seccompProfile: {type: RuntimeDefault}}
      containers:
        - name: redis
          image: redis@sha256:0123
          env: [{name: A, value: "1"}]
          ports: [{name: redis, containerPort: 6379}]
          securityContext: {allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}
          resources: {requests: {cpu: 1, memory: 1Gi}, limits: {memory: 1Gi}}
          volumeMounts: [{name: data, mountPath: /data}]
      volumes: [{name: data, emptyDir: {}}]
---
apiVersion: v1
kind: ConfigMap
metadata: {name: llm-lmcache}
data: {lmcache.yaml: "remote_url: redis://llm-redis:6379"}
---
apiVersion: v1
kind: Secret
metadata: {name: llm-redis}
stringData: {password: "p@ssword/1", username: default-user}
---
apiVersion: v1
kind: Service
metadata: {name: llm-redis}
spec: {selector: {app.kubernetes.io/component: remote-backend}, ports: [{port: 6379}]}
"""


class Release:
    """The objects above, to be changed by a test."""

    def __init__(self) -> None:
        objects = [copy.deepcopy(item) for item in yaml.safe_load_all(RELEASE)]
        self.service, self.runtime, self.deployment, self.config_map, self.secret, self.service_object = objects
        self.objects = objects

    @property
    def predictor(self) -> dict[str, Any]:
        found: dict[str, Any] = self.service["spec"]["predictor"]
        return found

    @property
    def model(self) -> dict[str, Any]:
        found: dict[str, Any] = self.predictor["model"]
        return found

    @property
    def runtime_container(self) -> dict[str, Any]:
        found: dict[str, Any] = self.runtime["spec"]["containers"][0]
        return found

    @property
    def pod(self) -> dict[str, Any]:
        found: dict[str, Any] = self.deployment["spec"]["template"]["spec"]
        return found

    @property
    def container(self) -> dict[str, Any]:
        found: dict[str, Any] = self.pod["containers"][0]
        return found

    def manifests(self) -> Manifests:
        return Manifests.parse("\n---\n".join(json.dumps(item) for item in self.objects))

    def judged_by(self, policy: policies.Policy) -> list[str]:
        return [f"{violation.object} {violation.path}" for violation in policy(self.manifests())]


@pytest.fixture
def release() -> Release:
    return Release()


def test_a_release_that_keeps_every_rule_has_no_violations(release: Release) -> None:
    assert policies.check(release.manifests()) == []


PREDICTOR = "InferenceService/llm containers[kserve-container]"
REDIS = "Deployment/llm-redis containers[redis]"

Change = Callable[[Release], object]


def volume(name: str, **source: Any) -> dict[str, Any]:
    return {"name": name, **source}


@pytest.mark.parametrize(
    ("change", "where"),
    [
        (lambda r: r.pod.update(hostNetwork=True), "Deployment/llm-redis hostNetwork"),
        (lambda r: r.pod.update(hostPID=True), "Deployment/llm-redis hostPID"),
        (lambda r: r.predictor.update(hostIPC=True), "InferenceService/llm hostIPC"),
        (lambda r: r.pod["securityContext"].update(runAsUser=0), "Deployment/llm-redis securityContext.runAsUser"),
        pytest.param(
            lambda r: r.predictor["volumes"].append(volume("host", hostPath={"path": "/"})),
            "InferenceService/llm volumes[host]",
            id="host path in the service",
        ),
        pytest.param(
            lambda r: r.runtime["spec"]["volumes"].append(volume("host", hostPath={"path": "/"})),
            "InferenceService/llm volumes[host]",
            id="host path in the runtime",
        ),
        (
            lambda r: r.runtime_container["securityContext"].pop("allowPrivilegeEscalation"),
            f"{PREDICTOR}.securityContext.allowPrivilegeEscalation",
        ),
        (lambda r: r.container["securityContext"].update(privileged=True), f"{REDIS}.securityContext.privileged"),
        (
            lambda r: r.container["securityContext"]["capabilities"].update(drop=["NET_RAW"]),
            f"{REDIS}.securityContext.capabilities.drop",
        ),
        (
            lambda r: r.container["securityContext"]["capabilities"].update(add=["IPC_LOCK"]),
            f"{REDIS}.securityContext.capabilities.add",
        ),
        pytest.param(
            lambda r: r.pod["securityContext"].pop("runAsNonRoot"),
            f"{REDIS}.securityContext.runAsNonRoot",
            id="nobody says non-root",
        ),
        pytest.param(
            lambda r: r.container["securityContext"].update(runAsNonRoot=False),
            f"{REDIS}.securityContext.runAsNonRoot",
            id="the container says root",
        ),
        (
            lambda r: r.predictor["securityContext"].pop("seccompProfile"),
            f"{PREDICTOR}.securityContext.seccompProfile.type",
        ),
        (
            lambda r: r.container["securityContext"].update(seccompProfile={"type": "Unconfined"}),
            f"{REDIS}.securityContext.seccompProfile.type",
        ),
        (lambda r: r.container["securityContext"].update(runAsUser=0), f"{REDIS}.securityContext.runAsUser"),
        (lambda r: r.container["securityContext"].update(procMount="Unmasked"), f"{REDIS}.securityContext.procMount"),
        (lambda r: r.container["ports"][0].update(hostPort=1), f"{REDIS}.ports[6379].hostPort"),
    ],
)
def test_what_a_restricted_namespace_refuses_is_found(release: Release, change: Change, where: str) -> None:
    change(release)
    assert release.judged_by(policies.restricted_pod_security) == [where]


def test_an_init_container_is_restricted_too(release: Release) -> None:
    release.pod["initContainers"] = [{"name": "wait", "image": "a:1"}]
    assert [where for where in release.judged_by(policies.restricted_pod_security) if "initContainers[wait]" in where]


def test_an_unquoted_variable_is_found_in_either_half_of_the_predictor(release: Release) -> None:
    release.model["env"].append({"name": "B", "value": True})
    release.runtime_container["env"] = [{"name": "C", "value": 1}]
    assert release.judged_by(policies.env_values_are_strings) == [
        "InferenceService/llm model.env[B].value",
        "ServingRuntime/llm containers[kserve-container].env[C].value",
    ]


def test_an_unquoted_label_or_annotation_is_found(release: Release) -> None:
    release.service["metadata"]["labels"]["a"] = 1
    release.predictor["annotations"]["b"] = True
    release.deployment["spec"]["template"]["metadata"]["annotations"] = {"c": 1}
    assert release.judged_by(policies.env_values_are_strings) == [
        "InferenceService/llm metadata.labels[a]",
        "InferenceService/llm spec.predictor.annotations[b]",
        "Deployment/llm-redis spec.template.metadata.annotations[c]",
    ]


@pytest.mark.parametrize(
    ("change", "where"),
    [
        (lambda r: r.model["env"].append({"name": "PYTHONHASHSEED"}), "InferenceService/llm model.env[PYTHONHASHSEED]"),
        (
            lambda r: r.model["volumeMounts"].append({"name": "a", "mountPath": "/lmcache"}),
            "InferenceService/llm model.volumeMounts[/lmcache]",
        ),
        (
            lambda r: r.predictor["volumes"].append(volume("lmcache-config", emptyDir={})),
            "InferenceService/llm volumes[lmcache-config]",
        ),
        (
            lambda r: r.runtime_container["ports"].append({"containerPort": 8080, "protocol": "TCP"}),
            "ServingRuntime/llm containers[kserve-container].ports[8080 TCP]",
        ),
        (
            lambda r: r.pod.update(initContainers=[{"name": "redis", "image": "a:1"}]),
            "Deployment/llm-redis containers[redis]",
        ),
    ],
)
def test_whatever_is_listed_twice_is_found(release: Release, change: Change, where: str) -> None:
    change(release)
    assert release.judged_by(policies.no_duplicates) == [where]


def test_the_halves_of_a_predictor_may_name_the_same_thing(release: Release) -> None:
    release.runtime_container["env"] = [{"name": "PYTHONHASHSEED", "value": "1"}]
    assert release.judged_by(policies.no_duplicates) == []


def test_a_mount_may_find_its_volume_in_the_other_half(release: Release) -> None:
    assert release.judged_by(policies.mounts_have_volumes) == []
    release.runtime["spec"]["volumes"] = []
    assert release.judged_by(policies.mounts_have_volumes) == [f"{PREDICTOR}.volumeMounts[/dev/shm]"]


def test_a_stateful_set_may_mount_what_it_claims(release: Release) -> None:
    release.deployment["kind"] = "StatefulSet"
    release.pod["volumes"] = []
    assert release.judged_by(policies.mounts_have_volumes) == [
        "StatefulSet/llm-redis containers[redis].volumeMounts[/data]"
    ]
    release.deployment["spec"]["volumeClaimTemplates"] = [{"metadata": {"name": "data"}}]
    assert release.judged_by(policies.mounts_have_volumes) == []


@pytest.mark.parametrize(
    ("change", "where"),
    [
        pytest.param(
            lambda r: r.objects.remove(r.config_map), "InferenceService/llm volumes[lmcache-config]", id="no ConfigMap"
        ),
        pytest.param(
            lambda r: r.config_map.update(data={"other": ""}),
            "InferenceService/llm volumes[lmcache-config]",
            id="no key in the ConfigMap",
        ),
        pytest.param(lambda r: r.objects.remove(r.secret), f"{PREDICTOR}.env[REMOTE_BACKEND_PASSWORD]", id="no Secret"),
        pytest.param(
            lambda r: r.secret["stringData"].pop("password"),
            f"{PREDICTOR}.env[REMOTE_BACKEND_PASSWORD]",
            id="no key in the Secret",
        ),
        (lambda r: r.container.update(envFrom=[{"secretRef": {"name": "no"}}]), f"{REDIS}.envFrom"),
        pytest.param(
            lambda r: r.pod["volumes"].append(volume("a", secret={"secretName": "no"})),
            "Deployment/llm-redis volumes[a]",
            id="a Secret as volume",
        ),
        pytest.param(
            lambda r: r.pod["volumes"].append(volume("a", projected={"sources": [{"secret": {"name": "no"}}]})),
            "Deployment/llm-redis volumes[a]",
            id="a projected Secret",
        ),
        pytest.param(
            lambda r: r.pod["volumes"].append(volume("a", persistentVolumeClaim={"claimName": "no"})),
            "Deployment/llm-redis volumes[a]",
            id="a claim",
        ),
    ],
)
def test_a_reference_to_nothing_is_found(release: Release, change: Change, where: str) -> None:
    change(release)
    assert release.judged_by(policies.references_exist) == [where]


def test_a_reference_may_be_external_or_optional(release: Release) -> None:
    release.objects.remove(release.secret)
    assert policies.references_exist(release.manifests(), external=["llm-redis"]) == []
    release.model["env"][1]["valueFrom"]["secretKeyRef"]["optional"] = True
    assert policies.references_exist(release.manifests()) == []


@pytest.mark.parametrize("image", ["redis", "redis:latest", "example.com:5000/redis", ""])
def test_an_image_without_a_fixed_version_is_found(release: Release, image: str) -> None:
    release.container["image"] = image
    assert release.judged_by(policies.images_are_pinned) == [f"{REDIS}.image"]


def test_the_predictors_image_may_be_pinned_in_either_half(release: Release) -> None:
    release.runtime_container["image"] = "vllm"
    assert release.judged_by(policies.images_are_pinned) == [f"{PREDICTOR}.image"]
    release.model["image"] = "vllm:1"
    assert release.judged_by(policies.images_are_pinned) == []


@pytest.mark.parametrize(
    ("resources", "missing"),
    [
        ({"requests": {"cpu": 1, "memory": "1Gi"}}, ["limits.memory"]),
        ({"limits": {"memory": "1Gi"}}, ["requests.cpu"]),
        ({"limits": {"memory": "1Gi", "cpu": 1}}, []),
        ({}, ["requests.cpu", "requests.memory", "limits.memory"]),
    ],
)
def test_a_container_without_bounds_is_found(release: Release, resources: dict[str, Any], missing: list[str]) -> None:
    release.container["resources"] = resources
    assert release.judged_by(policies.memory_is_bounded) == [f"{REDIS}.resources.{name}" for name in missing]


@pytest.mark.parametrize(
    ("change", "where"),
    [
        pytest.param(
            lambda r: r.config_map["data"].update(a="x p@ssword/1"), "ConfigMap/llm-lmcache data.a", id="as it is"
        ),
        pytest.param(
            lambda r: r.config_map["data"].update(a="redis://:p%40ssword%2F1@h"),
            "ConfigMap/llm-lmcache data.a",
            id="percent-encoded",
        ),
        pytest.param(
            lambda r: r.config_map["data"].update(a="redis://me:other@host"),
            "ConfigMap/llm-lmcache data.a",
            id="another password in a URL",
        ),
        (
            lambda r: r.runtime_container["args"].append("--password=p@ssword/1"),
            "ServingRuntime/llm spec.containers[0].args[1]",
        ),
        (
            lambda r: r.container["env"][0].update(value="p@ssword/1"),
            "Deployment/llm-redis spec.template.spec.containers[0].env[0].value",
        ),
        (
            lambda r: r.predictor["annotations"].update(a="p@ssword/1"),
            "InferenceService/llm spec.predictor.annotations.a",
        ),
        (
            lambda r: r.secret["metadata"].update(annotations={"a": "p@ssword/1"}),
            "Secret/llm-redis metadata.annotations.a",
        ),
    ],
)
def test_a_secret_in_plain_sight_is_found_and_not_repeated(release: Release, change: Change, where: str) -> None:
    change(release)
    assert release.judged_by(policies.secrets_stay_secret) == [where]
    assert not [found for found in policies.secrets_stay_secret(release.manifests()) if "p@ss" in str(found)]


def test_an_encoded_secret_is_read(release: Release) -> None:
    release.secret["data"] = {"token": "aGZfYWJjZGVm"}
    release.config_map["data"]["a"] = "hf_abcdef"
    assert release.judged_by(policies.secrets_stay_secret) == ["ConfigMap/llm-lmcache data.a"]


@pytest.mark.parametrize(
    "text",
    [
        "redis://host:6379/0",
        "redis://$USER:$PASSWORD@host",
        "{scheme}://{user}:{password}@h",
        "redis://:***@h",
        "default-user",
    ],
)
def test_what_only_looks_like_a_secret_is_none(release: Release, text: str) -> None:
    release.config_map["data"]["a"] = text
    assert release.judged_by(policies.secrets_stay_secret) == []


def test_the_labels_of_kserves_controller_are_found(release: Release) -> None:
    labels = release.deployment["metadata"]["labels"]
    labels["serving.kserve.io/inferenceservice"] = "llm"
    assert release.judged_by(policies.kserve_owns_its_labels) == []
    labels["component"] = "predictor"
    assert release.judged_by(policies.kserve_owns_its_labels) == ["Deployment/llm-redis metadata.labels"]


@pytest.mark.parametrize(
    ("change", "where"),
    [
        (lambda r: r.service["metadata"].update(name="a" * 49), f"InferenceService/{'a' * 49} metadata.name"),
        (lambda r: r.service["metadata"].update(name="0llm"), "InferenceService/0llm metadata.name"),
        (lambda r: r.service_object["metadata"].update(name="a.b"), "Service/a.b metadata.name"),
        (lambda r: r.deployment["metadata"].update(name="a" * 64), f"Deployment/{'a' * 64} metadata.name"),
        (lambda r: r.config_map["metadata"].update(name="Config"), "ConfigMap/Config metadata.name"),
        (
            lambda r: r.service["metadata"]["labels"].update({"a b": "c"}),
            "InferenceService/llm metadata.labels[a b]",
        ),
        (
            lambda r: r.predictor.update(labels={"a": "b" * 64}),
            "InferenceService/llm spec.predictor.labels[a]",
        ),
        (
            lambda r: r.deployment["spec"]["selector"]["matchLabels"].update(a="-b"),
            "Deployment/llm-redis spec.selector.matchLabels[a]",
        ),
        (lambda r: r.service_object["spec"]["selector"].update(a="b!"), "Service/llm-redis spec.selector[a]"),
        (lambda r: r.container["ports"][0].update(name="a" * 16), f"{REDIS}.ports"),
    ],
)
def test_a_name_that_is_too_long_or_not_allowed_is_found(release: Release, change: Change, where: str) -> None:
    change(release)
    assert release.judged_by(policies.names_are_valid) == [where]


@pytest.mark.parametrize("value", ["random", "", None])
def test_a_predictor_without_a_fixed_hash_seed_is_found(release: Release, value: str | None) -> None:
    release.model["env"][0]["value"] = value
    assert release.judged_by(policies.hash_seed_is_fixed) == [f"{PREDICTOR}.env[PYTHONHASHSEED]"]


def test_a_predictor_that_does_not_mention_the_hash_seed_is_found(release: Release) -> None:
    release.model["env"] = []
    assert release.judged_by(policies.hash_seed_is_fixed) == [f"{PREDICTOR}.env[PYTHONHASHSEED]"]


def test_the_hash_seed_may_be_fixed_in_the_runtime(release: Release) -> None:
    release.runtime_container["env"] = [release.model["env"].pop(0)]
    assert release.judged_by(policies.hash_seed_is_fixed) == []


def test_a_field_without_a_value_is_found(release: Release) -> None:
    release.service_object["spec"]["clusterIP"] = None
    assert release.judged_by(policies.nothing_is_null) == ["Service/llm-redis spec.clusterIP"]


def test_a_predictor_on_a_cluster_runtime_is_judged_by_itself(release: Release) -> None:
    release.objects.remove(release.runtime)
    release.model["runtime"] = "kserve-vllmserver"
    assert release.judged_by(policies.hash_seed_is_fixed) == []
    assert release.judged_by(policies.mounts_have_volumes) == [f"{PREDICTOR}.volumeMounts[/dev/shm]"]


def test_a_runtime_that_no_service_uses_is_judged_by_itself(release: Release) -> None:
    release.objects.remove(release.service)
    assert release.judged_by(policies.memory_is_bounded) == [
        f"ServingRuntime/llm containers[kserve-container].resources.{name}"
        for name in ("requests.cpu", "requests.memory", "limits.memory")
    ]


def test_check_applies_every_policy(release: Release) -> None:
    release.objects.remove(release.secret)
    release.container["image"] = "redis"
    assert [violation.path for violation in policies.check(release.manifests())] == [
        "containers[redis].image",
        "containers[kserve-container].env[REMOTE_BACKEND_PASSWORD]",
    ]
    assert len(policies.check(release.manifests(), external=["llm-redis"])) == 1
