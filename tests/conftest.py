"""Fixtures that render the chart with real Helm, of both majors, and the record of what was proven."""

from pathlib import Path

import proofs
import pytest
from rendering import Render

from lmcache_kserve.chart import helm_binary
from lmcache_kserve.chart.helm import Helm


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--kserve-clone",
        type=Path,
        help="a clone of kserve/kserve with its tags: the KServe schemas are generated from it again and compared",
    )
    parser.addoption(
        "--proofs", type=Path, help="a file, docs/reports/proofs.json, in which to keep what the tests have proven"
    )


def pytest_configure(config: pytest.Config) -> None:
    path = config.getoption("--proofs")
    if path and not hasattr(config, "workerinput"):
        config.pluginmanager.register(proofs.Recorder(path))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    proofs.mark(items)


@pytest.fixture(scope="session", params=sorted(helm_binary.PINNED_HELM), ids="helm{}".format)
def helm(request: pytest.FixtureRequest) -> Helm:
    """The pinned Helm of each major, whatever else the machine has."""
    return Helm(helm_binary.pinned_helm(request.param))


@pytest.fixture(scope="session")
def render(helm: Helm) -> Render:
    return Render(helm)
