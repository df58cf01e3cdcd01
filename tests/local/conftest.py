import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from running import COMMAND, Demo, Outcome

from lmcache_kserve import resources
from lmcache_kserve.chart import helm_binary
from lmcache_kserve.chart.helm import Helm


@pytest.fixture(scope="session")
def helm() -> Helm:
    """One Helm: tests/chart compares what the majors render, and a run takes half a minute."""
    return Helm(helm_binary.pinned_helm(max(helm_binary.PINNED_HELM)))


@pytest.fixture
def demo(tmp_path: Path) -> Demo:
    def run(*arguments: str) -> Outcome:
        out = tmp_path / "out"
        process = subprocess.run(
            [*COMMAND, "--out", str(out), *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        sys.stdout.write(process.stdout)
        report = out / "report.json"
        return Outcome(
            code=process.returncode,
            output=process.stdout,
            report=json.loads(report.read_text()) if report.exists() else None,
        )

    return run


@pytest.fixture
def edited_chart(tmp_path: Path) -> Callable[[str, str, str], Path]:
    """A copy of the chart in which one text of one file is replaced."""

    def edit(path: str, old: str, new: str) -> Path:
        chart = tmp_path / "chart"
        shutil.copytree(resources.chart_path(), chart)
        file = chart / path
        text = file.read_text()
        assert text.count(old) == 1, f"{path} has {old!r} {text.count(old)} times"
        file.write_text(text.replace(old, new))
        return chart

    return edit
