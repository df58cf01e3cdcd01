"""Fixtures of the chart's tests."""

import shutil
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from rendering import CHART

from lmcache_kserve.chart.helm import Helm

NOTES = """\
apiVersion: v1
kind: ConfigMap
metadata:
  name: notes
data:
  notes: {{ tpl (.Files.Get "notes.txt") . | quote }}
"""


@pytest.fixture(scope="session")
def notes(helm: Helm, tmp_path_factory: pytest.TempPathFactory) -> Callable[[Mapping[str, Any]], str]:
    """Renders NOTES.txt; `helm template` does not show the notes, so a copy of the chart has them in an object."""
    copy = tmp_path_factory.mktemp("chart") / "lmcache-kserve"
    shutil.copytree(CHART, copy)
    (copy / "templates" / "NOTES.txt").rename(copy / "notes.txt")
    (copy / "templates" / "notes.yaml").write_text(NOTES, encoding="utf-8")

    def notes(values: Mapping[str, Any]) -> str:
        manifests = helm.template(copy, release="llm", namespace="models", values=values)
        return str(manifests.one("ConfigMap", "notes")["data"]["notes"])

    return notes
