"""What a release publishes, made as the workflow makes it: the chart, the package, its bill of materials, the notes.

`ah lint` is a container or a binary of a host that tests do not reach. artifacthub_schemas.yaml holds its rules.
"""

import json
import os
import re
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from email.parser import Parser
from pathlib import Path
from types import ModuleType
from typing import Any

import jsonschema_rs
import pytest
import yaml
from loading import module_at
from rendering import CHART, REPOSITORY
from uv import find_uv_bin

from lmcache_kserve.chart.helm import Helm

VERSION = yaml.safe_load((CHART / "Chart.yaml").read_text(encoding="utf-8"))["version"]
PACKAGE = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
HOST = "https://github.com/OWNER/NAME"
TAG = f"v{VERSION}"
LOCKED = {one["name"]: one for one in tomllib.loads((REPOSITORY / "uv.lock").read_text(encoding="utf-8"))["package"]}
SCHEMAS = yaml.safe_load(Path(__file__).with_name("artifacthub_schemas.yaml").read_text(encoding="utf-8"))
CHANGELOG = f"""# Changelog

## Chart {VERSION}

Read [UPGRADING.md](UPGRADING.md) first.

### Added

- `backend: redis`, [a backend](docs/backends.md). It evicts
  what is old.
- A page

### Security

- A hole is closed.

## Chart 0.0.9

### Fixed

- Old news.
"""


@pytest.fixture(scope="module")
def script() -> ModuleType:
    module_at(REPOSITORY / "scripts" / "links.py")
    return module_at(REPOSITORY / "scripts" / "release.py")


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """The few files that a release looks at, in a state that can be released."""
    (tmp_path / "charts" / "lmcache-kserve").mkdir(parents=True)
    for name in ("README.md", "pyproject.toml", "charts/lmcache-kserve/Chart.yaml", "charts/lmcache-kserve/README.md"):
        (tmp_path / name).write_text((REPOSITORY / name).read_text(encoding="utf-8"), encoding="utf-8")
    (tmp_path / "CHANGELOG.md").write_text(CHANGELOG, encoding="utf-8")
    return tmp_path


def prepared(script: ModuleType, tree: Path) -> tuple[dict[str, Any], str]:
    """Chart.yaml and the notes of a release."""
    notes = script.prepare(tree, repository=HOST, tag=TAG)
    return yaml.safe_load((tree / "charts/lmcache-kserve/Chart.yaml").read_text(encoding="utf-8")), notes


def test_a_tree_whose_versions_agree_can_be_released(script: ModuleType, tree: Path) -> None:
    assert script.problems(tree, TAG) == []


def test_a_tag_of_another_version_is_refused(script: ModuleType, tree: Path) -> None:
    (problem,) = script.problems(tree, "v9.9.9")
    assert problem == f"The tag is v9.9.9, but version of Chart.yaml is {VERSION}"


def test_this_tree_can_be_released_once_its_section_is_called_released(script: ModuleType) -> None:
    found = script.problems(REPOSITORY, TAG)
    assert [one for one in found if "unreleased" not in one] == []


CHART_YAML = "charts/lmcache-kserve/Chart.yaml"
DISAGREEING = {
    "but appVersion of Chart.yaml is 9.": (CHART_YAML, 'appVersion: "', 'appVersion: "9.'),
    "version of pyproject.toml is 9.9.9": ("pyproject.toml", f'"{PACKAGE["version"]}"', '"9.9.9"'),
    f"as ## Chart {VERSION}": ("CHANGELOG.md", f"## Chart {VERSION}", f"## [Unreleased]: chart {VERSION}"),
    f"has 0 sections of {VERSION}": ("CHANGELOG.md", f"## Chart {VERSION}", f"## Chart {VERSION}-rc1"),
    f"has 2 sections of {VERSION}": ("CHANGELOG.md", "## Chart 0.0.9", f"## Chart {VERSION}"),
    "has the heading News": ("CHANGELOG.md", "### Added", "### News"),
    "has no items": ("CHANGELOG.md", "- ", ""),
}


@pytest.mark.parametrize("complaint", DISAGREEING)
def test_what_does_not_agree_is_named(script: ModuleType, tree: Path, complaint: str) -> None:
    file, old, new = DISAGREEING[complaint]
    text = (tree / file).read_text(encoding="utf-8")
    assert old in text
    (tree / file).write_text(text.replace(old, new), encoding="utf-8")
    (problem,) = script.problems(tree, TAG)
    assert complaint in problem


