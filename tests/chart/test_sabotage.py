"""A broken chart is noticed: each mistake that a change could make turns one named test red.

The named test, which passes with the chart as it is, runs in a process of its own against a broken copy.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from rendering import CHART, CHART_VARIABLE, REPOSITORY

FAILED = 1


def _delete(chart: Path, file: str) -> None:
    (chart / file).unlink()


def _replace(chart: Path, file: str, old: str, new: str) -> None:
    path = chart / file
    text = path.read_text(encoding="utf-8")
    assert old in text, f"{file} has no {old!r}: this sabotage does nothing"
    path.write_text(text.replace(old, new), encoding="utf-8")


@dataclass(frozen=True, slots=True)
class Sabotage:
    """A mistake in the chart and the test that has to notice it."""

    do: Callable[[Path], None]
    test: str


SABOTAGES = {
    "the backend's policy is removed": Sabotage(
        lambda chart: _delete(chart, "templates/backend/resp/networkpolicy.yaml"),
        "test_backends.py::test_only_the_predictor_may_connect_to_a_backend_and_it_to_nobody",
    ),
    "the checksum of the configuration is removed": Sabotage(
        lambda chart: _replace(
            chart,
            "templates/inference/_predictor.tpl",
            '$own "checksum/lmcache-config" (include',
            '$own "unused" (print',
        ),
        "test_rollout.py::test_a_changed_lmcache_configuration_restarts_the_predictor",
    ),
    "a probe asks a route that is not there": Sabotage(
        lambda chart: _replace(chart, "templates/inference/_predictor.tpl", "\n/health\n", "\n/healthy\n"),
        "test_inference.py::test_probes_ask_the_dialects_routes_on_the_servers_port",
    ),
    "the password moves to a ConfigMap": Sabotage(
        lambda chart: _replace(chart, "templates/backend/resp/secret.yaml", "kind: Secret\n", "kind: ConfigMap\n"),
        "test_secrets.py::test_a_password_stands_in_a_secret_and_nowhere_else",
    ),
    "replicas hash with seeds of their own": Sabotage(
        lambda chart: _replace(chart, "templates/inference/_predictor.tpl", "name: PYTHONHASHSEED", "name: HASHSEED"),
        "test_lmcache_configuration.py",
    ),
}


@pytest.mark.parametrize("mistake", SABOTAGES)
def test_a_mistake_in_the_chart_turns_its_test_red(tmp_path: Path, mistake: str) -> None:
    sabotage = SABOTAGES[mistake]
    chart = tmp_path / "lmcache-kserve"
    shutil.copytree(CHART, chart)
    sabotage.do(chart)
    assert _run(sabotage.test, chart) == FAILED


def _run(test: str, chart: Path) -> int:
    """The exit code of pytest for a test of this folder, under the newer Helm, with another chart."""
    words = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", f"tests/chart/{test}", "-k", "helm4"]
    return subprocess.run(
        words, cwd=REPOSITORY, env={**os.environ, CHART_VARIABLE: str(chart)}, capture_output=True, check=False
    ).returncode
