"""A namespace with the restricted Pod Security Standard for every module, and a report of it when a test fails.

The cluster is the user's: KUBECONFIG or --kubeconfig names it, and nothing is created outside the tests' namespaces.
"""

import os
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest
from kube import Kubectl
from namespace_report import write_report
from pytest_helm_charts.clusters import Cluster, ExistingCluster

from lmcache_kserve.chart import helm_binary

REPORTS = Path(os.environ.get("LMCACHE_KSERVE_TEST_REPORTS", "out/cluster"))
_RESTRICTED = {f"pod-security.kubernetes.io/{mode}": "restricted" for mode in ("enforce", "warn", "audit")}
_NAMESPACES = pytest.StashKey[list[Kubectl]]()


@pytest.fixture(scope="session")
def kube_cluster(pytestconfig: pytest.Config) -> Iterator[Cluster]:
    """The cluster under test."""
    path = pytestconfig.getoption("kubeconfig") or os.environ.get("KUBECONFIG", "")
    if not Path(path).is_file():
        pytest.exit("no cluster: set KUBECONFIG or give --kubeconfig; `make cluster` makes one", returncode=2)
    cluster = ExistingCluster(Path(path))
    cluster.create()
    yield cluster
    cluster.destroy()


@pytest.fixture(scope="module")
def namespace(request: pytest.FixtureRequest, kube_cluster: Cluster) -> Iterator[Kubectl]:
    """A fresh namespace that enforces the restricted Pod Security Standard."""
    name = request.module.__name__.rpartition(".")[2].removeprefix("test_").replace("_", "-")
    kubectl = Kubectl(Path(kube_cluster.kube_config_path), f"lmk-{name}")
    kubectl.run("delete", "namespace", kubectl.namespace, "--ignore-not-found", "--wait=true")
    metadata = {"name": kubectl.namespace, "labels": _RESTRICTED}
    kubectl.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})
    request.node.stash[_NAMESPACES] = [kubectl]
    yield kubectl
    kubectl.run("delete", "namespace", kubectl.namespace, "--wait=true")


@pytest.fixture(scope="session")
def helm3() -> Path:
    """Helm 3, pinned."""
    return helm_binary.pinned_helm(3)


@pytest.fixture(scope="session")
def helm4() -> Path:
    """Helm 4, pinned."""
    return helm_binary.pinned_helm(4)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Leave a report of the namespace beside a failure, while its objects still exist."""
    report = yield
    module = item.getparent(pytest.Module)
    if report.failed and call.when in {"setup", "call"} and module:
        for kubectl in module.stash.get(_NAMESPACES, []):
            folder = write_report(kubectl, REPORTS / item.name)
            report.sections.append(("namespace", f"objects, events and logs of {kubectl.namespace}: {folder}"))
    return report
