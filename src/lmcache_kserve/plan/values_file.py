"""Writes the plan down as values of the chart, so that `lmcache-kserve check` accepts them and `helm` installs them."""

import math
import re
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

CHUNK_SHARE = 0.8
"""Share of a backend's memory limit that holds chunks: the chart's own for every backend with a limit."""
_STAGING_GIB = 5
"""The chart's own size of the memory tier. Each transfer passes this memory."""
_CPU_SIDE_GIB = 17
"""What the chart's default leaves of 24 GiB beside that tier and /dev/shm, for the model's CPU side."""
_SHM_GIB = 2
_SERVER_GIB = 3
_WIDTH = 110
_TOGETHER = "\x00%"
_UTILIZATION = 0.9
"""vLLM's own `--gpu-memory-utilization`."""
_SECTIONS = {"redis-sentinel": "redisSentinel", "lmcache-server": "lmcacheServer"}
_PASSWORD = frozenset({"redis", "valkey", "redis-sentinel"})
_OWN_IMAGE = frozenset({"mooncake", "infinistore"})
"""Backends whose client is in no image of KServe: images/kserve-backends builds one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """What the values describe.

    Attributes:
        model_id: Hugging Face id of the model.
        token_bytes: bytes of a token in the cache, on all workers.
        dtype: value of vLLM's `--dtype`; empty for its own choice.
        kv_dtype: value of vLLM's `--kv-cache-dtype`; empty for its own choice.
        tensor_parallel: GPUs that share a stage.
        pipeline_parallel: stages.
        replicas: number of replicas.
        gpu_memory_utilization: share of the memory that the engine takes.
        mode: value of `lmcache.mode`.
        backend: value of `remoteBackend.type`.
        client: value of `client` below the backend's values; empty where it has one.
        chunk: tokens of a chunk.
        cache_gib: memory for chunks.
        prompt_gib: size of the longest prompt in the cache.
        enabled: whether LMCache is used at all.
    """

    model_id: str
    token_bytes: float
    dtype: str
    kv_dtype: str
    tensor_parallel: int
    pipeline_parallel: int
    replicas: int
    gpu_memory_utilization: float
    mode: str
    backend: str
    client: str
    chunk: int
    cache_gib: float
    prompt_gib: float
    enabled: bool

    @property
    def workers(self) -> int:
        """GPUs of a replica."""
        return self.tensor_parallel * self.pipeline_parallel


def text(release: Release, notes: Sequence[str]) -> str:
    """The values as YAML, below the notes as comments."""
    head = [line for note in notes for line in _wrapped(note)]
    if release.backend in _PASSWORD and release.enabled:
        secret = f"{release.backend}-password"
        head += ["", "Create the password first:", ""]
        head += [f'  kubectl create secret generic {secret} --from-literal=password="$(openssl rand -hex 24)"']
    if release.backend in _OWN_IMAGE and release.enabled:
        head += ["", "runtime.image has to contain the backend's client: images/kserve-backends builds such an image."]
    if release.backend == "s3" and release.enabled:
        head += [
            "",
            "Set the bucket, its address and its Secret. Give the bucket a lifecycle rule: LMCache deletes nothing.",
        ]
    comments = "".join(f"# {line}".rstrip() + "\n" for line in head)
    return comments + yaml.safe_dump(values(release), sort_keys=False, width=_WIDTH)


def _wrapped(note: str) -> list[str]:
    """The lines of a note; a number and its percent sign stay together."""
    lines = textwrap.wrap(note.replace(" %", _TOGETHER), _WIDTH, break_long_words=False, break_on_hyphens=False)
    return [line.replace(_TOGETHER, " %") for line in lines]


def values(release: Release) -> dict[str, Any]:
    """The values, by the names of charts/lmcache-kserve/values.yaml."""
    model: dict[str, Any] = {
        "name": served_name(release.model_id),
        "id": release.model_id,
        "kvBytesPerToken": round(release.token_bytes),
    }
    if arguments := _arguments(release):
        model["extraArgs"] = arguments
    runtime: dict[str, Any] = {"server": "vllm"} if release.pipeline_parallel > 1 else {}
    made: dict[str, Any] = {"model": model, "huggingFace": {"existingSecret": "hf-secret"}}
    lmcache = _lmcache(release)
    if release.backend in _OWN_IMAGE and release.enabled:
        runtime["image"] = {"repository": "registry.example.com/kserve-backends", "tag": "v0.20.0-gpu"}
        runtime["vllmVersion"] = "0.24.0"
        lmcache["version"] = "0.5.1"
    if runtime:
        made["runtime"] = runtime
    made["predictor"] = _predictor(release)
    made["lmcache"] = lmcache
    made["remoteBackend"] = _backend(release) if release.enabled else {"type": "none"}
    return made


def served_name(model_id: str) -> str:
    """The model's name in requests: the last part of its id, in lower case."""
    name = re.sub(r"[^a-z0-9._-]+", "-", model_id.rpartition("/")[2].lower()).strip("-._")
    return name or "model"


