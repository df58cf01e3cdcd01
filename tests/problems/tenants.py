"""Values of tenants that cannot work."""

import hashlib
from typing import Any

from rendering import NEWEST

from problems.case import Problem, problem

HASH = hashlib.sha256(b"acme").hexdigest()
ENCRYPTED: dict[str, Any] = {"encryption": {"enabled": True, "existingSecret": "a"}}


def tenants(
    *named: str, mode: dict[str, Any] | None = None, values: dict[str, Any] | None = None, **own: Any
) -> Problem:
    """A problem of tenants; names that start with a dot are below its values."""
    paths = (f"lmcache.tenants{name}" if name.startswith(".") else name for name in named)
    lmcache = {"mode": "multiprocess", "tenants": {"enabled": True, **own}, **(mode or {})}
    return problem(*paths, lmcache=lmcache, **(values or {}))


def quotas(*named: str, mode: dict[str, Any] | None = None, **sizes: float) -> Problem:
    """A problem of quotas, by salt."""
    return tenants(*named, mode=mode, quotas=[{"salt": salt, "sizeGB": size} for salt, size in sizes.items()])


TENANTS = {
    "tenants of a mode that mixes them": tenants(
        ".enabled", "leaves cache_salt out of its keys", "lmcache.mode multiprocess", mode={"mode": "in-process"}
    ),
    "tenants without LMCache": problem(
        "lmcache.tenants.enabled",
        "lmcache.enabled",
        lmcache={"enabled": False, "tenants": {"enabled": True}},
        remoteBackend={"type": "none"},
    ),
    "quotas without tenants": tenants(".quotas", ".enabled", enabled=False, quotas=[{"salt": "a", "sizeGB": 1}]),
    "encryption without tenants": tenants(".encryption.enabled", enabled=False, **ENCRYPTED),
    "quotas larger than the memory": quotas(".quotas", "5.5 GiB", "lmcache.multiprocess.l1.sizeGB", a=3, b=2.5),
    "a salt twice": tenants(
        ".quotas[1].salt", ".quotas[0]", quotas=[{"salt": "a", "sizeGB": 1}, {"salt": "a", "sizeGB": 2}]
    ),
    "a salt and its hash": tenants(
        ".quotas[1].salt", ".quotas[0]", quotas=[{"salt": "acme", "sizeGB": 1}, {"salt": f"sha256:{HASH}", "sizeGB": 1}]
    ),
    "a hash that is none": tenants(".quotas[0].salt", "sha256:", quotas=[{"salt": "sha256:acme", "sizeGB": 1}]),
    "quotas and a policy that knows no tenants": tenants(
        "lmcache.multiprocess.l1.evictionPolicy",
        "lmcache.tenants.quotas",
        quotas=[{"salt": "a", "sizeGB": 1}],
        mode={"multiprocess": {"l1": {"evictionPolicy": "ARC"}}},
        values=NEWEST,
    ),
    "encryption without a key": tenants(".encryption.existingSecret", encryption={"enabled": True}, values=NEWEST),
    "encryption without a backend": tenants(
        ".encryption.enabled",
        "remoteBackend.type",
        mode={"multiprocess": {"placement": "daemonset"}},
        values={**NEWEST, "remoteBackend": {"type": "none"}},
        **ENCRYPTED,
    ),
    "encryption beside a disk tier": tenants(
        ".encryption.enabled",
        "lmcache.localDisk.enabled",
        mode={"localDisk": {"enabled": True, "sizeGB": 10}},
        values=NEWEST,
        **ENCRYPTED,
    ),
    "encryption in an image without it": tenants(
        ".encryption.enabled",
        "LMCache 0.5.3",
        "the image of runtime.server huggingfaceserver has 0.5.1",
        "lmcache/vllm-openai:v0.5.6",
        **ENCRYPTED,
    ),
    "encryption in a server's image without it": tenants(
        ".encryption.enabled",
        "lmcache.multiprocess.image.tag v0.5.1 has",
        mode={"multiprocess": {"image": {"repository": "lmcache/vllm-openai", "tag": "v0.5.1"}}},
        values=NEWEST,
        **ENCRYPTED,
    ),
} | {
    f"tenants and another connector: {key}": tenants(
        f"lmcache.kvTransferConfig.{key}", "lmcache.tenants", mode={"kvTransferConfig": {key: "a"}}
    )
    for key in ("kv_connector", "kv_connector_module_path")
}
