"""Rules across values: each refuses what cannot work, names the value to change, and all speak at once."""

import functools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from rendering import CHART, Render, remote_backend, values_key

from lmcache_kserve.chart.helm import Helm, HelmError

SECRET: dict[str, Any] = {"existingSecret": "a"}
KNATIVE: dict[str, Any] = {"kserve": {"deploymentMode": "Knative"}}
PLACE = "%REMOTE_BACKEND_PASSWORD%"
CPU_IMAGE = {"repository": "example.com/vllm-cpu", "tag": "1"}


@dataclass(frozen=True, slots=True)
class Problem:
    """Values that cannot work, and the values that the message has to name, the one to change first."""

    named: tuple[str, ...]
    values: dict[str, Any]
    namespace: str = "models"


def problem(*named: str, namespace: str = "models", **values: Any) -> Problem:
    return Problem(named=named, values=values, namespace=namespace)


def backend(kind: str, *named: str, **values: Any) -> Problem:
    paths = (f"remoteBackend.{values_key(kind)}.{name}" for name in named)
    return Problem(named=tuple(paths), values=remote_backend(kind, **values))


def variable(**fields: Any) -> dict[str, Any]:
    return {"env": [fields]}


def arguments(*values: str) -> dict[str, Any]:
    return {"extraArgs": list(values)}


def scaling(**values: Any) -> dict[str, Any]:
    return {"autoscaling": {"enabled": True, **values}}


NAMES = {
    "a namespace that leaves no room for a name": problem("namespace", namespace="n" * 50),
    "a name that KServe cannot use": problem("fullnameOverride", fullnameOverride="a" * 47),
    "a name with capitals": problem("nameOverride", nameOverride="Chart"),
    "KServe's own label on every object": problem(
        "commonLabels", commonLabels={"serving.kserve.io/inferenceservice": "llm"}
    ),
    "KServe's own label on the service": problem(
        "kserve.labels", kserve={"labels": {"serving.kserve.io/inferenceservice": "llm"}}
    ),
    "KServe's own label on the test": problem(
        "tests.podLabels", tests={"podLabels": {"serving.kserve.io/inferenceservice": "llm"}}
    ),
    "a KServe without LMCache": problem("kserve.version", kserve={"version": "0.14"}),
    "an annotation that has a value of its own": problem(
        "kserve.annotations", kserve={"annotations": {"serving.kserve.io/deploymentMode": "Knative"}}
    ),
}

SERVER = {
    "a template in the model's arguments": problem("model.extraArgs[0]", model=arguments("--chat-template={{ a }}")),
    "a template in the model's name": problem("model.id", model={"id": "{{ a }}"}),
    "a template in the command": problem("runtime.command[0]", runtime={"command": ["{{ a }}"]}),
    "a connector in the arguments": problem(
        "model.extraArgs[0]", "lmcache.kvTransferConfig", model=arguments("--kv-transfer-config={}")
    ),
    "another offloading in the arguments": problem("model.extraArgs[0]", model=arguments("--kv-offloading-size=4")),
    "hybrid memory in the arguments": problem(
        "model.extraArgs[0]", model=arguments("--no-disable-hybrid-kv-cache-manager")
    ),
    "an option that has a value of its own": problem("model.extraArgs[0]", "runtime.port", model=arguments("--port=1")),
    "adapters that the keys do not name": problem(
        "model.extraArgs[1]",
        "--enable-lora",
        "lmcache.adaptersByTag",
        model=arguments("--max-loras=2", "--enable-lora"),
    ),
    "adapters in the other spelling": problem(
        "model.extraArgs[0]", "lmcache.adaptersByTag", model=arguments("--lora_modules=a=/a")
    ),
    "in-process with a model that needs hybrid memory": problem(
        "model.hybridMemory", "lmcache.mode", model={"hybridMemory": True}
    ),
    "a tag without a repository": problem("runtime.image.repository", runtime={"image": {"tag": "1"}}),
    "a repository without a tag": problem("runtime.image.tag", runtime={"image": {"repository": "example.com/vllm"}}),
    "a GPU image without GPUs": problem(
        "runtime.image.repository", "predictor.gpu.count", predictor={"gpu": {"count": 0}}
    ),
    "fewer workers than huggingfaceserver starts": problem(
        "runtime.tensorParallelSize",
        runtime={"server": "huggingfaceserver", "tensorParallelSize": 1},
        predictor={"gpu": {"count": 2}},
    ),
    "more workers than GPUs": problem(
        "runtime.tensorParallelSize",
        "predictor.gpu.count",
        runtime={"server": "vllm", "tensorParallelSize": 2},
        predictor={"gpu": {"count": 1}},
    ),
    "a limit on a home that is a claim": problem(
        "runtime.home.sizeLimit", runtime={"home": {"existingClaim": "a", "sizeLimit": "1Gi"}}
    ),
}

