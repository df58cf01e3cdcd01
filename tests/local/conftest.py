"""Runs the command as a user does: a process of its own, with the real engine."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest

from lmcache_kserve import resources
from lmcache_kserve.local.process import OWNER_VARIABLE

COMMAND = [sys.executable, "-m", "lmcache_kserve", "demo"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run of `demo` ended."""

    code: int
    output: str
    report: dict[str, Any] | None

    @property
    def passed(self) -> set[str]:
        """Ids of the checks that passed."""
        return {check["id"] for check in (self.report or {}).get("checks", ()) if check["passed"]}

    def check(self, check_id: str) -> dict[str, Any]:
        """The check of that id."""
        checks = (self.report or {}).get("checks", ())
        return next(check for check in checks if check["id"] == check_id)


Demo = Callable[..., Outcome]


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
    """A copy of the chart in which one text of one template is replaced."""

    def edit(template: str, old: str, new: str) -> Path:
        chart = tmp_path / "chart"
        shutil.copytree(resources.chart_path(), chart)
        file = chart / "templates" / template
        text = file.read_text()
        assert text.count(old) == 1, f"{template} has {old!r} {text.count(old)} times"
        file.write_text(text.replace(old, new))
        return chart

    return edit


def processes_of_runs() -> list[psutil.Process]:
    """Every process on this machine that a run of the harness started."""
    found = []
    for process in psutil.process_iter():
        try:
            if OWNER_VARIABLE in process.environ() and process.pid != os.getpid():
                found.append(process)
        except psutil.Error:
            continue
    return found
