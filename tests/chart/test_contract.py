"""The names that chart and harness share: the chart renders each of them."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from rendering import CHART, NEWEST, Render

import lmcache_kserve
from lmcache_kserve.chart import contract
from lmcache_kserve.chart.manifests import Manifest, Manifests, sidecars
from lmcache_kserve.lmcache.backends import TRAITS

RELEASES: tuple[dict[str, Any], ...] = (
    {
        "remoteBackend": {"type": "redis-sentinel"},
        "lmcache": {"mode": "multiprocess", "multiprocess": {"metrics": {"enabled": True}}},
        "warmup": {"prompts": ["a"]},
    },
    {
        "remoteBackend": {"type": "redis"},
        **NEWEST,
        "lmcache": {"mode": "multiprocess", "multiprocess": {"placement": "daemonset"}},
    },
    {"remoteBackend": {"type": "mooncake"}, "runtime": {"image": {"repository": "example.com/engine", "tag": "1"}}},
)
"""Values that render every name between them."""


@pytest.fixture(scope="module")
def rendered(render: Render) -> list[Manifests]:
    return [render(values) for values in RELEASES]


def objects(rendered: list[Manifests]) -> Iterator[Manifest]:
    for manifests in rendered:
        yield from manifests


def metadata(rendered: list[Manifests], field: str) -> set[tuple[str, str]]:
    """Every label or annotation of an object or of its pods, with its value."""
    found = set()
    for manifest in objects(rendered):
        template = manifest.get("spec", {}).get("template", {})
        for part in (manifest["metadata"], template.get("metadata", {})):
            found |= set(part.get(field, {}).items())
    return found


def containers(rendered: list[Manifests]) -> Iterator[Any]:
    for manifests in rendered:
        for _, spec in manifests.pod_specs():
            yield from [*spec.get("containers", ()), *sidecars(spec)]


@pytest.mark.parametrize(
    "label",
    [
        (contract.INSTANCE_LABEL, "llm"),
        (contract.COMPONENT_LABEL, contract.PREDICTOR_COMPONENT),
        (contract.COMPONENT_LABEL, contract.BACKEND_COMPONENT),
        (contract.COMPONENT_LABEL, contract.CACHE_SERVER_COMPONENT),
        (contract.COMPONENT_LABEL, contract.TEST_COMPONENT),
        (contract.COMPONENT_LABEL, contract.WARM_UP_COMPONENT),
        *((contract.PART_LABEL, traits.entrance) for traits in TRAITS.values() if traits.entrance),
    ],
    ids="=".join,
)
def test_every_label_is_rendered(rendered: list[Manifests], label: tuple[str, str]) -> None:
    assert label in metadata(rendered, "labels")


@pytest.mark.parametrize(
    "annotation",
    [
        (contract.BACKEND_ANNOTATION, "mooncake"),
        (contract.MODE_ANNOTATION, "in-process"),
        (contract.MODE_ANNOTATION, "multiprocess"),
    ],
    ids="=".join,
)
def test_every_annotation_is_rendered(rendered: list[Manifests], annotation: tuple[str, str]) -> None:
    assert annotation in metadata(rendered, "annotations")


@pytest.mark.parametrize("name", [contract.PREDICTOR_CONTAINER, contract.SERVER_CONTAINER])
def test_every_container_is_rendered(rendered: list[Manifests], name: str) -> None:
    assert name in {container["name"] for container in containers(rendered)}


@pytest.mark.parametrize("name", [contract.METRICS_PORT, contract.SERVER_METRICS_PORT])
def test_the_ports_with_metrics_are_rendered(rendered: list[Manifests], name: str) -> None:
    assert name in [port["name"] for container in containers(rendered) for port in container.get("ports", ())]


def test_the_serving_runtime_alone_names_the_charts_version(rendered: list[Manifests]) -> None:
    version = yaml.safe_load((CHART / "Chart.yaml").read_text(encoding="utf-8"))["version"]
    for manifest in objects(rendered):
        label = manifest["metadata"]["labels"].get(contract.CHART_LABEL)
        expected = version if manifest["kind"] == "ServingRuntime" else None
        assert contract.chart_version(label) == expected, manifest["kind"]
        assert contract.CHART_LABEL not in str(manifest.get("spec"))


@pytest.mark.parametrize(
    ("label", "version"),
    [
        ("lmcache-kserve-0.2.0", "0.2.0"),
        ("lmcache-kserve-1.0.0-rc.1_build", "1.0.0-rc.1+build"),
        ("other-0.2.0", None),
        ("lmcache-kserve-", None),
        (None, None),
    ],
)
def test_a_version_is_read_from_the_label_of_this_chart_only(label: str | None, version: str | None) -> None:
    assert contract.chart_version(label) == version


@pytest.mark.parametrize("annotation", [contract.OLDEST_KSERVE_ANNOTATION, contract.NEWEST_KSERVE_ANNOTATION])
def test_the_chart_says_which_releases_of_kserve_it_knows(annotation: str) -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text(encoding="utf-8"))
    assert re.fullmatch(r"\d+\.\d+(\.\d+)?", chart["annotations"][annotation])


NAMES = sorted(
    value
    for name, value in vars(contract).items()
    if name.endswith(("_LABEL", "_ANNOTATION")) and not name.startswith("KSERVE_")
)
"""The chart's own names; other modules know KServe's label for reasons of their own."""


@pytest.mark.parametrize("name", NAMES)
def test_no_other_module_writes_a_name_out(name: str) -> None:
    package = Path(lmcache_kserve.__file__).parent
    modules = {file for file in package.rglob("*.py") if "data" not in file.relative_to(package).parts}
    own = Path(contract.__file__)
    written = {file.name for file in modules - {own} if f'"{name}"' in file.read_text(encoding="utf-8")}
    assert not written