PREDICTOR = {
    "a Boolean as value of a variable": problem(
        "predictor.env[0]", "VLLM_USE_V1", predictor=variable(name="VLLM_USE_V1", value=True)
    ),
    "a template in a variable": problem("predictor.env[0]", predictor=variable(name="A", value="{{ a }}")),
    "a variable that KServe refuses": problem("predictor.env[0]", predictor=variable(name="PYTHONPATH", value="/a")),
    "a variable with two values": problem(
        "predictor.env[0]", predictor=variable(name="A", value="a", valueFrom={"fieldRef": {"fieldPath": "b"}})
    ),
    "a variable that overrides the file": problem(
        "predictor.env[0]",
        "lmcache.config.chunk_size",
        predictor=variable(name="LMCACHE_CHUNK_SIZE", value="1"),
    ),
    "a variable of the launcher": problem(
        "predictor.env[0]", "remoteBackend", predictor=variable(name="REMOTE_BACKEND_URL", value="redis://a")
    ),
    "GPUs among the resources": problem(
        "predictor.resources.limits",
        "predictor.gpu.count",
        predictor={"resources": {"limits": {"nvidia.com/gpu": 1}}},
    ),
    "fewest replicas above most": problem(
        "predictor.autoscaling.minReplicas", predictor=scaling(minReplicas=3, maxReplicas=2)
    ),
    "an autoscaler class in Knative": problem(
        "predictor.autoscaling.class", predictor=scaling(**{"class": "keda"}), **KNATIVE
    ),
    "metrics in Knative": problem(
        "predictor.autoscaling.metrics", predictor=scaling(metrics=[{"type": "Resource"}]), **KNATIVE
    ),
    "a metric of Knative in Standard mode": problem(
        "predictor.autoscaling.scaleMetric", predictor=scaling(scaleMetric="rps")
    ),
    "no replicas with an HPA": problem("predictor.autoscaling.minReplicas", predictor=scaling(minReplicas=0)),
    "a metric of KEDA with an HPA": problem(
        "predictor.autoscaling.metrics[0]",
        "predictor.autoscaling.class",
        predictor=scaling(metrics=[{"type": "External"}]),
    ),
    "token and existingSecret together": problem(
        "huggingFace.token", "huggingFace.existingSecret", huggingFace={"token": "hf_a", **SECRET}
    ),
}