def _arguments(release: Release) -> list[str]:
    share = release.gpu_memory_utilization
    options = {
        "dtype": release.dtype,
        "kv-cache-dtype": release.kv_dtype,
        "pipeline-parallel-size": str(release.pipeline_parallel) if release.pipeline_parallel > 1 else "",
        "gpu-memory-utilization": "" if share == _UTILIZATION else f"{share:g}",
    }
    return [f"--{name}={value}" for name, value in options.items() if value]


def _predictor(release: Release) -> dict[str, Any]:
    own = _tier_gib(release) * release.workers if release.mode == "in-process" and release.enabled else 0
    if release.backend == "mooncake" and release.enabled:
        own += release.workers
    memory = f"{_CPU_SIDE_GIB + _SHM_GIB + own}Gi"
    limits: dict[str, Any] = {"memory": memory}
    requests: dict[str, Any] = {"cpu": "4", "memory": memory}
    if release.backend == "infinistore" and release.enabled:
        limits["rdma/hca"] = requests["rdma/hca"] = 1
    return {
        "replicas": release.replicas,
        "gpu": {"count": release.workers},
        "resources": {"requests": requests, "limits": limits},
    }


def _lmcache(release: Release) -> dict[str, Any]:
    if not release.enabled:
        return {"enabled": False}
    made: dict[str, Any] = {"mode": release.mode, "chunkSize": release.chunk}
    if release.mode == "in-process":
        return made | {"localCpu": {"sizeGB": _tier_gib(release)}}
    size = _tier_gib(release) * (release.workers if release.backend == "none" else 1)
    memory = {"memory": f"{size + _SERVER_GIB}Gi"}
    return made | {
        "multiprocess": {"l1": {"sizeGB": size}, "resources": {"requests": {"cpu": "1", **memory}, "limits": memory}}
    }


def _tier_gib(release: Release) -> int:
    """Memory tier of each worker: all of the cache without a backend, and else two of the longest prompts at once."""
    if release.backend == "none":
        return max(1, math.ceil(release.cache_gib / release.workers))
    return max(_STAGING_GIB, math.ceil(2 * release.prompt_gib / release.workers))


def _backend(release: Release) -> dict[str, Any]:
    """The values below `remoteBackend`."""
    if release.backend == "none":
        return {"type": "none"}
    kind = release.backend
    section: dict[str, Any] = {"client": release.client} if release.client else {}
    if kind in _PASSWORD:
        section["auth"] = {"existingSecret": f"{kind}-password"}
    whole = math.ceil(release.cache_gib / CHUNK_SHARE)
    match kind:
        case "filesystem":
            section |= {"accessModes": ["ReadWriteMany"], "storageClassName": "nfs", "size": f"{whole}Gi"}
        case "s3":
            section |= {
                "bucket": "kv-cache",
                "external": {"endpoint": "s3.eu-central-1.amazonaws.com", "region": "eu-central-1"},
                "auth": {"existingSecret": "s3-credentials"},
            }
        case "mooncake":
            section |= {"protocol": "tcp", "store": {"replicas": 1, "resources": _memory(whole, "2")}}
        case "infinistore":
            section |= {"resources": _memory(whole, "2")}
        case _:
            section |= {"resources": _memory(whole, "1")}
    return {"type": kind, _SECTIONS.get(kind, kind): section}


def _memory(gib: int, cpu: str) -> Mapping[str, Any]:
    return {"requests": {"cpu": cpu, "memory": f"{gib}Gi"}, "limits": {"memory": f"{gib}Gi"}}
