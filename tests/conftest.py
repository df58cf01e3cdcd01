"""Fixtures that render the chart with real Helm, of both majors."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from lmcache_kserve import schemas, tools
from lmcache_kserve.helm import DEFAULT_KUBE_VERSION, Helm
from lmcache_kserve.manifests import Manifests

REPOSITORY = Path(__file__).parent.parent
CHART = REPOSITORY / "charts" / "lmcache-kserve"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--kserve-clone",
        type=Path,
        help="a clone of kserve/kserve with its tags: the KServe schemas are generated from it again and compared",
    )


class Render:
    """Renders the chart with one Helm and lets the schemas judge every object; the same arguments render once.

    What it returns is shared between tests: read it only.
    """

    def __init__(self, helm: Helm) -> None:
        self.helm = helm
        self._rendered: dict[str, Manifests] = {}

    def __call__(  # noqa: PLR0913 (as many options as Helm has, all by keyword)
        self,
        values: Mapping[str, Any] | None = None,
        *,
        files: Sequence[Path] = (),
        set_values: Sequence[str] = (),
        release: str = "llm",
        namespace: str = "models",
        kube_version: str = DEFAULT_KUBE_VERSION,
        kserve_version: str = schemas.KSERVE_VERSIONS[-1],
    ) -> Manifests:
        key = json.dumps([values, [*map(str, files)], set_values, release, namespace, kube_version], sort_keys=True)
        if key not in self._rendered:
            self._rendered[key] = self.helm.template(
                CHART,
                release=release,
                namespace=namespace,
                values_files=files,
                values=values,
                set_values=set_values,
                kube_version=kube_version,
            )
        manifests = self._rendered[key]
        schemas.validate(manifests, kubernetes_version=kube_version, kserve_version=kserve_version)
        return manifests


@pytest.fixture(scope="session", params=sorted(tools.PINNED_HELM), ids="helm{}".format)
def helm(request: pytest.FixtureRequest) -> Helm:
    """The pinned Helm of each major, whatever else the machine has."""
    return Helm(tools.pinned_helm(request.param))


@pytest.fixture(scope="session")
def chart() -> Path:
    return CHART


@pytest.fixture(scope="session")
def render(helm: Helm) -> Render:
    return Render(helm)