LMCACHE = {
    "a backend without LMCache": problem("remoteBackend.type", "lmcache.enabled", lmcache={"enabled": False}),
    "compression on the GPU without one": problem(
        "lmcache.serde",
        lmcache={"serde": "cachegen"},
        predictor={"gpu": {"count": 0}},
        runtime={"image": CPU_IMAGE},
    ),
    "a chunk longer than any prompt": problem(
        "lmcache.chunkSize", "model.maxModelLen", model={"maxModelLen": 100}, lmcache={"chunkSize": 256}
    ),
    "a word for a Boolean in the configuration": problem(
        "lmcache.config.use_layerwise", lmcache={"config": {"use_layerwise": "on"}}
    ),
    "a password in the configuration": problem(
        "lmcache.config.lookup_url", lmcache={"config": {"lookup_url": "redis://a:b@c"}}
    ),
    "a seed that Python does not take": problem("lmcache.hashSeed", lmcache={"hashSeed": "4294967296"}),
    "a salt without a computed seed": problem(
        "lmcache.keySalt", "lmcache.hashSeed", lmcache={"hashSeed": 0, "keySalt": "a"}
    ),
    "two remote URLs": problem("lmcache.config.remote_url", lmcache={"config": {"remote_url": "redis://a"}}),
    "no memory to stage chunks in": problem(
        "lmcache.config.max_local_cpu_size", lmcache={"config": {"max_local_cpu_size": 0}}
    ),
    "a memory limit that is no quantity": problem(
        "predictor.resources.limits.memory", predictor={"resources": {"limits": {"memory": "lots"}}}
    ),
    "memory limit below the CPU tier of one worker": problem(
        "predictor.resources.limits.memory",
        "lmcache.localCpu.sizeGB",
        predictor={"resources": {"limits": {"memory": "4Gi"}}},
    ),
    "memory limit below the CPU tier of every worker": problem(
        "predictor.resources.limits.memory",
        "lmcache.localCpu.sizeGB",
        predictor={"gpu": {"count": 4}, "resources": {"limits": {"memory": "19Gi"}}},
    ),
    "disk tier without a size": problem("lmcache.localDisk.sizeGB", lmcache={"localDisk": {"enabled": True}}),
    "disk tier on a claim without a name": problem(
        "lmcache.localDisk.volume.existingClaim",
        lmcache={"localDisk": {"enabled": True, "sizeGB": 1, "volume": {"type": "existingClaim"}}},
        predictor={"replicas": 1},
    ),
    "disk tier of two replicas on one claim": problem(
        "lmcache.localDisk.volume.existingClaim",
        lmcache={
            "localDisk": {"enabled": True, "sizeGB": 1, "volume": {"type": "existingClaim", "existingClaim": "a"}}
        },
    ),
    "a claim that the disk tier does not use": problem(
        "lmcache.localDisk.volume.existingClaim",
        lmcache={"localDisk": {"enabled": True, "sizeGB": 1, "volume": {"existingClaim": "a"}}},
    ),
    "disk tier on a claim of each pod in Knative": problem(
        "lmcache.localDisk.volume.type",
        lmcache={"localDisk": {"enabled": True, "sizeGB": 1, "volume": {"type": "ephemeral"}}},
        **KNATIVE,
    ),
}

EXTERNAL: dict[str, Any] = {"deploy": False, "external": {"endpoint": "a:6379"}}

BACKENDS = {
    f"{kind}: {what}": case
    for kind in ("redis", "valkey")
    for what, case in {
        "external without an endpoint": backend(kind, "external.endpoint", deploy=False, auth=SECRET),
        "external without a word about its password": backend(kind, "auth", **EXTERNAL),
        "an endpoint although it is deployed": backend(
            kind, "external.endpoint", "deploy", external={"endpoint": "a:6379"}
        ),
        "TLS although it is deployed": backend(kind, "external.tls.enabled", external={"tls": {"enabled": True}}),
        "a database although it is deployed": backend(kind, "external.database", external={"database": 1}),
        "a user name although it is deployed": backend(kind, "auth.username", auth={"username": "a"}),
        "password and existingSecret together": backend(
            kind, "auth.password", "auth.existingSecret", auth={"password": "a", **SECRET}
        ),
        "a password although there shall be none": backend(
            kind, "auth.enabled", auth={"enabled": False, "password": "a"}
        ),
        "a password of two lines": backend(kind, "auth.password", auth={"password": "a\nb"}),
        "an authority without TLS": backend(
            kind,
            "external.tls.caSecret",
            deploy=False,
            external={"endpoint": "a:6379", "tls": {"caSecret": "a"}},
            auth=SECRET,
        ),
        "a certificate without TLS": backend(
            kind,
            "external.tls.clientSecret",
            deploy=False,
            external={"endpoint": "a:6379", "tls": {"clientSecret": "a"}},
            auth=SECRET,
        ),
        "no bound": backend(kind, "resources.limits.memory", "maxmemory", resources={"limits": {"memory": None}}),
        "a bound that is no quantity": backend(kind, "maxmemory", maxmemory="lots"),
        "where it runs, at the old place": backend(kind, "nodeSelector", nodeSelector={"pool": "cache"}),
        "a claim that it does not use": backend(
            kind, "persistence.existingClaim", "persistence.enabled", persistence={"existingClaim": "a"}
        ),
    }.items()
} | {
    f"lmcache-server: {what}": case
    for what, case in {
        "external without an endpoint": backend("lmcache-server", "external.endpoint", deploy=False),
        "an endpoint although it is deployed": backend(
            "lmcache-server", "external.endpoint", "deploy", external={"endpoint": "a:1"}
        ),
        "TLS on a connector without TLS": backend(
            "lmcache-server",
            "external.tls.enabled",
            deploy=False,
            external={"endpoint": "a:1", "tls": {"enabled": True}},
        ),
        "two replicas": backend("lmcache-server", "replicas", replicas=2),
        "a tag without a repository": backend("lmcache-server", "image.repository", image={"tag": "1"}),
        "a repository without a tag": backend("lmcache-server", "image.tag", image={"repository": "example.com/a"}),
        "a model name longer than its keys": Problem(
            named=("model.id",), values={**remote_backend("lmcache-server"), "model": {"id": f"a/{'b' * 70}"}}
        ),
    }.items()
}

