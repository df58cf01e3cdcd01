"""When two renders count as the same: a proof of one is a proof of the other."""

import shutil
from pathlib import Path

import pytest

from lmcache_kserve import resources
from lmcache_kserve.chart.render import Renderer


def digest(chart: Path, *settings: str) -> str:
    return Renderer.for_demo(chart=chart, values_files=(), settings=settings).digest()


@pytest.fixture
def chart(tmp_path: Path) -> Path:
    copy = tmp_path / "chart"
    shutil.copytree(resources.chart_path(), copy)
    return copy


def changed(file: Path, old: str, new: str) -> None:
    text = file.read_text(encoding="utf-8")
    assert old in text
    file.write_text(text.replace(old, new, 1), encoding="utf-8")


def test_a_generated_password_a_comment_the_version_and_helm_test_change_nothing(chart: Path) -> None:
    before = digest(chart)
    changed(chart / "files" / "prove_reuse" / "clock.py", "class Clock", "class Clock2")
    changed(chart / "values.yaml", "# -- ", "# -- Changed. ")
    changed(chart / "Chart.yaml", "\nversion: ", "\nversion: 9")
    assert digest(chart) == before


def test_a_setting_and_a_script_that_runs_change_it(chart: Path) -> None:
    before = digest(chart)
    assert digest(chart, "lmcache.chunkSize=128") != before
    changed(chart / "files" / "launcher.py", "import json\n", "import json  # changed\n")
    assert digest(chart) != before
