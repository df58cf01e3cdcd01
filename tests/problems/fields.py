"""Values of fields that go on to KServe, and of what these fields imply: workers, claims, the network of the pods."""

from typing import Any

from rendering import NEWEST

from problems.case import KNATIVE, VLLM, Problem, arguments, labelled, problem


def gpus(count: int, *words: str, **more: Any) -> dict[str, Any]:
    """Values for vLLM's own server with these GPUs and arguments."""
    return {**VLLM, "model": arguments(*words), "predictor": {"gpu": {"count": count}}, **more}


def claimed(**predictor: Any) -> dict[str, Any]:
    """Values of a predictor whose GPU comes from a claim."""
    return {"gpu": {"count": 1, "resourceName": ""}, **predictor}


def alone(**predictor: Any) -> dict[str, Any]:
    """Values of a predictor on the node's network, with nothing that contradicts it."""
    return {"predictor": {"hostNetwork": True, **predictor}, "networkPolicy": {"enabled": False}}


def extra(field: str, *named: str, value: Any = None, **values: Any) -> Problem:
    """A problem of one free-form field."""
    return problem(f"predictor.extra.{field}", *named, predictor={"extra": {field: value or {}}}, **values)


MODEL = {
    "a slash in a name that becomes a route": problem("model.name", "runtime.server", model={"name": "a/b"}),
    "a second name for KServe's server": problem("model.aliases", "runtime.server", model={"aliases": ["b"]}),
    "two places to load from": problem(
        "model.storage.path", "model.storageUri", model={"storage": {"path": "a"}, "storageUri": "s3://a/b"}
    ),
    "a storage without anything to load": problem(
        "model.storage.key", "model.storage.path", model={"storage": {"key": "minio"}}
    ),
    "a storage that KServe's keys do not know": problem(
        "model.storage.key", "gs://a/b", model={"storage": {"key": "minio"}, "storageUri": "gs://a/b"}
    ),
    "a token that KServe's downloader does not find": problem(
        "huggingFace.existingSecretKey",
        "HF_TOKEN",
        "predictor.serviceAccountName",
        model={"storageUri": "hf://a/b"},
        huggingFace={"existingSecret": "hf", "existingSecretKey": "token"},
    ),
    "an option and its value in one word": problem(
        "model.extraArgs[1]", "--seed", model=arguments("--max-num-seqs=4", "--seed 1")
    ),
}

WORKERS = {
    "stages of a server that knows none": problem(
        "model.extraArgs", "runtime.server", model=arguments("-pp", "2"), predictor={"gpu": {"count": 2}}
    ),
    "copies of a server that knows none": problem(
        "model.extraArgs", "runtime.server", model=arguments("--data_parallel_size=2"), predictor={"gpu": {"count": 2}}
    ),
    "a short option that has a value of its own": problem(
        "model.extraArgs[0]", "runtime.tensorParallelSize", **gpus(2, "-tp=2")
    ),
    "fewer GPUs than workers": problem(
        "predictor.gpu.count",
        "4 workers",
        "model.extraArgs",
        **gpus(2, "--pipeline_parallel_size=2", runtime={"server": "vllm", "tensorParallelSize": 2}),
    ),
    "fewer GPUs than stages": problem("predictor.gpu.count", "2 workers", **gpus(1, "-pp", "2")),
    "GPUs that stages do not divide": problem(
        "predictor.gpu.count",
        "model.extraArgs",
        "runtime.tensorParallelSize",
        **gpus(3, "--pipeline-parallel-size", "2"),
    ),
} | {
    f"a model over slices of a GPU, by {server}": problem(
        "predictor.gpu.count",
        "MIG",
        "predictor.replicas",
        runtime={"server": server},
        predictor={"gpu": {"count": 2, "resourceName": "nvidia.com/mig-1g.10gb"}},
    )
    for server in ("vllm", "huggingfaceserver")
}