BACKENDS |= {
    f"filesystem: {what}": case
    for what, case in {
        "in Knative": Problem(
            named=("remoteBackend.type", "filesystem"), values={**remote_backend("filesystem"), **KNATIVE}
        ),
        "the folder of the disk tier": Problem(
            named=("remoteBackend.filesystem.path", "lmcache.localDisk.path"),
            values={
                **remote_backend("filesystem", path="/a"),
                "lmcache": {"localDisk": {"enabled": True, "sizeGB": 1, "path": "/a"}},
            },
        ),
        "another connector beside it": Problem(
            named=("lmcache.config.remote_storage_plugins",),
            values={**remote_backend("filesystem"), "lmcache": {"config": {"remote_storage_plugins": ["bigtable"]}}},
        ),
        "a class for a claim that exists": backend(
            "filesystem",
            "storageClassName",
            "existingClaim",
            existingClaim="a",
            storageClassName="nfs",
            cleaning={"limit": "1Gi"},
        ),
        "a claim of unknown size without a limit": backend(
            "filesystem", "cleaning.limit", "existingClaim", existingClaim="a"
        ),
        "a size that is no quantity": backend("filesystem", "size", size="lots", cleaning={"limit": "1Gi"}),
        "a limit that is no quantity": backend("filesystem", "cleaning.limit", cleaning={"limit": "lots"}),
        "a tag without a repository": backend(
            "filesystem", "cleaning.image.repository", cleaning={"image": {"tag": "1"}}
        ),
        "a repository without a tag": backend(
            "filesystem", "cleaning.image.tag", cleaning={"image": {"repository": "example.com/a"}}
        ),
    }.items()
}

BACKENDS_IMAGE: dict[str, Any] = {"runtime": {"image": {"repository": "example.com/kserve-backends", "tag": "1"}}}
WITH_DEVICE: dict[str, Any] = {"predictor": {"resources": {"limits": {"memory": "24Gi", "rdma/hca": 1}}}}


def with_image(kind: str, *named: str, more: dict[str, Any] | None = None, **values: Any) -> Problem:
    """A backend's problem in an image that has its client."""
    case = backend(kind, *named, **values)
    device = WITH_DEVICE if kind == "infinistore" else {}
    return Problem(named=case.named, values={**BACKENDS_IMAGE, **device, **case.values, **(more or {})})


def whole(kind: str, *named: str, **values: Any) -> Problem:
    """A problem of a value that is not the backend's, with that backend chosen."""
    return Problem(named=named, values={**BACKENDS_IMAGE, **remote_backend(kind), **values})


