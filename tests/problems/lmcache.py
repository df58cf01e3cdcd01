"""Values of LMCache that cannot work, in both modes."""

from typing import Any

from rendering import NEWEST, remote_backend

from problems.case import CPU_IMAGE, KNATIVE, SECRET, Problem, problem

KSERVE = "docker.io/kserve/huggingfaceserver"


def kserve(tag: str) -> dict[str, Any]:
    """An image of KServe."""
    return {"repository": KSERVE, "tag": tag}


IN_PROCESS = {
    "an LMCache that cannot work": problem("lmcache.version", "0.4.2", lmcache={"version": "0.4.1"}),
    "an image of KServe for CPUs": problem(
        "runtime.image.tag", "v0.20.0 ", "v0.20.0-gpu", runtime={"image": kserve("v0.20.0")}
    ),
    "an image whose LMCache and vLLM do not fit": problem(
        "runtime.image.tag", "v0.19.0-gpu", "CUDA", "v0.20.0-gpu", runtime={"image": kserve("v0.19.0-gpu")}
    ),
    "a vLLM without the policy": problem(
        "lmcache.kvLoadFailurePolicy", "vLLM 0.15.1", "runtime.vllmVersion", runtime={"vllmVersion": "0.9.2"}
    ),
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
        "predictor.resources.limits.memory", predictor={"resources": {"limits": {"memory": "0"}}}
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


def multiprocess(
    *named: str, values: dict[str, Any] | None = None, lmcache: dict[str, Any] | None = None, **mode: Any
) -> Problem:
    """A problem of mode multiprocess; names that start with a dot are below its values."""
    paths = (f"lmcache.multiprocess{name}" if name.startswith(".") else name for name in named)
    return problem(*paths, lmcache={"mode": "multiprocess", "multiprocess": mode, **(lmcache or {})}, **(values or {}))


DISK: dict[str, Any] = {"enabled": True, "sizeGB": 1}
CPU: dict[str, Any] = {"predictor": {"gpu": {"count": 0}}, "runtime": {"image": CPU_IMAGE}}

MULTIPROCESS = {
    "an LMCache without a server": multiprocess("lmcache.mode", "0.5.0", lmcache={"version": "0.4.7"}),
    "a vLLM that takes its own connector": multiprocess(
        "lmcache.mode", "vLLM 0.20.0", "runtime.vllmVersion", values={"runtime": {"vllmVersion": "0.19.0"}}
    ),
    "an LMCache of the server that is too old": multiprocess(
        ".image.tag", "0.5.0", image={"repository": "lmcache/vllm-openai", "tag": "v0.4.7"}
    ),
    "a server's image of KServe for CPUs": multiprocess(".image.tag", "v0.20.0-gpu", image=kserve("v0.20.0")),
    "an LMCache whose pods share no memory": multiprocess(
        ".isolatedIpc", "0.5.5", ".hostSharedMemory", ".transferMode", placement="daemonset"
    ),
    "an LMCache that evicts otherwise": multiprocess(".l1.evictionPolicy", "0.5.6", l1={"evictionPolicy": "ARC"}),
    "memory shared between pods": multiprocess(
        ".l1.shared", "sidecar", placement="daemonset", l1={"shared": True}, transferMode="engine_driven", values=NEWEST
    ),
    "memory shared with an engine that has GPUs": multiprocess(".l1.shared", "GPUs", l1={"shared": True}),
    "a sidecar in Knative": multiprocess(".placement", values=KNATIVE),
    "KServe's own label on the DaemonSet's pods": multiprocess(
        ".daemonset.podLabels",
        placement="daemonset",
        transferMode="engine_driven",
        daemonset={"podLabels": {"serving.kserve.io/inferenceservice": "llm"}},
    ),
    "the other mode's configuration": multiprocess("lmcache.config", ".extraArgs", lmcache={"config": {"a": 1}}),
    "a server's disk without a size": multiprocess(
        "lmcache.localDisk.sizeGB", lmcache={"localDisk": {"enabled": True, "sizeGB": None}}
    ),
    "a disk in the place of the server's own files": multiprocess(
        "lmcache.localDisk.path", lmcache={"localDisk": {**DISK, "path": "/etc/lmcache-kserve/"}}
    ),
    "a disk that the server's limit does not hold": multiprocess(
        ".resources.limits.ephemeral-storage",
        "lmcache.localDisk.sizeGB",
        lmcache={"localDisk": DISK},
        resources={"limits": {"ephemeral-storage": "900Mi"}},
    ),
    "one claim for the servers of all nodes": multiprocess(
        "lmcache.localDisk.volume.type",
        "daemonset",
        lmcache={"localDisk": {**DISK, "volume": {"type": "existingClaim", "existingClaim": "a"}}},
        placement="daemonset",
        transferMode="engine_driven",
    ),
    "one claim for the servers of two replicas": multiprocess(
        "lmcache.localDisk.volume.existingClaim",
        lmcache={"localDisk": {**DISK, "volume": {"type": "existingClaim", "existingClaim": "a"}}},
    ),
    "the other mode's tags": multiprocess("lmcache.adaptersByTag", lmcache={"adaptersByTag": True}),
    "the other mode's compression": multiprocess("lmcache.serde", lmcache={"serde": "cachegen"}),
    "a tag of the server without a repository": multiprocess(".image.repository", image={"tag": "1"}),
    "a repository of the server without a tag": multiprocess(".image.tag", image={"repository": "example.com/a"}),
    "a port that the engine has": multiprocess(".port", "runtime.port", port=8080),
    "one port for two": multiprocess(".port", "lmcache.multiprocess.httpPort", port=8085),
    "the port of KServe's gRPC": multiprocess(".port", "8081", "gRPC", port=8081),
    "the port of KServe's gRPC for administration": multiprocess(".httpPort", "8081", "gRPC", httpPort=8081),
    "the port of KServe's gRPC for metrics": multiprocess(".metrics.port", "8081", "gRPC", metrics={"port": 8081}),
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

LMCACHE = IN_PROCESS | MULTIPROCESS