CLAIMS = {
    "GPUs from nowhere": problem(
        "predictor.resources.claims", "predictor.gpu.resourceName", "predictor.resourceClaims", predictor=claimed()
    ),
    "a claim that the pod lacks": problem(
        "predictor.resources.claims[0]",
        "predictor.resourceClaims",
        predictor=claimed(resources={"claims": [{"name": "gpu"}]}),
    ),
    "one claim for two replicas": problem(
        "predictor.resourceClaims",
        "resourceClaimTemplateName",
        predictor=claimed(
            resources={"claims": [{"name": "gpu"}]}, resourceClaims=[{"name": "gpu", "resourceClaimName": "one"}]
        ),
    ),
    "a claim in Knative": problem(
        "predictor.resourceClaims",
        "kserve.deploymentMode",
        predictor={"resourceClaims": [{"name": "nic", "resourceClaimTemplateName": "nic"}]},
        **KNATIVE,
    ),
    "a claim that another pod cannot use": problem(
        "lmcache.multiprocess.placement",
        "transferMode",
        **NEWEST,
        lmcache={"mode": "multiprocess", "multiprocess": {"placement": "daemonset"}},
        predictor=claimed(
            resources={"claims": [{"name": "gpu"}]},
            resourceClaims=[{"name": "gpu", "resourceClaimTemplateName": "one-gpu"}],
        ),
    ),
}

NETWORK = {
    "the node's network and policies": problem(
        "predictor.hostNetwork", "networkPolicy.enabled", predictor={"hostNetwork": True}
    ),
    "the node's network and a server without a password": problem(
        "predictor.hostNetwork", "lmcache.multiprocess.placement", lmcache={"mode": "multiprocess"}, **alone()
    ),
    "names of the cluster on the node's network": problem(
        "predictor.dnsPolicy", "ClusterFirstWithHostNet", **alone(dnsPolicy="ClusterFirst")
    ),
    "the node's names and a backend of the cluster": problem(
        "predictor.dnsPolicy", "llm-lmcache-kserve-redis.models.svc:6379", predictor={"dnsPolicy": "Default"}
    ),
    "no names at all": problem("predictor.dnsConfig", "nameservers", predictor={"dnsPolicy": "None"}),
    "names without the cluster's domain": problem(
        "predictor.dnsConfig",
        "searches",
        predictor={"dnsPolicy": "None", "dnsConfig": {"nameservers": ["10.0.0.10"]}},
    ),
    "a limit that only Knative keeps": problem(
        "predictor.containerConcurrency", "--max-num-seqs", predictor={"containerConcurrency": 8}
    ),
}

EXTRA = {
    "a field that has a value of its own": extra("timeout", "predictor.timeout"),
    "a field under another name": extra("containers", "predictor.sidecars"),
    "a second kind of model": extra("huggingface", "predictor.model"),
    "another name of the pods": extra("name", "fullnameOverride", value="a"),
    "several nodes for a replica": extra("workerSpec", "workerSpec"),
    "traffic that only Knative splits": extra("canaryTrafficPercent", "kserve.deploymentMode", value=10),
    "several models beside one": extra(
        "storageUris", "model.storageUri", value=[{"uri": "s3://a/c"}], model={"storageUri": "s3://a/b"}
    ),
}


def isolated(**values: Any) -> dict[str, Any]:
    """Values of a server that reads GPU memory without a common IPC namespace."""
    mode = {"mode": "multiprocess", "multiprocess": {"isolatedIpc": True}}
    return {**NEWEST, "lmcache": mode, **values}


NODE: dict[str, Any] = {"mode": "multiprocess", "multiprocess": {"placement": "daemonset"}}

MEMORY = {
    "memory that can sleep, shared between processes": problem(
        "model.extraArgs[0]", "lmcache.multiprocess.isolatedIpc", **isolated(model=arguments("--enable_sleep_mode"))
    ),
    "memory that can sleep, shared between pods": problem(
        "model.extraArgs[0]",
        "lmcache.multiprocess.hostSharedMemory",
        **isolated(model=arguments("--enable-sleep-mode"), lmcache=NODE),
    ),
    "memory that expands, shared between processes": problem(
        "predictor.env[0]",
        "lmcache.multiprocess.isolatedIpc",
        **isolated(
            predictor={"env": [{"name": "PYTORCH_CUDA_ALLOC_CONF", "value": "expandable_segments:True"}]},
        ),
    ),
}

FIELDS = MODEL | WORKERS | CLAIMS | labelled("network", NETWORK) | labelled("extra", EXTRA) | labelled("IPC", MEMORY)