BACKENDS |= (
    {
        f"mooncake: {what}": case
        for what, case in {
            "in Knative": whole("mooncake", "remoteBackend.type", "mooncake", **KNATIVE),
            "an LMCache without its settings": whole("mooncake", "lmcache.version", lmcache={"version": "0.4.4"}),
            "an image without its client": Problem(
                named=("runtime.image.repository",), values=remote_backend("mooncake")
            ),
            "a request fails with its chunk": whole(
                "mooncake", "lmcache.kvLoadFailurePolicy", lmcache={"kvLoadFailurePolicy": "fail"}
            ),
            "another connector beside it": whole(
                "mooncake",
                "lmcache.config.remote_storage_plugins",
                lmcache={"config": {"remote_storage_plugins": ["bigtable"]}},
            ),
            "a buffer that is no quantity": with_image("mooncake", "localBuffer", localBuffer="lots"),
            "RDMA without a resource": with_image("mooncake", "rdma.resourceName", "protocol", protocol="rdma"),
            "RDMA without a device of the predictor": Problem(
                named=("predictor.resources.limits", "remoteBackend.mooncake.rdma.resourceName"),
                values={
                    **BACKENDS_IMAGE,
                    **remote_backend("mooncake", protocol="rdma", rdma={"resourceName": "rdma/hca"}),
                },
            ),
            "devices without RDMA": with_image("mooncake", "rdma", "protocol", rdma={"devices": "mlx5_0"}),
            "an endpoint although it is deployed": with_image(
                "mooncake", "external.endpoint", "deploy", external={"endpoint": "a:1"}
            ),
            "a tag without a repository": with_image("mooncake", "image.repository", image={"tag": "1"}),
            "a repository without a tag": with_image("mooncake", "image.tag", image={"repository": "example.com/a"}),
            "stores without a size": with_image(
                "mooncake",
                "store.resources.limits.memory",
                "store.segmentSize",
                store={"resources": {"limits": {"memory": None}}},
            ),
            "a size that is no quantity": with_image("mooncake", "store.segmentSize", store={"segmentSize": "lots"}),
            "a size above the limit": with_image(
                "mooncake", "store.segmentSize", "store.resources.limits.memory", store={"segmentSize": "32Gi"}
            ),
            "external without a metadata server": with_image(
                "mooncake", "external", "deploy", deploy=False, external={"endpoint": "a:1"}
            ),
        }.items()
    }
    | {
        f"infinistore: {what}": case
        for what, case in {
            "an image without its client": Problem(
                named=("runtime.image.repository",), values={**WITH_DEVICE, **remote_backend("infinistore")}
            ),
            "no device of the predictor": Problem(
                named=("predictor.resources.limits", "remoteBackend.infinistore.rdma.resourceName"),
                values={**BACKENDS_IMAGE, **remote_backend("infinistore")},
            ),
            "an endpoint although it is deployed": with_image(
                "infinistore", "external.endpoint", "deploy", external={"endpoint": "a:1"}
            ),
            "a tag without a repository": with_image("infinistore", "image.repository", image={"tag": "1"}),
            "a repository without a tag": with_image("infinistore", "image.tag", image={"repository": "example.com/a"}),
            "memory below one GiB": with_image(
                "infinistore", "resources.limits.memory", resources={"limits": {"memory": "1Gi"}}
            ),
            "external without an endpoint": with_image("infinistore", "external.endpoint", "deploy", deploy=False),
        }.items()
    }
    | {
        f"s3: {what}": case
        for what, case in {
            "no bucket": backend("s3", "bucket", external={"endpoint": "s3.example.com"}),
            "no endpoint": backend("s3", "external.endpoint", bucket="kv"),
            "no region": backend(
                "s3", "external.region", bucket="kv", external={"endpoint": "a.example.com", "region": ""}
            ),
            "the bucket twice": backend(
                "s3", "external.endpoint", bucket="kv", external={"endpoint": "kv.s3.example.com"}
            ),
            "an authority without TLS": backend(
                "s3",
                "external.tls.caSecret",
                "external.tls.enabled",
                bucket="kv",
                external={"endpoint": "s3.example.com", "tls": {"enabled": False, "caSecret": "a"}},
            ),
            "a name that no certificate covers": backend(
                "s3", "bucket", bucket="kv.cache", external={"endpoint": "s3.example.com"}
            ),
            "chunks that are not whole": Problem(
                named=("lmcache.config.save_unfull_chunk", "remoteBackend.type"),
                values={
                    **remote_backend("s3", bucket="kv", external={"endpoint": "s3.example.com"}),
                    "lmcache": {"config": {"save_unfull_chunk": True}},
                },
            ),
        }.items()
    }
    | {
        f"custom: {what}": case
        for what, case in {
            "nothing to connect to": backend("custom", "url", "config"),
            "two URLs": backend("custom", "config.remote_url", "url", url="a://b", config={"remote_url": "a://b"}),
            "a user in the URL": backend("custom", "url", "auth", url="redis://me@a:1"),
            "a password without a place": backend(
                "custom",
                "auth.existingSecret",
                "url",
                config={"remote_storage_plugins": ["a"]},
                auth={"existingSecret": "a"},
            ),
            "a place without a password": backend(
                "custom", "auth.existingSecret", "config", url="a://b", config={"extra_config": {"k": PLACE}}
            ),
            "a user without a password": backend(
                "custom", "auth.username", "auth.existingSecret", url="a://b", auth={"username": "a"}
            ),
            "a password in the configuration": backend(
                "custom", "config", "auth", url="a://b", config={"extra_config": {"k": "redis://a:b@c"}}
            ),
            "a Boolean as value of a variable": backend(
                "custom", "env[0]", url="a://b", env=[{"name": "A", "value": True}]
            ),
        }.items()
    }
    | {
        f"valkey with glide: {what}": case
        for what, case in {
            "an LMCache without that client": Problem(
                named=("remoteBackend.valkey.client", "lmcache.version"),
                values={
                    **BACKENDS_IMAGE,
                    **remote_backend("valkey", client="glide"),
                    "lmcache": {"version": "0.4.4"},
                },
            ),
            "an image without that client": backend("valkey", "client", client="glide"),
            "an authority of one's own": with_image(
                "valkey",
                "client",
                "external.tls.caSecret",
                client="glide",
                deploy=False,
                external={"endpoint": "a:6379", "tls": {"enabled": True, "caSecret": "a"}},
                auth=SECRET,
            ),
            "chunks that are not whole": Problem(
                named=("lmcache.config.save_unfull_chunk", "remoteBackend.valkey.client"),
                values={
                    **BACKENDS_IMAGE,
                    **remote_backend("valkey", client="glide"),
                    "lmcache": {"config": {"save_unfull_chunk": True}},
                },
            ),
        }.items()
    }
)