def test_the_notes_are_the_section_of_the_version_with_links_that_lead_to_the_tag(
    script: ModuleType, tree: Path
) -> None:
    _, notes = prepared(script, tree)
    assert notes.startswith(f"Read [UPGRADING.md]({HOST}/blob/{TAG}/UPGRADING.md) first.\n\n### Added\n")
    assert notes.endswith("- A hole is closed.\n")


def test_artifact_hub_is_told_the_first_sentence_of_each_change(script: ModuleType, tree: Path) -> None:
    chart, _ = prepared(script, tree)
    assert yaml.safe_load(chart["annotations"]["artifacthub.io/changes"]) == [
        {"kind": "added", "description": "`backend: redis`, a backend"},
        {"kind": "added", "description": "A page"},
        {"kind": "security", "description": "A hole is closed"},
    ]
    assert chart["annotations"]["artifacthub.io/containsSecurityUpdates"] == "true"


def test_a_release_without_a_security_section_says_so(script: ModuleType, tree: Path) -> None:
    (tree / "CHANGELOG.md").write_text(CHANGELOG.replace("### Security", "### Fixed"), encoding="utf-8")
    chart, _ = prepared(script, tree)
    assert chart["annotations"]["artifacthub.io/containsSecurityUpdates"] == "false"


@pytest.mark.parametrize("file", ["charts/lmcache-kserve/README.md", "README.md"])
def test_no_link_of_a_published_page_is_relative(script: ModuleType, tree: Path, file: str) -> None:
    prepared(script, tree)
    found = re.findall(r"\]\((?!https://|#)([^)]*)\)", (tree / file).read_text(encoding="utf-8"))
    assert found == []


def test_artifact_hub_knows_every_annotation_and_its_form(script: ModuleType, tree: Path) -> None:
    # This project's own section: what the next release will publish.
    (tree / "CHANGELOG.md").write_text((REPOSITORY / "CHANGELOG.md").read_text(encoding="utf-8"), encoding="utf-8")
    chart, _ = prepared(script, tree)
    own = {name: text for name, text in chart["annotations"].items() if name.startswith("artifacthub.io/")}
    for name, text in own.items():
        schema = SCHEMAS["annotations"][name.removeprefix("artifacthub.io/")]
        structured = schema.get("type") == "array" or schema.get("$ref") == "#/definitions/links"
        instance = yaml.safe_load(text) if structured else text
        jsonschema_rs.validate({**schema, "definitions": SCHEMAS["definitions"]}, instance)
    assert {"changes", "category", "images", "license", "links", "screenshots", "containsSecurityUpdates"} <= {
        name.partition("/")[2] for name in own
    }


def test_the_file_for_artifact_hubs_repository_has_its_form() -> None:
    schema = {**SCHEMAS["repository"], "definitions": SCHEMAS["definitions"]}
    validator = jsonschema_rs.Draft202012Validator(schema, validate_formats=True)
    validator.validate(yaml.safe_load((REPOSITORY / "artifacthub-repo.yml").read_text(encoding="utf-8")))
    assert not validator.is_valid({"repositoryID": "of no form"})


def test_the_pictures_that_a_release_names_are_there(script: ModuleType, tree: Path) -> None:
    chart, _ = prepared(script, tree)
    shown = [chart["icon"], *(one["url"] for one in yaml.safe_load(chart["annotations"]["artifacthub.io/screenshots"]))]
    start = f"{HOST}/raw/{TAG}/"
    assert [one for one in shown if not (REPOSITORY / one.removeprefix(start)).is_file()] == []
    assert chart["sources"][0] == HOST


class Release:
    """The files of a release, made from this checkout."""

    def __init__(self, script: ModuleType, folder: Path) -> None:
        tree, self.out = folder / "tree", folder / "dist"
        tree.mkdir()
        script.copy_tracked(REPOSITORY, tree)
        script.prepare(tree, repository=HOST, tag=TAG)
        script.build(tree, self.out)

    def file(self, pattern: str) -> Path:
        (found,) = self.out.glob(pattern)
        return found


