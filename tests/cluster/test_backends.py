"""Every backend that a cluster without special hardware runs, in both modes: installed, proven, uninstalled."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from kube import Installed, Kubectl
from rendering import CHART
from running import ALL, SERVER

pytestmark = [pytest.mark.cluster, pytest.mark.backends]

CHECKS = {
    # By values file of charts/lmcache-kserve/ci: those that apply.
    "redis": ALL,
    "valkey": ALL,
    "redis-sentinel": ALL,
    "lmcache-server": ALL,
    "mooncake": ALL,
    "filesystem": ALL - {"backend-outage"},  # nobody can stop a folder
    "multiprocess": ALL | SERVER,
    "multiprocess-daemonset": (ALL | SERVER) - {"backend-grew", "backend-outage"},  # the replicas share one server
}


@pytest.fixture(params=CHECKS)
def installed(request: pytest.FixtureRequest, namespace: Kubectl, helm4: Path) -> Iterator[Installed]:
    release = Installed(helm4, namespace, "demo", files=(CHART / "ci" / f"{request.param}-values.yaml",))
    release.install()
    release.wait_until_ready()
    yield release
    release.uninstall()


def test_every_proof_passes(
    request: pytest.FixtureRequest,
    installed: Installed,
    tmp_path: Path,
    record_property: Callable[[str, object], None],
) -> None:
    tested = installed.test()
    assert tested.returncode == 0, tested.stdout + tested.stderr
    done = installed.verify("--pairs", "3", "--out", str(tmp_path))
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    applied = {check["id"] for check in report["checks"]}
    assert applied == CHECKS[request.node.callspec.params["installed"]]
    record_property("ttft_median_ratio", report["ttft"]["median_ratio"])