SERVERS: dict[str, Any] = {"deploy": False, "external": {"servers": ["a:6379"]}}

BACKENDS |= {
    f"redis-sentinel: {what}": case
    for what, case in {
        "external without servers": backend("redis-sentinel", "external.servers", deploy=False, auth=SECRET),
        "external without a word about its password": backend("redis-sentinel", "auth", **SERVERS),
        "servers although it is deployed": backend(
            "redis-sentinel", "external.servers", "deploy", external={"servers": ["a:6379"]}
        ),
        "Sentinels although it is deployed": backend(
            "redis-sentinel", "external.sentinels", "deploy", external={"sentinels": ["a:26379"]}
        ),
        "TLS although it is deployed": backend(
            "redis-sentinel", "external.tls.enabled", external={"tls": {"enabled": True}}
        ),
        "more votes than Sentinels": backend("redis-sentinel", "sentinel.quorum", sentinel={"quorum": 4}),
        "an even number of Sentinels": backend("redis-sentinel", "sentinel.replicas", sentinel={"replicas": 4}),
        "password and existingSecret together": backend(
            "redis-sentinel", "auth.password", "auth.existingSecret", auth={"password": "a", **SECRET}
        ),
        "no bound": backend("redis-sentinel", "resources.limits.memory", resources={"limits": {"memory": None}}),
    }.items()
}


def multiprocess(
    *named: str, values: dict[str, Any] | None = None, lmcache: dict[str, Any] | None = None, **mode: Any
) -> Problem:
    """A problem of mode multiprocess; names that start with a dot are below its values."""
    paths = (f"lmcache.multiprocess{name}" if name.startswith(".") else name for name in named)
    return problem(*paths, lmcache={"mode": "multiprocess", "multiprocess": mode, **(lmcache or {})}, **(values or {}))


CPU: dict[str, Any] = {"predictor": {"gpu": {"count": 0}}, "runtime": {"image": CPU_IMAGE}}

