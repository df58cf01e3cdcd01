"""Rules across values that catch what is easily mistaken rather than what is plainly wrong."""

from typing import Any

import pytest
from rendering import CHART, Render, lmcache_file, pod, remote_backend

from lmcache_kserve.chart.helm import Helm, HelmError

CPU_IMAGE = {"repository": "registry.example.com/vllm-cpu", "tag": "1"}
EXTERNAL = {"deploy": False, "external": {"endpoint": "redis.example.com:6379"}, "auth": {"existingSecret": "login"}}

# What is wrong, the values that are wrong, and how the message starts.
MISTAKES: dict[str, tuple[dict[str, Any], str]] = {
    "a release of KServe without LMCache": ({"kserve": {"version": "0.14"}}, "kserve.version"),
    "an annotation that the chart sets": (
        {"kserve": {"annotations": {"serving.kserve.io/deploymentMode": "Knative"}}},
        "kserve.annotations",
    ),
    "KServe's own label": (
        {"commonLabels": {"serving.kserve.io/inferenceservice": "llm"}},
        "commonLabels",
    ),
    "an option that a value sets": ({"model": {"extraArgs": ["--max_model_len", "100"]}}, "model.extraArgs[0]"),
    "a second connector": ({"model": {"extraArgs": ["--kv-offloading-size=4"]}}, "model.extraArgs[0]"),
    "the connector's own option": ({"model": {"extraArgs": ["--kv-transfer-config={}"]}}, "model.extraArgs[0]"),
    "vLLM's option for hybrid memory": (
        {"model": {"extraArgs": ["--no-disable-hybrid-kv-cache-manager"]}},
        "model.extraArgs[0]",
    ),
    "a template in the model's address": ({"model": {"storageUri": "s3://{{ .Name }}"}}, "model.storageUri"),
    "a template in the command": ({"runtime": {"command": ["sh", "-c", "{{ a }}"]}}, "runtime.command[2]"),
    "a tag without a repository": ({"runtime": {"image": {"tag": "1"}}}, "runtime.image.repository"),
    "a repository without a tag": ({"runtime": {"image": {"repository": "a/b"}}}, "runtime.image.tag"),
    "a GPU image without GPUs": ({"predictor": {"gpu": {"count": 0}}}, "runtime.image.repository"),
    "fewer workers than huggingfaceserver starts": (
        {"runtime": {"tensorParallelSize": 1}, "predictor": {"gpu": {"count": 2}}},
        "runtime.tensorParallelSize",
    ),
    "more workers than GPUs": (
        {"runtime": {"server": "vllm", "tensorParallelSize": 2}},
        "runtime.tensorParallelSize",
    ),
    "GPUs counted twice": (
        {"predictor": {"resources": {"limits": {"nvidia.com/gpu": 2, "memory": "24Gi"}}}},
        "predictor.resources.limits",
    ),
    "a variable that KServe refuses": (
        {"predictor": {"env": [{"name": "PYTHONPATH", "value": "/opt"}]}},
        "predictor.env[0] (PYTHONPATH)",
    ),
    "a variable that would override the file": (
        {"predictor": {"env": [{"name": "LMCACHE_CHUNK_SIZE", "value": "128"}]}},
        "predictor.env[0] (LMCACHE_CHUNK_SIZE)",
    ),
    "a variable that the launcher sets": (
        {"predictor": {"env": [{"name": "LMCACHE_REMOTE_URL", "value": "redis://other:6379"}]}},
        "predictor.env[0] (LMCACHE_REMOTE_URL)",
    ),
    "a variable with two values": (
        {
            "predictor": {
                "env": [{"name": "A", "value": "1", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}}]
            }
        },
        "predictor.env[0] (A)",
    ),
    "more replicas at least than at most": (
        {"predictor": {"autoscaling": {"enabled": True, "minReplicas": 5, "maxReplicas": 2}}},
        "predictor.autoscaling.minReplicas",
    ),
    "a metric that only KEDA reads": (
        {"predictor": {"autoscaling": {"enabled": True, "metrics": [{"type": "External"}]}}},
        "predictor.autoscaling.metrics[0]",
    ),
    "a metric that only Knative has": (
        {"predictor": {"autoscaling": {"enabled": True, "scaleMetric": "concurrency"}}},
        "predictor.autoscaling.scaleMetric",
    ),
    "no replica without KEDA": (
        {"predictor": {"autoscaling": {"enabled": True, "minReplicas": 0}}},
        "predictor.autoscaling.minReplicas",
    ),
    "KEDA with Knative": (
        {"kserve": {"deploymentMode": "Knative"}, "predictor": {"autoscaling": {"enabled": True, "class": "keda"}}},
        "predictor.autoscaling.class",
    ),
    "a chunk longer than any prompt": ({"model": {"maxModelLen": 200}}, "lmcache.chunkSize"),
    "compression on a GPU that is not there": (
        {"lmcache": {"serde": "cachegen"}, "runtime": {"image": CPU_IMAGE}, "predictor": {"gpu": {"count": 0}}},
        "lmcache.serde",
    ),
    "a Boolean that LMCache reads as false": (
        {"lmcache": {"config": {"local_cpu": "yes"}}},
        "lmcache.config.local_cpu",
    ),
    "a password in the free configuration": (
        {"lmcache": {"config": {"remote_config_url": "http://user:secret@config"}}},
        "lmcache.config.remote_config_url",
    ),
    "two addresses of the backend": (
        {"lmcache": {"config": {"remote_url": "redis://other:6379"}}},
        "lmcache.config.remote_url",
    ),
    "no memory to stage chunks": (
        {"lmcache": {"config": {"max_local_cpu_size": 0}}},
        "lmcache.config.max_local_cpu_size",
    ),
    "a limit that is no quantity": (
        {"predictor": {"resources": {"limits": {"memory": "24 GB"}}}},
        "predictor.resources.limits.memory",
    ),
    "one disk for several replicas": (
        {
            "lmcache": {
                "localDisk": {"enabled": True, "sizeGB": 1, "volume": {"type": "existingClaim", "existingClaim": "a"}}
            }
        },
        "lmcache.localDisk.volume.existingClaim",
    ),
    "an address of a server that is not used": (
        remote_backend("redis", external={"endpoint": "a:1"}),
        "remoteBackend.redis.external.endpoint",
    ),
    "TLS to the deployed server": (
        remote_backend("valkey", external={"tls": {"enabled": True}}),
        "remoteBackend.valkey.external.tls.enabled",
    ),
    "a user of the deployed server": (
        remote_backend("redis", auth={"username": "lmcache"}),
        "remoteBackend.redis.auth.username",
    ),
    "a password that is switched off": (
        remote_backend("redis", auth={"enabled": False, "password": "a"}),
        "remoteBackend.redis.auth.enabled",
    ),
    "a password with a line break": (
        remote_backend("redis", auth={"password": "a\nb"}),
        "remoteBackend.redis.auth.password",
    ),
    "a cache without a bound": (
        remote_backend("redis", resources={"limits": None}),
        "remoteBackend.redis.resources.limits.memory",
    ),
    "a bound that is no quantity": (remote_backend("redis", maxmemory="much"), "remoteBackend.redis.maxmemory"),
    "a certificate that is not used": (
        remote_backend("redis", **{**EXTERNAL, "external": {"endpoint": "a:1", "tls": {"caSecret": "ca"}}}),
        "remoteBackend.redis.external.tls.caSecret",
    ),
    "a model id too long for lm keys": (
        {"model": {"id": "a" * 65}, **remote_backend("lmcache-server")},
        "model.id",
    ),
}


