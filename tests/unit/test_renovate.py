"""renovate.json: its patterns find each release that no manager of Renovate reads by itself."""

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import yaml

REPOSITORY = Path(__file__).resolve().parents[2]
CONFIG = json.loads((REPOSITORY / "renovate.json").read_text(encoding="utf-8"))
CHART = REPOSITORY / "charts" / "lmcache-kserve"
TRACKED = subprocess.run(
    ["git", "-C", REPOSITORY, "ls-files"],  # noqa: S607 - the git on PATH
    capture_output=True,
    text=True,
    check=True,
).stdout.splitlines()


def found(manager: dict[str, Any]) -> list[re.Match[str]]:
    """What a custom manager matches in the files that its pattern names."""
    (pattern,) = (re.compile(one.strip("/")) for one in manager["managerFilePatterns"])
    files = [REPOSITORY / name for name in TRACKED if pattern.search(name)]
    (match,) = (re.compile(one.replace("(?<", "(?P<")) for one in manager["matchStrings"])
    return [one for file in files for one in match.finditer(file.read_text(encoding="utf-8"))]


def by_description(start: str) -> dict[str, Any]:
    (manager,) = (one for one in CONFIG["customManagers"] if one["description"].startswith(start))
    return dict(manager)


def test_every_pattern_finds_something() -> None:
    assert [one["description"] for one in CONFIG["customManagers"] if not found(one)] == []


def test_every_image_of_the_chart_is_found_where_it_is_named() -> None:
    annotations = yaml.safe_load((CHART / "Chart.yaml").read_text(encoding="utf-8"))["annotations"]
    named = [value for name, value in annotations.items() if name.startswith("lmcache-kserve/image-")]
    named += [one["image"] for one in yaml.safe_load(annotations["artifacthub.io/images"])]
    assert sorted(one[0] for one in found(by_description("Images"))) == sorted(named)


def test_an_image_with_a_digest_is_found_with_its_digest() -> None:
    (pattern,) = by_description("Images")["matchStrings"]
    digest = f"sha256:{'a' * 64}"
    match = re.fullmatch(pattern.replace("(?<", "(?P<"), f"docker.io/library/redis:8.2.1-alpine@{digest}")
    assert match
    assert match.groupdict() == {
        "depName": "docker.io/library/redis",
        "currentValue": "8.2.1-alpine",
        "currentDigest": digest,
    }


def test_every_version_of_the_test_cluster_is_found_but_the_one_that_the_chart_states() -> None:
    text = (REPOSITORY / "scripts" / "cluster-versions.env").read_text(encoding="utf-8")
    stated = set(re.findall(r"^(\w+)=", text, re.MULTILINE))
    matched = {one[0].partition("=")[0] for manager in CONFIG["customManagers"] for one in found(manager)}
    assert stated - matched == {"KSERVE_VERSION"}


def test_a_person_says_when_the_chart_starts_another_engine() -> None:
    annotations = yaml.safe_load((CHART / "Chart.yaml").read_text(encoding="utf-8"))["annotations"]
    images = {
        value.partition(":")[0] for name, value in annotations.items() if name.startswith("lmcache-kserve/image-")
    }
    (rule,) = (one for one in CONFIG["packageRules"] if one.get("dependencyDashboardApproval"))
    assert set(rule["matchPackageNames"]) == images
