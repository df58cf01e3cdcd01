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
        help="a clone of kserve/kserve with its tags; with the other clones, the stored schemas are made again",
    )
    parser.addoption(
        "--operator-clone", type=Path, help="a clone of prometheus-operator/prometheus-operator with its tags"
    )
    parser.addoption("--keda-clone", type=Path, help="a clone of kedacore/keda with its tags")
    parser.addoption(
        "--every-helm",
        action="store_true",
        help="run each test of the chart with every pinned Helm, not the newest only",
    )
    parser.addoption(
        "--examples", default=100, type=int, help="how many sets of wrong values tests/chart/test_any_value.py tries"
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


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test with the newest Helm, or with each where Helm itself decides (mark `every_helm`)."""
    if "helm" not in metafunc.fixturenames:
        return
    every = metafunc.config.getoption("--every-helm") or metafunc.definition.get_closest_marker("every_helm")
    majors = sorted(helm_binary.PINNED_HELM) if every else [max(helm_binary.PINNED_HELM)]
    metafunc.parametrize("helm", majors, indirect=True, scope="session", ids="helm{}".format)


@pytest.fixture(scope="session")
def helm(request: pytest.FixtureRequest) -> Helm:
    """A pinned Helm, whatever else the machine has."""
    return Helm(helm_binary.pinned_helm(request.param))


@pytest.fixture(scope="session")
def render(helm: Helm) -> Render:
    return Render(helm)