@pytest.mark.parametrize(("values", "start"), MISTAKES.values(), ids=list(MISTAKES))
def test_a_mistake_is_refused_alone_and_by_its_value(helm: Helm, values: dict[str, Any], start: str) -> None:
    with pytest.raises(HelmError) as caught:
        helm.template(CHART, release="llm", namespace="models", values=values)
    problems = [line.strip() for line in str(caught.value).splitlines() if line.strip().startswith("-")]
    assert len(problems) == 1
    assert problems[0].startswith(f"- {start}: ")


@pytest.mark.parametrize("size", ["0.5", "2.25", "3"])
def test_a_size_with_a_fraction_can_be_set_on_the_command_line(render: Render, size: str) -> None:
    # Helm's --set makes text of a number with a fraction.
    manifests = render(set_values=[f"lmcache.localCpu.sizeGB={size}"])
    assert lmcache_file(manifests)["max_local_cpu_size"] == float(size)


def test_the_disk_of_all_workers_is_requested_and_its_volume_is_a_tenth_larger(render: Render) -> None:
    values = {
        "predictor": {"gpu": {"count": 2}},
        "lmcache": {"localDisk": {"enabled": True, "sizeGB": 10}},
    }
    spec = pod(render(values)).spec
    (volume,) = (volume for volume in spec["volumes"] if volume["name"] == "lmcache-disk")
    assert volume["emptyDir"]["sizeLimit"] == "22Gi"
    assert pod(render(values)).container["resources"]["requests"]["ephemeral-storage"] == "20Gi"
