"""The GPU path on nodes that only count GPUs: scheduling is real, the server is the CPU image's."""

import sys
from pathlib import Path
from typing import Any

import pytest
from kube import CPU_VALUES, Installed, Kubectl, command
from rendering import REPOSITORY

from lmcache_kserve.waiting import Pending, wait_for

pytestmark = [pytest.mark.cluster, pytest.mark.functional]

RESOURCE = "nvidia.com/gpu"
GPU_VALUES = REPOSITORY / "values" / "gpu-nvidia.yaml"
# What nodes without GPUs lack: a container runtime for them, and the label of the GPU operator.
SETTINGS = (
    "huggingFace.existingSecret=",
    "predictor.runtimeClassName=",
    "predictor.nodeSelector=null",
    "predictor.resources.requests.cpu=100m",
    "predictor.resources.requests.memory=1Gi",
    "predictor.resources.limits.memory=6Gi",
    "predictor.replicas=1",
    "runtime.tensorParallelSize=1",
    "lmcache.localCpu.sizeGB=1",
    "remoteBackend.type=none",
)


@pytest.fixture(scope="module")
def gpus(namespace: Kubectl) -> int:
    """GPUs that the cluster's nodes say they have."""
    found = sum(int(node["status"]["allocatable"].get(RESOURCE, 0)) for node in namespace.items("nodes"))
    assert found, f"no node has {RESOURCE}: `make cluster` gives its node some that nothing is behind"
    return found


def test_a_pod_gets_the_gpus_that_the_values_ask_for_and_serves(namespace: Kubectl, helm4: Path, gpus: int) -> None:
    files = (GPU_VALUES, CPU_VALUES)
    count = min(gpus, 2)
    release = Installed(helm4, namespace, "gpu", (*SETTINGS, f"predictor.gpu.count={count}"), files)
    release.install()
    release.wait_until_ready(replicas=1)
    (pod,) = namespace.items("pods", labels=release.predictor)
    container = _server(pod)
    assert container["resources"]["requests"][RESOURCE] == str(count)
    assert container["resources"]["limits"][RESOURCE] == str(count)
    toleration = {"key": RESOURCE, "operator": "Exists", "effect": "NoSchedule"}
    assert toleration in pod["spec"]["tolerations"]
    assert release.complete("Which GPU?")["choices"]
    release.uninstall()


def test_verify_says_why_a_pod_that_asks_for_too_many_gpus_stays_pending(
    namespace: Kubectl, helm4: Path, gpus: int
) -> None:
    settings = (*SETTINGS, f"predictor.gpu.count={gpus + 1}")
    release = Installed(helm4, namespace, "huge", settings, (GPU_VALUES, CPU_VALUES))
    release.install()

    def words() -> str | Pending:
        verify = (sys.executable, "-m", "lmcache_kserve", "verify", release.name, "-n", namespace.namespace)
        done = command(*verify, check=False)
        assert done.returncode != 0
        said = " ".join((done.stdout + done.stderr).split())
        return said if "not scheduled" in said else Pending(said)

    said = wait_for(words, timeout=60, describe="the scheduler's verdict")
    assert f"Insufficient {RESOURCE}" in said
    assert "Traceback" not in said
    assert [pod["status"]["phase"] for pod in namespace.items("pods", labels=release.predictor)] == ["Pending"]
    release.uninstall()


def _server(pod: dict[str, Any]) -> dict[str, Any]:
    (server,) = (one for one in pod["spec"]["containers"] if one["name"] == "kserve-container")
    return dict(server)
