"""Every backend that a cluster without special hardware runs, in both modes: installed, proven, uninstalled."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from kube import Installed, Kubectl
from rendering import CHART
from running import ALL, LONG_PROMPTS, SERVER

pytestmark = [pytest.mark.cluster, pytest.mark.long]

ALONE = (ALL | SERVER) - {"backend-grew", "backend-outage"}
"""With a server on the node and nothing behind it."""


def case(file: str, checks: frozenset[str], *, backend: str = "", mode: str = "in-process") -> Any:
    """A values file of charts/lmcache-kserve/ci, and the checks of `verify` that apply."""
    return pytest.param(file, checks, id=file, marks=pytest.mark.proves("kind", backend or file, mode))


CASES = pytest.mark.parametrize(
    ("installed", "checks"),
    [
        case("redis", ALL),
        case("valkey", ALL),
        case("redis-sentinel", ALL),
        case("lmcache-server", ALL),
        case("mooncake", ALL),
        case("filesystem", ALL - {"backend-outage"}),  # nobody can stop a folder
        case("multiprocess", ALL | SERVER, backend="redis", mode="multiprocess"),
        case("multiprocess-daemonset", ALONE, backend="none", mode="multiprocess"),
    ],
    indirect=["installed"],
)


@pytest.fixture
def installed(request: pytest.FixtureRequest, namespace: Kubectl, helm4: Path) -> Installed:
    release = Installed(helm4, namespace, "demo", files=(CHART / "ci" / f"{request.param}-values.yaml",))
    release.install()
    request.addfinalizer(release.uninstall)  # noqa: PT021 - also of one that does not become ready
    release.wait_until_ready()
    return release


@CASES
def test_every_proof_passes(
    installed: Installed, checks: frozenset[str], tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    tested = installed.test()
    assert tested.returncode == 0, tested.stdout + tested.stderr
    prompts = LONG_PROMPTS if checks >= SERVER else ()
    done = installed.verify("--pairs", "3", *prompts, "--out", str(tmp_path))
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    assert {check["id"] for check in report["checks"]} == checks
    record_property("ttft_median_ratio", report["ttft"]["median_ratio"])
