"""Two models of one shape with different weights share one Redis, and neither ever reads what the other computed."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from kube import MODEL, OTHER_MODEL, Installed, Kubectl
from rendering import default_values

from lmcache_kserve.lmcache.metrics import counter
from lmcache_kserve.waiting import Pending, wait_for

pytestmark = [pytest.mark.cluster, pytest.mark.functional]

HITS = "vllm:external_prefix_cache_hits_total"
PROMPT = " ".join(f"item {number} of the list" for number in range(300))
CLAIM = "models"
COPY_MODELS = """
import os, shutil
for name in os.listdir("/models"):
    shutil.copytree(f"/models/{name}", f"/claim/{name}", copy_function=shutil.copyfile)
"""

MULTIPROCESS = (
    "lmcache.mode=multiprocess",
    "lmcache.multiprocess.l1.sizeGB=1",
    "lmcache.multiprocess.resources.requests.memory=1Gi",
    "lmcache.multiprocess.resources.limits.memory=4Gi",
)
MODES = pytest.mark.parametrize(
    "mode", [pytest.param((), id="in-process"), pytest.param(MULTIPROCESS, id="multiprocess", marks=pytest.mark.long)]
)

_RESTRICTED = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
_POD_RESTRICTED = {
    "runAsNonRoot": True,
    "runAsUser": 1000,
    "fsGroup": 1000,
    "seccompProfile": {"type": "RuntimeDefault"},
}


@pytest.fixture(scope="module")
def shared_redis(namespace: Kubectl) -> str:
    """A Redis that belongs to nobody's release; host:port."""
    image = default_values()["remoteBackend"]["redis"]["image"]
    pod = {
        "securityContext": _POD_RESTRICTED,
        "containers": [
            {
                "name": "redis",
                "image": f"{image['repository']}:{image['tag']}",
                "command": ["redis-server", "--protected-mode", "no", "--save", ""],
                "securityContext": _RESTRICTED,
            }
        ],
    }
    labels = {"app": "shared-redis"}
    namespace.apply(
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": "shared"},
            "spec": {
                "selector": {"matchLabels": labels},
                "template": {"metadata": {"labels": labels}, "spec": pod},
            },
        },
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "shared"},
            "spec": {"selector": labels, "ports": [{"port": 6379}]},
        },
    )
    namespace.run("rollout", "status", "deployment/shared", "--timeout=2m")
    return f"shared.{namespace.namespace}.svc:6379"


@pytest.fixture(scope="module")
def models(namespace: Kubectl) -> Iterator[str]:
    """A claim that holds both models."""
    claim = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
    namespace.apply(
        {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": CLAIM}, "spec": claim},
    )
    namespace.run_pod("fill", COPY_MODELS, claim=CLAIM)
    yield CLAIM
    namespace.run("delete", "persistentvolumeclaim", CLAIM, "--wait=false")


@MODES
def test_models_with_their_own_ids_never_share(
    namespace: Kubectl, helm4: Path, shared_redis: str, mode: tuple[str, ...]
) -> None:
    _assert_isolated(namespace, helm4, shared_redis, mode, [f"model.id={MODEL}", f"model.id={OTHER_MODEL}"])


@pytest.mark.long
@MODES
def test_models_that_are_all_mounted_at_mnt_models_never_share(
    namespace: Kubectl, helm4: Path, shared_redis: str, models: str, mode: tuple[str, ...]
) -> None:
    uris = [f"model.storageUri=pvc://{models}/{Path(path).name}" for path in (MODEL, OTHER_MODEL)]
    _assert_isolated(namespace, helm4, shared_redis, mode, uris)


def _assert_isolated(namespace: Kubectl, helm: Path, redis: str, mode: tuple[str, ...], models: list[str]) -> None:
    """Ask one model a prompt, then a new replica of it, which hits, and then the other model, which does not."""
    settings = (
        "predictor.replicas=1",
        "remoteBackend.redis.deploy=false",
        f"remoteBackend.redis.external.endpoint={redis}",
        "remoteBackend.redis.auth.enabled=false",
        *mode,
    )
    one, two = (
        Installed(helm, namespace, name, (*settings, model)) for name, model in zip(("one", "two"), models, strict=True)
    )
    for release in (one, two):
        release.install()
    for release in (one, two):
        release.wait_until_ready(replicas=1)
    first = one.complete(PROMPT)
    assert _hits(one) == 0
    _await_keys(namespace)
    namespace.run("delete", "pods", *_selected(one))
    one.wait_until_ready(replicas=1)
    assert one.complete(PROMPT)["choices"][0]["text"] == first["choices"][0]["text"]
    assert _hits(one) > 0, "the control failed: not even the same model finds its own entries"
    answer = two.complete(PROMPT)
    assert _hits(two) == 0
    assert answer["choices"][0]["text"] != first["choices"][0]["text"], "both releases serve the same model"
    for release in (one, two):
        release.uninstall()
    namespace.run("exec", "deployment/shared", "--", "redis-cli", "FLUSHALL")


def _selected(release: Installed) -> list[str]:
    return ["--selector=" + ",".join(f"{key}={value}" for key, value in release.predictor.items())]


def _hits(release: Installed) -> float:
    (pod,) = release.kubectl.items("pods", labels=release.predictor)
    path = f"/api/v1/namespaces/{release.kubectl.namespace}/pods/{pod['metadata']['name']}:8080/proxy/metrics"
    return counter(release.kubectl.text("get", f"--raw={path}"), HITS) or 0.0


def _await_keys(namespace: Kubectl) -> None:
    """Wait until what was computed lies in Redis: LMCache sends it after the answer."""

    def stored() -> bool | Pending:
        keys = int(namespace.text("exec", "deployment/shared", "--", "redis-cli", "DBSIZE"))
        return keys > 0 or Pending(f"{keys} keys")

    wait_for(stored, timeout=30, describe="the chunks to reach Redis")
