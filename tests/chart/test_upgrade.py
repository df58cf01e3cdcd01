"""An upgrade from the last release: with its values, and without a change that Kubernetes refuses."""

import pytest
from rendering import BACKENDS, CHART, PREVIOUS_CHART, PREVIOUS_VALUES, Render, remote_backend

pytestmark = pytest.mark.every_helm

IMMUTABLE = {
    "Deployment": ("selector",),
    "StatefulSet": ("selector", "serviceName", "podManagementPolicy", "volumeClaimTemplates"),
}
"""Fields of a spec that the API server does not let an upgrade change."""


@pytest.mark.parametrize("persistent", [False, True], ids=["memory", "persistent"])
@pytest.mark.parametrize("backend", [kind for kind in BACKENDS if kind != "lmcache-server"])
def test_an_upgrade_with_the_values_of_the_last_release_replaces_workloads_in_place(
    render: Render, backend: str, *, persistent: bool
) -> None:
    values = remote_backend(backend, persistence={"enabled": persistent})
    before, after = (render(values, chart=chart, files=[PREVIOUS_VALUES]) for chart in (PREVIOUS_CHART, CHART))
    workloads = [manifest for manifest in before if manifest["kind"] in IMMUTABLE]
    assert workloads
    for workload in workloads:
        successor = after.one(workload["kind"], workload["metadata"]["name"])
        for field in IMMUTABLE[workload["kind"]]:
            assert successor["spec"].get(field) == workload["spec"].get(field), field
