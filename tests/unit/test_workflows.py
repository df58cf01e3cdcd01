"""The workflows: what each runs is pinned, passes shellcheck, and exists."""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

REPOSITORY = Path(__file__).resolve().parents[2]
WORKFLOWS = sorted((REPOSITORY / ".github" / "workflows").glob("*.yaml"))
USES = re.compile(r"uses: (?P<action>[\w./-]+)@(?P<pin>\S+)(?P<comment>.*)")
PINNED = re.compile(r"[0-9a-f]{40}  # v\d+\.\d+\.\d+")


def steps(workflow: Path) -> Iterator[dict[str, Any]]:
    jobs = yaml.safe_load(workflow.read_text(encoding="utf-8"))["jobs"]
    for job in jobs.values():
        yield from job["steps"]


def scripts() -> list[Any]:
    """Every `run` of every workflow."""
    return [
        pytest.param(step["run"], id=f"{workflow.stem}: {step.get('name', step['run'].splitlines()[0])}")
        for workflow in WORKFLOWS
        for step in steps(workflow)
        if "run" in step
    ]


def test_every_action_is_pinned_by_its_commit_and_names_its_release() -> None:
    used = [one for workflow in WORKFLOWS for one in USES.finditer(workflow.read_text(encoding="utf-8"))]
    assert len(used) > 20
    assert [one[0] for one in used if not PINNED.fullmatch(one["pin"] + one["comment"])] == []


def test_an_action_has_the_same_commit_everywhere() -> None:
    pins: dict[str, set[str]] = {}
    for workflow in WORKFLOWS:
        for one in USES.finditer(workflow.read_text(encoding="utf-8")):
            pins.setdefault(one["action"], set()).add(one["pin"])
    assert {action: sorted(found) for action, found in pins.items() if len(found) > 1} == {}


@pytest.mark.parametrize("script", scripts())
def test_a_script_of_a_workflow_passes_shellcheck(script: str) -> None:
    done = subprocess.run(
        # Runners give each script `-e`; the sourced files are found from the repository's root.
        [Path(sys.executable).parent / "shellcheck", "--shell", "bash", "--external-sources", "-"],
        input=f"set -e\n{script}",
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("script", scripts())
def test_a_workflow_makes_targets_that_the_makefile_has(script: str) -> None:
    makefile = (REPOSITORY / "Makefile").read_text(encoding="utf-8")
    known = set(re.findall(r"^([a-z-]+|\.uv/bin/uv):", makefile, re.MULTILINE))
    assert set(re.findall(r"(?:^|\s)make ([a-z-]+|\.uv/bin/uv)", script)) <= known
