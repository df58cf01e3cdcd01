"""Every scenario that the project ships, under both Helm majors and every version that the chart supports."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from rendering import (
    CHART,
    EVERYTHING,
    REPOSITORY,
    SCENARIO_FILES,
    Render,
    scenario_name,
    scenario_values,
)

from lmcache_kserve.chart import helm_binary, policies, schemas
from lmcache_kserve.chart.helm import Helm, HelmError
from lmcache_kserve.chart.manifests import Manifests, describe

SCENARIOS = pytest.mark.parametrize("file", SCENARIO_FILES, ids=scenario_name)
KUBERNETES_VERSIONS = schemas.KUBERNETES_VERSIONS[schemas.KUBERNETES_VERSIONS.index("1.30") :]
KSERVE_VERSIONS = schemas.KSERVE_VERSIONS[schemas.KSERVE_VERSIONS.index("0.16.0") :]


def violations(manifests: Manifests, values: dict[str, Any]) -> list[str]:
    return [str(found) for found in policies.check(manifests, external=policies.external_names(values))]


def test_there_are_scenarios_for_users_and_for_chart_testing() -> None:
    assert {file.parent for file in SCENARIO_FILES} == {REPOSITORY / "values", CHART / "ci"}


@SCENARIOS
def test_helm_lints_every_scenario_strictly(helm: Helm, file: Path) -> None:
    helm.lint(CHART, values_files=[file])


def test_helm_lints_the_defaults_strictly(helm: Helm) -> None:
    helm.lint(CHART)


@SCENARIOS
def test_every_scenario_fits_every_version_of_kubernetes_and_kserve(render: Render, file: Path) -> None:
    # The same render is judged by all: the next test but one shows that it is the same.
    manifests = render(files=[file])
    pairs = [(kubernetes, KSERVE_VERSIONS[-1]) for kubernetes in KUBERNETES_VERSIONS]
    pairs += [(KUBERNETES_VERSIONS[-1], kserve) for kserve in KSERVE_VERSIONS]
    refused = {
        pair: [
            str(found) for found in schemas.violations(manifests, kubernetes_version=pair[0], kserve_version=pair[1])
        ]
        for pair in pairs
    }
    assert {pair: found for pair, found in refused.items() if found} == {}


@SCENARIOS
def test_every_helm_renders_a_scenario_alike(file: Path) -> None:
    def objects(major: int) -> dict[str, Any]:
        helm = Helm(helm_binary.pinned_helm(major))
        text = helm.template(CHART, release="llm", namespace="models", values_files=[file]).text
        # A password that nobody gave is another one in every render.
        fixed = re.sub(r"^( +(?:password|checksum/[a-z-]*password): ).*$", r"\1fixed", text, flags=re.MULTILINE)
        return {describe(item): item for item in Manifests.parse(fixed)}

    first, *others = map(objects, helm_binary.PINNED_HELM)
    assert others
    assert all(other == first for other in others)


@SCENARIOS
def test_every_scenario_keeps_every_policy(render: Render, file: Path) -> None:
    assert violations(render(files=[file]), scenario_values(file)) == []


@pytest.mark.parametrize("kubernetes", KUBERNETES_VERSIONS)
def test_what_is_rendered_does_not_depend_on_the_cluster(render: Render, kubernetes: str) -> None:
    assert render(EVERYTHING, kube_version=f"{kubernetes}.0").text == render(EVERYTHING).text


def test_no_template_asks_for_helm_or_the_clusters_version() -> None:
    for template in (CHART / "templates").rglob("*.*"):
        assert ".Capabilities" not in template.read_text(encoding="utf-8"), template.name


@pytest.mark.parametrize("kserve", ["0.15.2", *KSERVE_VERSIONS])
@pytest.mark.parametrize(
    ("mode", "values"),
    [("Standard", {}), ("Standard", EVERYTHING), ("Knative", {})],
    ids=["Standard", "Standard with everything", "Knative"],
)
def test_every_kserve_release_gets_what_it_accepts(
    render: Render, kserve: str, mode: str, values: dict[str, Any]
) -> None:
    settings = {"kserve": {"version": kserve.rpartition(".")[0], "deploymentMode": mode}}
    assert violations(render({**values, **settings}, kserve_version=kserve), values) == []


@SCENARIOS
def test_every_object_of_a_scenario_says_what_it_belongs_to(render: Render, file: Path) -> None:
    names = ("name", "instance", "version", "managed-by", "part-of", "component")
    wanted = {f"app.kubernetes.io/{name}" for name in names}
    lacking = {describe(item): wanted - set(item["metadata"].get("labels", {})) for item in render(files=[file])}
    assert {name: labels for name, labels in lacking.items() if labels} == {}


@pytest.mark.parametrize("kubernetes", ["1.29.0", "1.28.5"])
def test_a_kubernetes_that_is_too_old_is_refused(helm: Helm, kubernetes: str) -> None:
    with pytest.raises(HelmError, match="incompatible with Kubernetes"):
        helm.template(CHART, release="llm", namespace="models", kube_version=kubernetes)


@pytest.mark.parametrize("server", ["vllm", "huggingfaceserver"])
@pytest.mark.parametrize(
    "backend", ["none", "redis", "valkey", "redis-sentinel", "lmcache-server", "filesystem", "s3", "custom"]
)
def test_artifact_hub_lists_every_image_that_the_defaults_run(render: Render, server: str, backend: str) -> None:
    metadata = yaml.safe_load((CHART / "Chart.yaml").read_text(encoding="utf-8"))
    listed = {entry["image"] for entry in yaml.safe_load(metadata["annotations"]["artifacthub.io/images"])}
    needed: dict[str, Any] = {
        "s3": {"s3": {"bucket": "kv", "external": {"endpoint": "b.example.com"}}},
        "custom": {"custom": {"url": "mock://1/"}},
    }
    values = {"runtime": {"server": server}, "remoteBackend": {"type": backend, **needed.get(backend, {})}}
    text = render(values).text
    assert set(re.findall(r"\bimage: \"?([^\s\"]+)", text)) <= listed
