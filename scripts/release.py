#!/usr/bin/env python3
"""Make what a release publishes: the chart, the Python package, its bill of materials (SBOM), and the notes.

    uv run scripts/release.py --tag v0.2.0 --repository https://github.com/OWNER/NAME --out dist

Takes the files that git tracks. The files say where they lie only in a release: the repository's
address goes into links, Chart.yaml and pyproject.toml of a copy. CHANGELOG.md is the source of the notes and of the
annotation artifacthub.io/changes. Formats: https://keepachangelog.com/en/1.1.0/,
https://artifacthub.io/docs/topics/annotations/helm/, https://cyclonedx.org/docs/1.5/json/ (by uv).
"""

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Sequence
from pathlib import Path

import links
import yaml
from uv import find_uv_bin

from lmcache_kserve.chart import helm_binary
from lmcache_kserve.chart.helm import Helm
from lmcache_kserve.errors import HarnessError

REPOSITORY = Path(__file__).resolve().parent.parent
CHART = Path("charts/lmcache-kserve")
KINDS = ("added", "changed", "deprecated", "removed", "fixed", "security")
"""The headings of a section of CHANGELOG.md, which are Artifact Hub's kinds of changes too."""
PICTURES = {
    "Replica 1 stores the chunks of a prompt, replica 2 loads them": "docs/images/deployed.svg",
    "Time to first token, cold and warm": "docs/images/ttft.svg",
}
ICON = "docs/images/icon.svg"

_SECTION = re.compile(r"^## (?P<heading>.*)\n(?P<text>(?:(?!## ).*\n?)*)", re.MULTILINE)
_KIND = re.compile(r"^### (?P<kind>.*)\n(?P<text>(?:(?!### ).*\n?)*)", re.MULTILINE)
_ITEM = re.compile(r"^- (?P<text>.*\n?(?:^  .*\n?)*)", re.MULTILINE)
_FIRST_SENTENCE = re.compile(r".+?(?:\.(?=\s)|$)")
_MARKUP = re.compile(r"\[([^\]]*)\]\([^)]*\)")


class ReleaseError(HarnessError):
    """The files do not make the release that was asked for."""


def section(changelog: str, version: str) -> tuple[str, str]:
    """Heading and text of a version's section of CHANGELOG.md, the heading without its `## `.

    Raises:
        ReleaseError: the changelog has no such section, or several.
    """
    named = re.compile(rf"(?<![\w.]){re.escape(version)}(?![\w.-])")
    sections = [(one["heading"], one["text"].strip() + "\n") for one in _SECTION.finditer(changelog)]
    found = [one for one in sections if named.search(one[0])]
    if len(found) != 1:
        heading = f"one heading: ## Chart {version}"
        raise ReleaseError(f"CHANGELOG.md has {len(found)} sections of {version}; name the version in {heading}")
    return found[0]


def changes(text: str) -> list[dict[str, str]]:
    """The items of a section of CHANGELOG.md as Artifact Hub wants them: each with its kind and its first sentence.

    Raises:
        ReleaseError: a heading is none of the format's, or there is no item.
    """
    found = [
        {"kind": kind["kind"].lower(), "description": _summary(item["text"])}
        for kind in _KIND.finditer(text)
        for item in _ITEM.finditer(kind["text"])
    ]
    unknown = {kind["kind"] for kind in _KIND.finditer(text) if kind["kind"].lower() not in KINDS}
    if unknown or not found:
        reason = f"has the heading {', '.join(sorted(unknown))}" if unknown else "has no items"
        raise ReleaseError(f"A section of CHANGELOG.md {reason}; its items stand below {', '.join(KINDS)}")
    return found


def _summary(item: str) -> str:
    sentence = _FIRST_SENTENCE.match(_MARKUP.sub(r"\1", " ".join(item.split())))
    return sentence[0].rstrip(".") if sentence else ""