MULTIPROCESS = {
    "a sidecar in Knative": multiprocess(".placement", values=KNATIVE),
    "the other mode's configuration": multiprocess("lmcache.config", ".extraArgs", lmcache={"config": {"a": 1}}),
    "the other mode's disk tier": multiprocess(
        "lmcache.localDisk.enabled", "lmcache.mode", lmcache={"localDisk": {"enabled": True, "sizeGB": 1}}
    ),
    "the other mode's tags": multiprocess("lmcache.adaptersByTag", lmcache={"adaptersByTag": True}),
    "the other mode's compression": multiprocess("lmcache.serde", lmcache={"serde": "cachegen"}),
    "a tag of the server without a repository": multiprocess(".image.repository", image={"tag": "1"}),
    "a repository of the server without a tag": multiprocess(".image.tag", image={"repository": "example.com/a"}),
    "a port that the engine has": multiprocess(".port", "runtime.port", port=8080),
    "one port for two": multiprocess(".port", "lmcache.multiprocess.httpPort", port=8081),
    "a server without a memory limit": multiprocess(".resources.limits.memory", resources={"limits": {"memory": None}}),
    "a memory limit below L1 and the server": multiprocess(
        ".resources.limits.memory", "lmcache.multiprocess.l1.sizeGB", l1={"sizeGB": 7}
    ),
    "a dead server noticed too late": multiprocess(".mqTimeoutSeconds", ".heartbeatSeconds", heartbeatSeconds=15),
    "a server that reads GPU memory without one": multiprocess(
        ".transferMode", "predictor.gpu.count", transferMode="lmcache_driven", values=CPU
    ),
    "a server that reads the memory of other GPUs": multiprocess(
        ".transferMode",
        "amd.com/gpu",
        values={"predictor": {"gpu": {"count": 1, "resourceName": "amd.com/gpu"}}},
    ),
    "pods that share no memory": multiprocess(
        ".isolatedIpc", ".hostSharedMemory", placement="daemonset", isolatedIpc=False
    ),
    "the node's memory for a sidecar": multiprocess(".hostSharedMemory", hostSharedMemory=True),
    "an argument that has a value of its own": multiprocess(
        ".extraArgs[0]", "lmcache.multiprocess.l1.sizeGB", extraArgs=["--l1-size-gb=3"]
    ),
    "an argument that runs code": multiprocess(".extraArgs[0]", extraArgs=["--run-script-api-enabled"]),
    "a variable that the backend sets": multiprocess(
        ".env[0]", "remoteBackend", env=[{"name": "LMCACHE_RESP_PASSWORD", "value": "a"}]
    ),
    "a backend without an adapter": multiprocess(
        "remoteBackend.type", "lmcache.mode", values={"remoteBackend": {"type": "lmcache-server"}}
    ),
} | {
    f"{kind}: {what}": multiprocess(
        f"remoteBackend.{kind}.external.{name}",
        "lmcache.mode",
        values=remote_backend(kind, deploy=False, external={"endpoint": "a:6379", **external}, auth=SECRET),
    )
    for kind in ("redis", "valkey")
    for what, name, external in (
        ("TLS for a client without", "tls.enabled", {"tls": {"enabled": True}}),
        ("a database for a client without", "database", {"database": 1}),
    )
}

PROBLEMS = NAMES | SERVER | PREDICTOR | LMCACHE | BACKENDS | MULTIPROCESS

# Rules that no values reach, because the schema refuses those values first.
BEHIND_THE_SCHEMA = ("the chart has no type",)


@functools.cache
def refusal(helm: Helm, name: str) -> str:
    """What Helm says about values that cannot work."""
    case = PROBLEMS[name]
    with pytest.raises(HelmError) as caught:
        helm.template(CHART, release="llm", namespace=case.namespace, values=case.values)
    return str(caught.value)


def reported(message: str) -> list[str]:
    """The problems of a message."""
    return [line.strip().removeprefix("- ") for line in message.splitlines() if line.strip().startswith("- ")]


@pytest.mark.parametrize("name", PROBLEMS)
def test_what_cannot_work_is_refused_once_and_by_the_value_to_change(helm: Helm, name: str) -> None:
    (line,) = reported(refusal(helm, name))
    assert line.startswith(PROBLEMS[name].named[0])
    assert [value for value in PROBLEMS[name].named if value not in line] == []


def rules() -> Iterator[str]:
    """Every sentence that the chart's validation can write, as a regular expression."""
    for template in (CHART / "templates").rglob("*.tpl"):
        text = re.sub(r"\{\{-? ?/\*.*?\*/ ?-?\}\}", "", template.read_text(encoding="utf-8"), flags=re.DOTALL)
        for definition in text.split("{{- define ")[1:]:
            name, _, body = definition.partition(" -}}\n")
            if ".validate." not in name and not name.endswith('.problems"'):
                continue
            for line in body.splitlines():
                if ": " in line and not line.startswith(("{{-", " ")):
                    yield ".*".join(re.escape(part) for part in re.split(r"\{\{.*?\}\}", line))


def test_every_rule_of_the_chart_has_a_test(helm: Helm) -> None:
    lines = [line for name in PROBLEMS for line in reported(refusal(helm, name))]
    untested = [rule for rule in rules() if not any(re.fullmatch(rule, line) for line in lines)]
    exempt = [re.escape(text) for text in BEHIND_THE_SCHEMA]
    assert [rule for rule in untested if not any(text in rule for text in exempt)] == []
    assert len(list(rules())) > 50


