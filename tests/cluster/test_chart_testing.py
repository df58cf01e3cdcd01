"""chart-testing, as the chart's users run it in their CI."""

import os
import shutil
from pathlib import Path

import pytest
from kube import command
from pytest_helm_charts.clusters import Cluster
from rendering import CHART, REPOSITORY

pytestmark = [pytest.mark.cluster, pytest.mark.functional]

INSTALL_TIMEOUT_S = 2400.0
"""A release for every file in charts/lmcache-kserve/ci, one after the other."""


@pytest.fixture
def ct(kube_cluster: Cluster, helm4: Path, tmp_path: Path) -> dict[str, str]:
    """The environment of chart-testing, which finds Helm on PATH and the cluster by KUBECONFIG."""
    assert shutil.which("ct"), "chart-testing (ct) is not on PATH: https://github.com/helm/chart-testing"
    (tmp_path / "helm").symlink_to(helm4)
    return {"KUBECONFIG": str(kube_cluster.kube_config_path), "PATH": f"{tmp_path}:{os.environ['PATH']}"}


def test_ct_lint_passes(ct: dict[str, str]) -> None:
    command("ct", "lint", "--config", REPOSITORY / "ct.yaml", "--charts", CHART, env=ct, cwd=REPOSITORY)


@pytest.mark.ct_install
def test_ct_install_passes_with_every_ci_file(ct: dict[str, str]) -> None:
    words = ("ct", "install", "--config", REPOSITORY / "ct.yaml", "--charts", CHART)
    done = command(*words, env=ct, cwd=REPOSITORY, timeout=INSTALL_TIMEOUT_S)
    for file in (CHART / "ci").glob("*-values.yaml"):
        assert file.name in done.stdout, f"{file.name} was not installed"
