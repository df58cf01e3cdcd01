"""Values that are not there: removed with null, lost in a parent chart, or unknown to the release that is upgraded."""

import json
import shutil
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from rendering import CHART, PREVIOUS_CHART, PREVIOUS_VALUES, Render, default_values, environment, pod, remote_backend

from lmcache_kserve.chart.helm import Helm, HelmError
from lmcache_kserve.chart.manifests import Manifests

pytestmark = pytest.mark.every_helm

SECRET = remote_backend("redis", auth={"existingSecret": "password"})
"""Makes renders comparable: without it each one has a password of its own."""

KNOWN = json.loads((CHART / "files" / "defaults.json").read_text(encoding="utf-8"))


def without(path: str) -> dict[str, Any]:
    """Values that set one value to null."""
    values: dict[str, Any] = {}
    *sections, key = path.split(".")
    node = values
    for section in sections:
        node = node.setdefault(section, {})
    node[key] = None
    return values


def paths(values: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Sections and values by their path, down to the level where the chart stops deciding."""
    for key, value in values.items():
        path = f"{prefix}{key}"
        yield path, value
        if isinstance(value, dict) and path not in {*KNOWN["maps"], *KNOWN["optional"]}:
            yield from paths(value, f"{path}.")


SECTIONS = [path for path, value in paths(default_values()) if isinstance(value, dict) and path not in KNOWN["maps"]]
CHOSEN = [
    path for path in SECTIONS if path not in KNOWN["optional"] and not path.startswith("remoteBackend.redis.auth")
]


@pytest.mark.parametrize("path", CHOSEN)
def test_a_section_that_is_null_means_its_defaults(helm: Helm, path: str) -> None:
    values = without(path)
    if not path.startswith("remoteBackend"):
        values |= SECRET
        assert helm.template(CHART, release="llm", namespace="models", values=values).text == rendered(helm)
    else:
        helm.template(CHART, release="llm", namespace="models", values=values)


def rendered(helm: Helm) -> str:
    return helm.template(CHART, release="llm", namespace="models", values=SECRET).text


LEAVES = [
    path
    for path, value in paths(default_values())
    if not isinstance(value, dict) and path not in KNOWN["optional"] and not path.startswith("remoteBackend.")
]


def test_a_value_that_is_null_means_its_default_where_it_cannot_be_empty(helm: Helm) -> None:
    values: dict[str, Any] = {}
    for path in LEAVES:
        *sections, key = path.split(".")
        node = values
        for section in sections:
            node = node.setdefault(section, {})
        node[key] = None
    assert len(LEAVES) > 80
    merged = values | SECRET
    assert helm.template(CHART, release="llm", namespace="models", values=merged).text == rendered(helm)


@pytest.mark.parametrize("path", [path for path in KNOWN["maps"] if path.split(".")[0] != "remoteBackend"])
def test_a_map_that_is_null_is_empty(helm: Helm, path: str) -> None:
    empty = without(path)
    *sections, key = path.split(".")
    node = empty
    for section in sections:
        node = node[section]
    node[key] = None
    manifests = helm.template(CHART, release="llm", namespace="models", values=SECRET | empty)
    assert manifests.one("InferenceService")


def test_fields_that_null_removes_stay_away(render: Render) -> None:
    values = {
        "runtime": {"probes": {"startup": None}},
        "predictor": {
            "lifecycle": None,
            "resources": {"limits": {"memory": None}},
            "securityContext": {"runAsUser": None},
        },
    }
    container = pod(render(values)).container
    assert "startupProbe" not in container
    assert "lifecycle" not in container
    assert "memory" not in container["resources"]["limits"]
    assert "runAsUser" not in container["securityContext"]


@pytest.fixture(scope="session")
def reused(helm: Helm, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The chart with the values of the last release in the place of its own, as --reuse-values has them."""
    copy = tmp_path_factory.mktemp(f"reused-{id(helm)}") / "lmcache-kserve"
    shutil.copytree(CHART, copy)
    with tarfile.open(PREVIOUS_CHART) as package:
        member = package.extractfile("lmcache-kserve/values.yaml")
        assert member is not None
        (copy / "values.yaml").write_bytes(member.read())
    return copy


@pytest.mark.parametrize("files", [[], [PREVIOUS_VALUES]], ids=["defaults", "values/cpu.yaml"])
def test_the_values_of_the_last_release_render_when_they_are_reused(
    render: Render, reused: Path, files: list[Path]
) -> None:
    manifests = render(chart=reused, files=files)
    assert manifests.one("Pod")  # the test of `helm test`, which that release did not have
    assert environment(pod(manifests).container)["PYTHONHASHSEED"] == "0"  # the entries of that release stay


BACKENDS_FOR_PARENTS = ["redis", "redis-sentinel", "filesystem", "lmcache-server", "none"]
NO_USER = {"runAsUser": "", "runAsGroup": "", "fsGroup": "", "seccompProfile": ""}


def contexts(values: dict[str, Any], prefix: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Paths of every security context of the chart."""
    for key, value in values.items():
        if key in {"securityContext", "podSecurityContext"}:
            yield (*prefix, key)
        elif isinstance(value, dict):
            yield from contexts(value, (*prefix, key))


def users(node: Any) -> Iterator[str]:
    """Fields in what was rendered that say who runs."""
    if isinstance(node, dict):
        for key, value in node.items():
            if key in {"runAsUser", "runAsGroup", "fsGroup"}:
                yield key
            yield from users(value)
    elif isinstance(node, list):
        for value in node:
            yield from users(value)


class Parent:
    """A chart that depends on this one."""

    def __init__(self, folder: Path, helm: Helm) -> None:
        self._folder = folder
        self._helm = helm

    def render(self, values: dict[str, Any], *, alias: str = "", condition: bool = True) -> Manifests:
        """Render with `values` in the parent's own values.yaml, below the chart's name or its alias."""
        key = alias or "lmcache-kserve"
        dependency = {"name": "lmcache-kserve", "version": "*", "repository": ""}
        if condition:
            dependency["condition"] = f"{key}.enabled"
        if alias:
            dependency["alias"] = alias
        metadata = {"apiVersion": "v2", "name": "parent", "version": "1.0.0", "dependencies": [dependency]}
        shutil.copytree(CHART, self._folder / "charts" / "lmcache-kserve", dirs_exist_ok=True)
        (self._folder / "Chart.yaml").write_text(yaml.safe_dump(metadata), encoding="utf-8")
        (self._folder / "values.yaml").write_text(yaml.safe_dump({key: values}), encoding="utf-8")
        return self._helm.template(self._folder, release="llm", namespace="models")


@pytest.fixture
def parent(helm: Helm, tmp_path: Path) -> Parent:
    return Parent(tmp_path / "parent", helm)


def test_a_parent_charts_condition_decides(parent: Parent) -> None:
    assert parent.render({"enabled": True}).one("InferenceService")
    assert len(parent.render({"enabled": False})) == 0


def test_a_parent_chart_without_its_condition_is_told(parent: Parent) -> None:
    with pytest.raises(HelmError, match="enabled: false reached the chart"):
        parent.render({"enabled": False}, condition=False)


def test_an_alias_is_the_name(parent: Parent) -> None:
    manifests = parent.render({"enabled": True}, alias="chat")
    assert manifests.one("InferenceService")["metadata"]["name"] == "llm-chat"


@pytest.mark.parametrize("backend", BACKENDS_FOR_PARENTS)
def test_a_parent_chart_leaves_out_fields_of_every_security_context_with_an_empty_text(
    parent: Parent, backend: str
) -> None:
    values: dict[str, Any] = {"remoteBackend": {"type": backend}}
    for *sections, key in contexts(default_values()):
        node = values
        for section in sections:
            node = node.setdefault(section, {})
        # A container's security context has no group of files.
        node[key] = {field: "" for field in NO_USER if key == "podSecurityContext" or field != "fsGroup"}
    manifests = parent.render(values)
    assert [*users([dict(manifest) for manifest in manifests])] == []
    assert '""' not in "".join(line for line in manifests.text.splitlines() if "seccomp" in line)
