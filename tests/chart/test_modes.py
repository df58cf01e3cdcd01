"""Every backend in every mode that has a client for it: rendered, valid and within the rules, or refused."""

from itertools import product
from typing import Any

import pytest
from rendering import CHART, Render, scenario_values

from lmcache_kserve.chart import policies, schemas
from lmcache_kserve.chart.helm import HelmError
from lmcache_kserve.lmcache.backends import MULTIPROCESS, TRAITS

BACKENDS = ("none", *TRAITS)
FILES = {"none": "cpu-memory"}
"""Values files of chart-testing that have another name than their backend."""

SERVED = {"in-process": frozenset(BACKENDS), "multiprocess": MULTIPROCESS | {"none"}}


def pairs(*, served: bool) -> list[Any]:
    """Backends and modes that go together, or not."""
    return [
        pytest.param(
            backend, mode, id=f"{backend}-{mode}", marks=[pytest.mark.proves("rendered", backend, mode)][:served]
        )
        for mode, backend in product(SERVED, BACKENDS)
        if (backend in SERVED[mode]) is served
    ]


def values(mode: str) -> dict[str, Any]:
    return {"lmcache": {"mode": mode}}


@pytest.mark.parametrize(("backend", "mode"), pairs(served=True))
def test_a_backend_is_rendered_valid_and_within_the_rules(render: Render, backend: str, mode: str) -> None:
    file = CHART / "ci" / f"{FILES.get(backend, backend)}-values.yaml"
    manifests = render(values(mode), files=[file])
    newest = {"kubernetes_version": schemas.KUBERNETES_VERSIONS[-1], "kserve_version": schemas.KSERVE_VERSIONS[-1]}
    assert [str(found) for found in schemas.violations(manifests, **newest)] == []
    assert [str(found) for found in policies.restricted_pod_security(manifests)] == []
    assert scenario_values(file)["remoteBackend"]["type"] == backend


@pytest.mark.parametrize(("backend", "mode"), pairs(served=False))
def test_a_backend_without_a_client_in_that_mode_is_refused(render: Render, backend: str, mode: str) -> None:
    file = CHART / "ci" / f"{FILES.get(backend, backend)}-values.yaml"
    with pytest.raises(HelmError, match=rf"remoteBackend\.type: {backend} has no adapter in lmcache\.mode {mode}"):
        render(values(mode), files=[file])
