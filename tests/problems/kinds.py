"""Values of one kind, wherever they stand: words of YAML, credentials in the open, facts for some readers only."""

from typing import Any

from rendering import remote_backend

from problems.case import BACKENDS_IMAGE, VLLM, Problem, arguments, backend, labelled, problem, variable

TOKEN = "hf_" + "a" * 34

SERVER = {
    "TLS at the server": problem("model.extraArgs[0]", "--ssl-keyfile", "gateway", model=arguments("--ssl-keyfile=/a")),
    "TLS in the command": problem(
        "runtime.command[1]", "--ssl-certfile", runtime={"server": "vllm", "command": ["vllm", "--ssl_certfile=/a"]}
    ),
    "an address that nobody reaches": problem(
        "model.extraArgs[0]", "127.0.0.1", "::", model=arguments("--host", "127.0.0.1"), **VLLM
    ),
    "a socket in place of a port": problem("model.extraArgs[0]", "--uds", model=arguments("--uds=/a"), **VLLM),
    "an API key that the server does not ask for": problem(
        "predictor.env[0] (VLLM_API_KEY)",
        "huggingfaceserver",
        "runtime.server vllm",
        predictor=variable(name="VLLM_API_KEY", valueFrom={"secretKeyRef": {"name": "a", "key": "b"}}),
    ),
    "a route that only the server knows": problem(
        "predictor.env[0] (KSERVE_OPENAI_ROUTE_PREFIX)",
        predictor=variable(name="KSERVE_OPENAI_ROUTE_PREFIX", valueFrom={"configMapKeyRef": {"name": "a", "key": "b"}}),
    ),
}

WORDS = {
    "a word of YAML as a node's label": problem(
        "predictor.nodeSelector.gpu", predictor={"nodeSelector": {"gpu": True}}
    ),
    "a word of YAML as a taint's value": problem(
        "predictor.tolerations[0].value", predictor={"tolerations": [{"key": "a", "value": True}]}
    ),
    "a word of YAML in an affinity": problem(
        "predictor.affinity.nodeAffinity",
        "values[0]",
        predictor={
            "affinity": {
                "nodeAffinity": {
                    "preferredDuringSchedulingIgnoredDuringExecution": [
                        {
                            "weight": 1,
                            "preference": {"matchExpressions": [{"key": "a", "operator": "In", "values": [False]}]},
                        }
                    ]
                }
            }
        },
    ),
    "a word of YAML as an annotation": problem(
        "kserve.annotations.sidecar.istio.io/inject", kserve={"annotations": {"sidecar.istio.io/inject": False}}
    ),
    "a word of YAML as a label of the backend": problem(
        "remoteBackend.pod.podLabels.a", remoteBackend={"pod": {"podLabels": {"a": True}}}
    ),
    "a word of YAML as a variable of a sidecar": problem(
        "predictor.sidecars[0].env[0] (A)",
        predictor={"sidecars": [{"name": "a", "env": [{"name": "A", "value": True}]}]},
    ),
    "a word of YAML as a variable of LMCache's server": problem(
        "lmcache.multiprocess.env[0] (A)",
        lmcache={"mode": "multiprocess", "multiprocess": variable(name="A", value=True)},
    ),
    "a condition without a parent chart": problem("enabled", "condition", enabled=False),
}

EXPOSED = {
    "an API key among the arguments": problem(
        "model.extraArgs[1]",
        "VLLM_API_KEY in predictor.env",
        model=arguments("--max-num-seqs=4", "--api-key=a"),
        **VLLM,
    ),
    "an API key in the next word": problem("model.extraArgs[0]", model=arguments("--api_key", "a"), **VLLM),
    "a token of Hugging Face among the arguments": problem(
        "model.extraArgs[0]", "huggingFace.existingSecret", model=arguments("--hf-token=a")
    ),
    "a token that is known by its form": problem("model.extraArgs[0]", model=arguments(f"--override={TOKEN}")),
    "a password in the command": problem(
        "runtime.command[2]", runtime={"command": ["python3", "serve.py", "--db-password=a"]}
    ),
    "a password in an adapter": problem(
        "lmcache.multiprocess.extraArgs[1]",
        "lmcache.multiprocess.env",
        lmcache={
            "mode": "multiprocess",
            "multiprocess": arguments("--l2-adapter", '{"type": "resp", "password": "a"}'),
        },
    ),
    "a key as the value of a variable": problem(
        "predictor.env[0] (VLLM_API_KEY)", "secretKeyRef", predictor=variable(name="VLLM_API_KEY", value="a"), **VLLM
    ),
    "a proxy's password in a variable": problem(
        "predictor.env[0] (HTTPS_PROXY)", predictor=variable(name="HTTPS_PROXY", value="http://a:b@proxy:3128")
    ),
    "a key among LMCache's settings": problem(
        "lmcache.config.extra_config.azure_account_key",
        "auth.existingSecret",
        lmcache={"config": {"extra_config": {"azure_account_key": "a"}}},
    ),
    "a password in the connector's settings": problem(
        "lmcache.kvTransferConfig.kv_connector_extra_config.url",
        lmcache={"kvTransferConfig": {"kv_connector_extra_config": {"url": "redis://:a@b"}}},
    ),
    "a password in the model's address": problem(
        "model.storageUri", "serviceAccountName", model={"storageUri": "https://a:b@example.com/model"}
    ),
    "a password of the metadata server": Problem(
        named=("remoteBackend.mooncake.external.metadataServer",),
        values={
            **BACKENDS_IMAGE,
            **remote_backend(
                "mooncake", deploy=False, external={"endpoint": "a:1", "metadataServer": "etcd://a:b@etcd:2379"}
            ),
        },
    ),
}


def directive(**config: Any) -> dict[str, Any]:
    return {"config": config}


DIRECTIVES = {
    f"{kind}: {what}": case
    for kind in ("redis", "valkey", "redis-sentinel")
    for what, case in {
        "a password among the directives": backend(
            kind, "config.requirepass", "auth.existingSecret", **directive(requirepass="a")
        ),
        "a directive in capitals": backend(kind, "config.MasterAuth", **directive(MasterAuth="a")),
        "a user among the directives": backend(kind, "config.user default", **directive(**{"user default": "on >a"})),
        "a password of a key": backend(kind, "config.tls-key-file-pass", **directive(**{"tls-key-file-pass": "a"})),
        "a directive behind a directive": backend(
            kind, "config.maxclients", **directive(maxclients="1\nrequirepass a")
        ),
    }.items()
}

AUTHORITIES = labelled(
    "authorities",
    {
        f"{kind} from two places": backend(
            kind,
            "external.tls.caConfigMap",
            "external.tls.caSecret",
            deploy=False,
            external={address: value, "tls": {"enabled": True, "caSecret": "a", "caConfigMap": "b"}},
            auth={"existingSecret": "a"},
        )
        for kind, address, value in (
            ("redis", "endpoint", "a:6379"),
            ("valkey", "endpoint", "a:6379"),
            ("redis-sentinel", "servers", ["a:6379"]),
        )
    },
)

OBJECTS = {"a name where an object belongs": problem("extraObjects[0]", extraObjects=["chat-templates"])}

KINDS = OBJECTS | SERVER | WORDS | EXPOSED | DIRECTIVES | AUTHORITIES
