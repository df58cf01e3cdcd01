"""Every scenario that the project ships, under both Helm majors and every version that the chart supports."""

from pathlib import Path

import pytest
from rendering import CHART, EVERYTHING, SCENARIO_FILES, Render, external_names, scenario_name, scenario_values

from lmcache_kserve import policies, schemas
from lmcache_kserve.helm import Helm
from lmcache_kserve.manifests import describe

SCENARIOS = pytest.mark.parametrize("file", SCENARIO_FILES, ids=scenario_name)
KUBERNETES_VERSIONS = schemas.KUBERNETES_VERSIONS[schemas.KUBERNETES_VERSIONS.index("1.32") :]
KSERVE_VERSIONS = schemas.KSERVE_VERSIONS[schemas.KSERVE_VERSIONS.index("0.16.0") :]


def test_there_are_scenarios_for_users_and_for_chart_testing() -> None:
    folders = {file.parent for file in SCENARIO_FILES}
    assert len(folders) >= 2
    assert CHART / "ci" in folders


@SCENARIOS
def test_helm_lints_every_scenario_strictly(helm: Helm, file: Path) -> None:
    helm.lint(CHART, values_files=[file])


def test_helm_lints_the_defaults_strictly(helm: Helm) -> None:
    helm.lint(CHART)


@pytest.mark.parametrize("kubernetes", KUBERNETES_VERSIONS)
@SCENARIOS
def test_every_scenario_fits_every_kubernetes_version(render: Render, file: Path, kubernetes: str) -> None:
    assert len(render(files=[file], kube_version=f"{kubernetes}.0")) > 0


@pytest.mark.parametrize("kserve", KSERVE_VERSIONS)
@SCENARIOS
def test_every_scenario_fits_every_kserve_release(render: Render, file: Path, kserve: str) -> None:
    minor = kserve.rpartition(".")[0]
    assert len(render({"kserve": {"version": minor}}, files=[file], kserve_version=kserve)) > 0


@SCENARIOS
def test_every_scenario_keeps_every_policy(render: Render, file: Path) -> None:
    external = set(external_names(scenario_values(file)))
    assert [str(violation) for violation in policies.check(render(files=[file]), external=external)] == []


def test_the_defaults_keep_every_policy(render: Render) -> None:
    assert [str(violation) for violation in policies.check(render())] == []


def test_everything_at_once_keeps_every_policy(render: Render) -> None:
    assert [str(violation) for violation in policies.check(render(EVERYTHING))] == []


def test_the_oldest_kserve_accepts_the_defaults(render: Render) -> None:
    render({"kserve": {"version": "0.15"}}, kserve_version="0.15")


@SCENARIOS
def test_every_object_of_a_scenario_says_what_it_belongs_to(render: Render, file: Path) -> None:
    wanted = {
        f"app.kubernetes.io/{label}" for label in ("name", "instance", "version", "managed-by", "part-of", "component")
    }
    lacking = {
        describe(manifest): wanted - set(manifest["metadata"].get("labels", {})) for manifest in render(files=[file])
    }
    assert {name: labels for name, labels in lacking.items() if labels} == {}


@pytest.mark.parametrize("kubernetes", ["1.31.0", "1.30.5"])
def test_a_kubernetes_that_is_too_old_is_refused(helm: Helm, kubernetes: str) -> None:
    with pytest.raises(Exception, match="incompatible with Kubernetes"):
        helm.template(CHART, release="llm", namespace="models", kube_version=kubernetes)