def problems(tree: Path, tag: str) -> list[str]:
    """What keeps the files of a tree from being released under a tag, one sentence each."""
    chart = yaml.safe_load((tree / CHART / "Chart.yaml").read_text(encoding="utf-8"))
    package = tomllib.loads((tree / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    found = []
    if tag != f"v{chart['version']}":
        found.append(f"The tag is {tag}, but version of Chart.yaml is {chart['version']}")
    if package["version"] != chart["appVersion"]:
        versions = f"{package['version']}, but appVersion of Chart.yaml is {chart['appVersion']}"
        found.append(f"version of pyproject.toml is {versions}")
    try:
        heading, text = section((tree / "CHANGELOG.md").read_text(encoding="utf-8"), chart["version"])
        changes(text)
        if "unreleased" in heading.lower():
            released = f"## Chart {chart['version']}"
            found.append(f"CHANGELOG.md calls {chart['version']} unreleased; write the heading as {released}")
    except ReleaseError as error:
        found.append(str(error))
    return found


def prepare(tree: Path, *, repository: str, tag: str) -> str:
    """Tell the files of a tree where they lie and what changed; returns the notes of the release.

    Args:
        tree: a copy of the repository's files; its Chart.yaml, pyproject.toml and README.md files change.
        repository: address of the repository.
        tag: the tag of the release.

    Raises:
        ReleaseError: CHANGELOG.md has no section of the chart's version.
    """
    at = links.address(repository, tag)
    for page in ("README.md", f"{CHART}/README.md"):
        text = (tree / page).read_text(encoding="utf-8")
        (tree / page).write_text(links.moved(text, page, at), encoding="utf-8")
    with (tree / "pyproject.toml").open("a", encoding="utf-8") as file:
        file.write(f'\n[project.urls]\nRepository = "{repository}"\nChangelog = "{at("CHANGELOG.md")}"\n')
    path = tree / CHART / "Chart.yaml"
    chart = yaml.safe_load(path.read_text(encoding="utf-8"))
    _, text = section((tree / "CHANGELOG.md").read_text(encoding="utf-8"), chart["version"])
    chart["icon"] = at(ICON)
    chart["sources"] = [repository, *chart["sources"]]
    chart["annotations"] |= _annotations(chart["annotations"], changes(text), repository=repository, tag=tag)
    path.write_text(yaml.safe_dump(chart, sort_keys=False, width=120), encoding="utf-8")
    return links.moved(text, "CHANGELOG.md", at)


def _annotations(known: dict[str, str], changed: list[dict[str, str]], *, repository: str, tag: str) -> dict[str, str]:
    at = links.address(repository, tag)
    own = [
        {"name": "Documentation", "url": at("docs")},
        # Artifact Hub gives a link of this name a place of its own.
        {"name": "support", "url": f"{repository}/issues"},
    ]
    return {
        "artifacthub.io/changes": _text(changed),
        "artifacthub.io/containsSecurityUpdates": str(any(one["kind"] == "security" for one in changed)).lower(),
        "artifacthub.io/links": _text([*own, *yaml.safe_load(known["artifacthub.io/links"])]),
        "artifacthub.io/screenshots": _text([{"title": title, "url": at(path)} for title, path in PICTURES.items()]),
    }


def _text(value: object) -> str:
    return str(yaml.safe_dump(value, sort_keys=False, width=120))


def copy_tracked(source: Path, target: Path) -> None:
    """Copy the files of a checkout that git tracks, links as links.

    Raises:
        ReleaseError: the folder is no checkout.
    """
    listed = _run(["git", "-C", str(source), "ls-files", "-z"])
    for name in filter(None, listed.split("\0")):
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(source / name, target / name, follow_symlinks=False)


def build(tree: Path, out: Path) -> None:
    """Pack the chart and the Python package of a tree, and list the package's dependencies.

    `out` gets chart/NAME-VERSION.tgz, package/*.whl and *.tar.gz, and sbom.cdx.json (CycloneDX, from uv.lock).

    Raises:
        HelmError: Helm cannot pack the chart.
        ReleaseError: uv cannot build the package.
    """
    (out / "chart").mkdir(parents=True)
    Helm(helm_binary.pinned_helm(max(helm_binary.PINNED_HELM))).package(tree / CHART, out / "chart")
    uv = find_uv_bin()
    # Built by the locked hatchling of this environment, so that a test and a release build alike.
    _run(
        [uv, "build", "--no-build-isolation", "--python", sys.executable, "--out-dir", str(out / "package"), str(tree)]
    )
    (out / "package" / ".gitignore").unlink()
    bill = [
        "--format",
        "cyclonedx1.5",
        "--preview-features",
        "sbom-export",
        "--output-file",
        str(out / "sbom.cdx.json"),
    ]
    _run([uv, "export", "--quiet", "--frozen", "--offline", "--no-dev", "--project", str(tree), *bill])


def _run(argv: Sequence[str]) -> str:
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise ReleaseError(f"{' '.join(argv)} failed: {done.stderr.strip()}")
    return done.stdout


def main(argv: Sequence[str] | None = None) -> int:
    """Make the files of a release; returns the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--tag", required=True, help="the tag of the release, v and the version of the chart")
    parser.add_argument("--repository", required=True, help="address of the repository, which links lead to")
    parser.add_argument("--out", type=Path, required=True, help="a new folder for the files")
    options = parser.parse_args(argv)
    try:
        if options.out.exists():
            raise ReleaseError(f"--out {options.out} exists; name a new folder")
        with tempfile.TemporaryDirectory() as folder:
            tree = Path(folder)
            copy_tracked(REPOSITORY, tree)
            if found := problems(tree, options.tag):
                raise ReleaseError("\n".join(found))
            notes = prepare(tree, repository=options.repository, tag=options.tag)
            build(tree, options.out)
        (options.out / "notes.md").write_text(notes, encoding="utf-8")
    except HarnessError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
