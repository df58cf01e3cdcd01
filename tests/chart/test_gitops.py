"""The examples for Argo CD and Flux: their fields, the chart that they name, and what comes of their values."""

import itertools
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
import yaml
from rendering import CHART, REPOSITORY, Render

from lmcache_kserve.chart import policies
from lmcache_kserve.chart.helm import Helm

EXAMPLES = sorted(file for tool in ("argocd", "flux") for file in (REPOSITORY / "values" / tool).glob("*.yaml"))
SCHEMAS = yaml.safe_load(Path(__file__).with_name("gitops_schemas.yaml").read_text(encoding="utf-8"))
VERSION = yaml.safe_load((CHART / "Chart.yaml").read_text(encoding="utf-8"))["version"]


def objects() -> list[Any]:
    return [
        pytest.param(item, id=f"{file.parent.name}-{item['kind']}")
        for file in EXAMPLES
        for item in yaml.safe_load_all(file.read_text(encoding="utf-8"))
    ]


def found(item: Any, key: str) -> Iterator[Any]:
    """Every value of a key, at any depth."""
    if isinstance(item, dict):
        for name, value in item.items():
            if name == key:
                yield value
            yield from found(value, key)
    elif isinstance(item, list):
        for value in item:
            yield from found(value, key)


def values_of(item: dict[str, Any]) -> list[dict[str, Any]]:
    return [*found(item, "valuesObject"), *found(item.get("spec", {}), "values")]


def test_there_are_examples_of_each_tool() -> None:
    kinds = {parameter.values[0]["kind"] for parameter in objects()}
    assert kinds == {"Application", "ApplicationSet", "OCIRepository", "HelmRelease"}


@pytest.mark.parametrize("item", objects())
def test_every_field_is_one_that_the_tool_knows(item: dict[str, Any]) -> None:
    jsonschema_rs.Draft202012Validator(SCHEMAS[item["kind"]]).validate(item)


@pytest.mark.parametrize("item", objects())
def test_the_chart_is_named_in_its_version(item: dict[str, Any]) -> None:
    sources = [*found(item, "source"), *itertools.chain(*found(item, "sources"))]
    named = [source["targetRevision"] for source in sources if "chart" in source]
    named += [ref["tag"] for ref in found(item, "ref") if isinstance(ref, dict)]
    assert named == [VERSION] or item["kind"] == "HelmRelease"


@pytest.mark.parametrize("item", [one for one in objects() if values_of(one.values[0])])
def test_the_values_render_alike_every_time_and_keep_every_policy(helm: Helm, item: dict[str, Any]) -> None:
    (values,) = values_of(item)
    first, second = (Render(helm)(values, release=item["metadata"]["name"]) for _ in range(2))
    assert first.text == second.text, "a password or a certificate comes anew with each render"
    assert [str(one) for one in policies.check(first, external=policies.external_names(values))] == []


def test_nothing_is_ignored_without_need() -> None:
    for file in EXAMPLES:
        assert not re.search(r"^\s*ignoreDifferences:", file.read_text(encoding="utf-8"), re.MULTILINE), file.name


@pytest.mark.parametrize("item", [one for one in objects() if one.values[0]["kind"] == "HelmRelease"])
def test_flux_waits_as_long_as_a_replica_may_load(item: dict[str, Any], render: Render) -> None:
    probe = render().one("ServingRuntime")["spec"]["containers"][0]["startupProbe"]
    minutes = int(item["spec"]["timeout"].removesuffix("m"))
    assert minutes * 60 > probe["failureThreshold"] * probe["periodSeconds"]
    chart = item["spec"]["chartRef"]
    assert (chart["kind"], chart["name"]) in {
        (one.values[0]["kind"], one.values[0]["metadata"]["name"]) for one in objects()
    }