def test_all_problems_of_a_render_are_reported_together(helm: Helm) -> None:
    values = {
        "model": {"hybridMemory": True, "extraArgs": ["{{ a }}"]},
        "lmcache": {"localDisk": {"enabled": True}},
        "predictor": {"env": [{"name": "FLAG", "value": False}], "resources": {"limits": {"memory": "1Gi"}}},
        **remote_backend("redis", deploy=False, auth={"password": "a", "existingSecret": "b"}),
    }
    with pytest.raises(HelmError) as caught:
        helm.template(CHART, release="llm", namespace="models", values=values)
    assert [line.partition(":")[0].partition(" ")[0] for line in reported(str(caught.value))] == [
        "model.extraArgs[0]",
        "model.hybridMemory",
        "predictor.env[0]",
        "predictor.resources.limits.memory",
        "lmcache.localDisk.sizeGB",
        "remoteBackend.redis.external.endpoint",
        "remoteBackend.redis.auth.password",
    ]
    assert "7 problems" in str(caught.value)


def test_a_refusal_is_readable_text(helm: Helm) -> None:
    message = refusal(helm, "two remote URLs")
    assert not [noise for noise in ("execution error", "executing", ".tpl", ".yaml:", "<include") if noise in message]


@pytest.mark.parametrize("text", ["true", "False", "yes", "off", "NO"])
def test_a_quoted_boolean_is_a_string_as_any_other(render: Render, text: str) -> None:
    manifests = render({"predictor": {"env": [{"name": "FLAG", "value": text}]}})
    environment = manifests.one("InferenceService")["spec"]["predictor"]["model"]["env"]
    assert {"name": "FLAG", "value": text} in environment


WORKING: dict[str, dict[str, Any]] = {
    "enough memory": {"predictor": {"gpu": {"count": 4}, "resources": {"limits": {"memory": "64Gi"}}}},
    "no memory limit": {"predictor": {"resources": {"limits": {"memory": None}}}},
    "a disk with a size": {"lmcache": {"localDisk": {"enabled": True, "sizeGB": 10}}},
    "no LMCache": {"lmcache": {"enabled": False}, "remoteBackend": {"type": "none"}},
    "hybrid memory without LMCache": {
        "model": {"hybridMemory": True},
        "lmcache": {"enabled": False},
        "remoteBackend": {"type": "none"},
    },
    "the longest name": {"fullnameOverride": "a" * 40},
    "an existing secret": remote_backend("redis", auth=SECRET),
    "external servers without Sentinels": remote_backend("redis-sentinel", **SERVERS, auth=SECRET),
    "an open external server": remote_backend("redis", **EXTERNAL, auth={"enabled": False}),
    "an external server with a password": remote_backend("redis", **EXTERNAL, auth={"password": "a"}),
    "no GPU with another image": {"predictor": {"gpu": {"count": 0}}, "runtime": {"image": CPU_IMAGE}},
    "adapters without LMCache": {
        "model": arguments("--enable-lora"),
        "lmcache": {"enabled": False},
        "remoteBackend": {"type": "none"},
    },
    "adapters that every request names": {
        "model": arguments("--enable-lora"),
        "lmcache": {"adaptersByTag": True},
    },
    "the largest seed": {"lmcache": {"hashSeed": 4294967295}},
    "hybrid memory with a server": {
        "model": {"hybridMemory": True, "extraArgs": ["--no-disable-hybrid-kv-cache-manager"]},
        "lmcache": {"mode": "multiprocess"},
    },
    "a server on each node in Knative": {
        **KNATIVE,
        "lmcache": {"mode": "multiprocess", "multiprocess": {"placement": "daemonset"}},
    },
    "a server with too little memory for in-process": {
        "lmcache": {"mode": "multiprocess", "localCpu": {"sizeGB": 100}},
    },
    "a word that is no Boolean": {"lmcache": {"config": {"cache_policy": "LRU"}}},
    "a variable of LMCache that the file lacks": {"predictor": variable(name="LMCACHE_BLEND_CHECK_LAYERS", value="1")},
}


@pytest.mark.parametrize("name", WORKING)
def test_what_works_is_not_refused(render: Render, name: str) -> None:
    assert len(render(WORKING[name])) > 0