@pytest.fixture(scope="module")
def release(script: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Release:
    return Release(script, tmp_path_factory.mktemp("release"))


def test_a_release_has_these_files_and_no_other(release: Release) -> None:
    made = {str(file.relative_to(release.out)) for file in release.out.rglob("*") if file.is_file()}
    package = f"package/lmcache_kserve-{PACKAGE['version']}"
    assert made == {
        f"chart/lmcache-kserve-{VERSION}.tgz",
        f"{package}-py3-none-any.whl",
        f"{package}.tar.gz",
        "sbom.cdx.json",
    }


def test_the_wheel_holds_the_package_and_what_its_links_lead_to(release: Release) -> None:
    package = REPOSITORY / "src" / "lmcache_kserve"
    linked = [*(package / "data").iterdir(), package / "data" / "images" / "vllm-cpu"]
    tracked = subprocess.run(
        ["git", "-C", REPOSITORY, "ls-files"],  # noqa: S607 - the git on PATH
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    expected = {name.removeprefix("src/") for name in tracked if name.startswith("src/") and "/data/" not in name}
    for link in linked:
        if link.is_symlink():
            source = str(link.resolve().relative_to(REPOSITORY))
            place = str(link.relative_to(package.parent))
            expected |= {
                f"{place}{name.removeprefix(source)}"
                for name in tracked
                if name == source or name.startswith(f"{source}/")
            }
    with zipfile.ZipFile(release.file("package/*.whl")) as wheel:
        names = {name for name in wheel.namelist() if ".dist-info/" not in name}
    assert names == expected


def test_the_source_package_holds_what_builds_the_wheel(release: Release) -> None:
    # uv builds the wheel out of the source package, so it is complete; no file of it may be a link that leads nowhere.
    with tarfile.open(release.file("package/*.tar.gz")) as source:
        assert [member.name for member in source if member.issym() or member.islnk()] == []


def test_the_index_gets_a_description_and_addresses(release: Release) -> None:
    with zipfile.ZipFile(release.file("package/*.whl")) as wheel:
        (name,) = (name for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))
        metadata = Parser().parsestr(wheel.read(name).decode())
    assert metadata["License-Expression"] == "Apache-2.0"
    assert f"Repository, {HOST}" in metadata.get_all("Project-URL", [])
    assert f"]({HOST}/raw/{TAG}/docs/images/ttft.svg)" in str(metadata.get_payload())


def test_the_wheel_works_where_no_checkout_is(release: Release, tmp_path: Path) -> None:
    site = tmp_path / "site"
    install = [find_uv_bin(), "pip", "install", "--quiet", "--offline", "--no-deps", "--python", sys.executable]
    subprocess.run([*install, "--target", site, release.file("package/*.whl")], check=True)

    def run(*words: str | Path) -> str:
        # The dependencies are those of this environment; the package of `site` comes first.
        environment = {**os.environ, "PYTHONPATH": str(site)}
        done = subprocess.run(words, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    where = run(sys.executable, "-c", "from lmcache_kserve import resources; print(resources.chart_path())")
    assert Path(where.strip()).is_relative_to(site)
    assert "verify" in run(site / "bin" / "lmcache-kserve", "--help")
    values = site / "lmcache_kserve" / "data" / "values" / "kserve-guide.yaml"
    checked = json.loads(run(site / "bin" / "lmcache-kserve", "check", "-f", values, "--format", "json"))
    assert checked["passed"]


def test_the_packaged_chart_renders_what_the_folder_renders(release: Release, helm: Helm) -> None:
    values = {"remoteBackend": {"redis": {"auth": {"existingSecret": "redis"}}}}
    packed = helm.template(release.file("chart/*.tgz"), release="llm", namespace="models", values=values)
    assert packed.text == helm.template(CHART, release="llm", namespace="models", values=values).text


def test_the_bill_of_materials_lists_the_locked_release_of_every_dependency(release: Release) -> None:
    bill = json.loads(release.file("sbom.cdx.json").read_text(encoding="utf-8"))
    assert (bill["bomFormat"], bill["specVersion"]) == ("CycloneDX", "1.5")
    root = bill["metadata"]["component"]
    assert (root["name"], root["version"]) == (PACKAGE["name"], PACKAGE["version"])
    listed = {one["name"]: one["version"] for one in bill["components"]}
    wanted = {re.split(r"[^\w-]", one)[0] for one in PACKAGE["dependencies"]}
    assert wanted <= set(listed)
    assert {name for name, version in listed.items() if LOCKED[name]["version"] != version} == set()
    assert "pytest" not in listed
