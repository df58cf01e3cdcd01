"""Values of the other backends that cannot work: lmcache-server, filesystem, mooncake, infinistore, s3 and custom."""

from rendering import remote_backend

from problems.case import (
    BACKENDS_IMAGE,
    KNATIVE,
    VLLM,
    WITH_DEVICE,
    Problem,
    backend,
    labelled,
    whole,
    with_image,
)

PLACE = "%REMOTE_BACKEND_PASSWORD%"

LMCACHE_SERVER = labelled(
    "lmcache-server",
    {
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
        "KServe's own label on its pods": Problem(
            named=("remoteBackend.pod.podLabels",),
            values={
                "remoteBackend": {
                    "type": "lmcache-server",
                    "pod": {"podLabels": {"serving.kserve.io/inferenceservice": "llm"}},
                }
            },
        ),
        "two replicas": backend("lmcache-server", "replicas", replicas=2),
        "a tag without a repository": backend("lmcache-server", "image.repository", image={"tag": "1"}),
        "a repository without a tag": backend("lmcache-server", "image.tag", image={"repository": "example.com/a"}),
        "a model name longer than its keys": Problem(
            named=("model.id",), values={**remote_backend("lmcache-server"), "model": {"id": f"a/{'b' * 70}"}}
        ),
    },
)

FILESYSTEM = labelled(
    "filesystem",
    {
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
    },
)

STORES = (
    LMCACHE_SERVER
    | FILESYSTEM
    | (
        labelled(
            "mooncake",
            {
                "in Knative": whole("mooncake", "remoteBackend.type", "mooncake", **KNATIVE),
                "an LMCache without its settings": whole(
                    "mooncake", "remoteBackend.type", "0.4.7", "lmcache.version", lmcache={"version": "0.4.4"}
                ),
                "an image without its client": Problem(
                    named=("runtime.image.repository",), values=remote_backend("mooncake")
                ),
                "LMCache's image without its client": Problem(
                    named=("runtime.image.repository",), values={**VLLM, **remote_backend("mooncake")}
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
                "a repository without a tag": with_image(
                    "mooncake", "image.tag", image={"repository": "example.com/a"}
                ),
                "stores without a size": with_image(
                    "mooncake",
                    "store.resources.limits.memory",
                    "store.segmentSize",
                    store={"resources": {"limits": {"memory": None}}},
                ),
                "a size that is no quantity": with_image(
                    "mooncake", "store.segmentSize", store={"segmentSize": "lots"}
                ),
                "a size above the limit": with_image(
                    "mooncake", "store.segmentSize", "store.resources.limits.memory", store={"segmentSize": "32Gi"}
                ),
                "external without a metadata server": with_image(
                    "mooncake", "external", "deploy", deploy=False, external={"endpoint": "a:1"}
                ),
            },
        )
        | labelled(
            "infinistore",
            {
                "an image without its client": Problem(
                    named=("runtime.image.repository",), values={**WITH_DEVICE, **remote_backend("infinistore")}
                ),
                "LMCache's image without its client": Problem(
                    named=("runtime.image.repository",),
                    values={**VLLM, **WITH_DEVICE, **remote_backend("infinistore")},
                ),
                "no device of the predictor": Problem(
                    named=("predictor.resources.limits", "remoteBackend.infinistore.rdma.resourceName"),
                    values={**BACKENDS_IMAGE, **remote_backend("infinistore")},
                ),
                "an endpoint although it is deployed": with_image(
                    "infinistore", "external.endpoint", "deploy", external={"endpoint": "a:1"}
                ),
                "a tag without a repository": with_image("infinistore", "image.repository", image={"tag": "1"}),
                "a repository without a tag": with_image(
                    "infinistore", "image.tag", image={"repository": "example.com/a"}
                ),
                "memory below one GiB": with_image(
                    "infinistore", "resources.limits.memory", resources={"limits": {"memory": "1Gi"}}
                ),
                "external without an endpoint": with_image("infinistore", "external.endpoint", "deploy", deploy=False),
            },
        )
        | labelled(
            "s3",
            {
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
                "an address that has no names": backend(
                    "s3", "external.endpoint", bucket="kv", external={"endpoint": "10.0.0.5:9000"}
                ),
                "a Service that has no names": backend(
                    "s3", "external.endpoint", bucket="kv", external={"endpoint": "minio.store.svc:9000"}
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
            },
        )
        | labelled(
            "custom",
            {
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
            },
        )
    )
)
