"""Fixtures that render the chart with real Helm, of both majors."""

from pathlib import Path

import pytest
from rendering import Render

from lmcache_kserve import tools
from lmcache_kserve.helm import Helm


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--kserve-clone",
        type=Path,
        help="a clone of kserve/kserve with its tags: the KServe schemas are generated from it again and compared",
    )


@pytest.fixture(scope="session", params=sorted(tools.PINNED_HELM), ids="helm{}".format)
def helm(request: pytest.FixtureRequest) -> Helm:
    """The pinned Helm of each major, whatever else the machine has."""
    return Helm(tools.pinned_helm(request.param))


@pytest.fixture(scope="session")
def render(helm: Helm) -> Render:
    return Render(helm)
