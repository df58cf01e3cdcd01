"""Values of what serves the model that cannot work: names, kserve, model, runtime, predictor, huggingFace."""

from problems.case import KNATIVE, SECRET, arguments, problem, scaling, variable

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
    "KServe's own label on the predictor's pods": problem(
        "predictor.podLabels", predictor={"podLabels": {"serving.kserve.io/inferenceservice": "llm"}}
    ),
    "KServe's own label on the test": problem(
        "tests.podLabels", tests={"podLabels": {"serving.kserve.io/inferenceservice": "llm"}}
    ),
    "a KServe without LMCache": problem("kserve.version", "0.15.1", kserve={"version": "0.14"}),
    "a KServe whose webhook refuses the chart": problem("kserve.version", "0.15.1", kserve={"version": "0.15.0"}),
    "an annotation that has a value of its own": problem(
        "kserve.annotations", kserve={"annotations": {"serving.kserve.io/deploymentMode": "Knative"}}
    ),
}

SERVER = {
    "a template in the model's arguments": problem("model.extraArgs[0]", model=arguments("--chat-template={{ a }}")),
    "a template in the model's name": problem("model.id", model={"id": "{{ a }}"}),
    "a template in the model's address": problem("model.storageUri", model={"storageUri": "s3://{{ .Name }}"}),
    "a template in the command": problem("runtime.command[0]", runtime={"command": ["{{ a }}"]}),
    "a connector in the arguments": problem(
        "model.extraArgs[0]", "lmcache.kvTransferConfig", model=arguments("--kv-transfer-config={}")
    ),
    "another offloading in the arguments": problem("model.extraArgs[0]", model=arguments("--kv-offloading-size=4")),
    "hybrid memory in the arguments": problem(
        "model.extraArgs[0]", model=arguments("--no-disable-hybrid-kv-cache-manager")
    ),
    "the beginning of an option": problem(
        "model.extraArgs[0]", "for --tensor-parallel-size;", model=arguments("--tensor=2")
    ),
    "the beginning of an option with underscores": problem(
        "model.extraArgs[1]", "for --api-key;", model=arguments("--max-num-seqs=4", "--api_k=a")
    ),
    "the beginning of an option of a command": problem(
        "runtime.command[2]",
        "one of --data-parallel-size, --data-parallel-size-local;",
        runtime={"server": "vllm", "command": ["vllm", "serve", "--data-parallel-s", "2"]},
    ),
    "the beginning of an option with one dash": problem("model.extraArgs[0]", "for -tp;", model=arguments("-t", "2")),
    "options in a file": problem("model.extraArgs[0]", "model.extraArgs", model=arguments("--config=/etc/vllm.yaml")),
    "options in a file of a command": problem(
        "runtime.command[2]", runtime={"server": "vllm", "command": ["vllm", "serve", "--config", "/etc/vllm.yaml"]}
    ),
    "an option that has a value of its own": problem("model.extraArgs[0]", "runtime.port", model=arguments("--port=1")),
    "an option in the other spelling": problem(
        "model.extraArgs[0]", "model.maxModelLen", model=arguments("--max_model_len", "100")
    ),
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
    "a port that KServe's gRPC takes": problem("runtime.port", "8081", "gRPC", runtime={"port": 8081}),
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

INFERENCE = NAMES | SERVER | PREDICTOR
