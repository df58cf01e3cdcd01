"""Values of the backends that speak Redis' protocol that cannot work: redis, valkey and redis-sentinel."""

from typing import Any

from rendering import remote_backend, with_exporter

from problems.case import BACKENDS_IMAGE, SECRET, VLLM, Problem, backend, labelled, problem, with_image

EXTERNAL: dict[str, Any] = {"deploy": False, "external": {"endpoint": "a:6379"}}
SERVERS: dict[str, Any] = {"deploy": False, "external": {"servers": ["a:6379"]}}


def no_exporter(kind: str, culprit: str, server: dict[str, Any]) -> Problem:
    return Problem(named=("remoteBackend.exporter.enabled", culprit), values=with_exporter(kind, auth=SECRET, **server))


SERVER = {
    f"{kind}: {what}": case
    for kind in ("redis", "valkey")
    for what, case in {
        "external without an endpoint": backend(kind, "external.endpoint", deploy=False, auth=SECRET),
        "external without a word about its password": backend(kind, "auth", **EXTERNAL),
        "a lookup without memory beside the client direct": problem(
            "lmcache.config.enable_scheduler_bypass_lookup",
            f"remoteBackend.{kind}.client",
            lmcache={"config": {"enable_scheduler_bypass_lookup": True}},
            remoteBackend={"type": kind, kind: {"client": "direct"}},
        ),
        "a plugin of the user's beside the client direct": problem(
            "lmcache.config.remote_storage_plugins",
            f"remoteBackend.{kind}.client",
            lmcache={"config": {"remote_storage_plugins": ["mine"]}},
            remoteBackend={"type": kind, kind: {"client": "direct"}},
        ),
        "the client direct with an LMCache that cannot host it": Problem(
            named=(f"remoteBackend.{kind}.client", "redis-py"),
            values={
                "runtime": {"image": {"repository": "a/b", "tag": "1"}},
                "lmcache": {"version": "0.4.6"},
                **remote_backend(kind, client="direct"),
            },
        ),
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
        "a claim whose size is no quantity": backend(
            kind, "persistence.size", persistence={"enabled": True, "size": "lots"}
        ),
        "a repository without a version": backend(kind, "image.tag", image={"tag": ""}),
        "an exporter of an external server": no_exporter(kind, f"remoteBackend.{kind}.deploy", EXTERNAL),
        "where it runs, at the old place": backend(kind, "nodeSelector", nodeSelector={"pool": "cache"}),
        "a claim that it does not use": backend(
            kind, "persistence.existingClaim", "persistence.enabled", persistence={"existingClaim": "a"}
        ),
    }.items()
}

GLIDE = labelled(
    "valkey with glide",
    {
        "an LMCache without that client": Problem(
            named=("remoteBackend.valkey.client", "lmcache.version"),
            values={
                **BACKENDS_IMAGE,
                **remote_backend("valkey", client="glide"),
                "lmcache": {"version": "0.4.4"},
            },
        ),
        "an image without that client": backend("valkey", "client", client="glide"),
        "LMCache's image without that client": Problem(
            named=("remoteBackend.valkey.client", "runtime.image.repository"),
            values={**VLLM, **remote_backend("valkey", client="glide")},
        ),
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
    },
)

SENTINEL = labelled(
    "redis-sentinel",
    {
        "a repository without a version": backend("redis-sentinel", "image.tag", image={"tag": ""}),
        "a proxy's repository without a version": backend(
            "redis-sentinel", "proxy.image.tag", proxy={"image": {"tag": ""}}
        ),
        "exporters of external servers": no_exporter("redis-sentinel", "remoteBackend.redisSentinel.deploy", SERVERS),
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
    },
)

EXPORTER = {
    "an exporter without a backend": problem(
        "remoteBackend.exporter.enabled",
        "remoteBackend.type",
        remoteBackend={"type": "none", "exporter": {"enabled": True}},
    ),
    "an exporter's repository without a version": problem(
        "remoteBackend.exporter.image.tag", remoteBackend={"exporter": {"image": {"tag": ""}}}
    ),
    **{
        f"an exporter beside {kind}": Problem(
            named=("remoteBackend.exporter.enabled", "remoteBackend.type"),
            values={**BACKENDS_IMAGE, **with_exporter(kind)},
        )
        for kind in ("lmcache-server", "filesystem", "mooncake")
    },
}

RESP = SERVER | GLIDE | SENTINEL | EXPORTER
