from pathlib import Path

import pytest
from typer.testing import CliRunner

from lmcache_kserve.chart import helm_binary
from lmcache_kserve.chart.examination import Examination, Request
from lmcache_kserve.cli import app
from lmcache_kserve.commands import check

CLEAN = Examination(
    chart="lmcache-kserve 0.2.0",
    helm="4.3.1",
    kubernetes="1.34",
    kserve="0.20.0",
    objects=("ConfigMap/a",),
    without_schema=(),
    findings=(),
    exempt=(),
    not_done=(),
)


def test_every_flag_of_helm_reaches_the_examination(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Request] = []

    def examine(request: Request) -> Examination:
        seen.append(request)
        return CLEAN

    monkeypatch.setattr(check, "examine", examine)
    monkeypatch.setattr(helm_binary, "helm", lambda: Path("/helm"))
    arguments = [
        *["check", "-f", "a.yaml", "--values", "b.yaml", "--set", "c=1", "--set-string", "d=2", "--set-json", "e={}"],
        *[
            "--set-file",
            "f=/g",
            "--set-literal",
            "g=1,2",
            "-n",
            "models",
            "--release-name",
            "llm",
            "--kube-version",
            "1.34",
        ],
        *["--kserve-version", "0.19", "--api-versions", "a/v1", "--chart", "mine"],
    ]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    (request,) = seen
    assert request == Request(
        chart=Path("mine"),
        helm=request.helm,
        values_files=(Path("a.yaml"), Path("b.yaml")),
        set_values=("c=1",),
        set_strings=("d=2",),
        set_json=("e={}",),
        set_files=("f=/g",),
        set_literals=("g=1,2",),
        release="llm",
        namespace="models",
        kube_version="1.34",
        kserve_version="0.19",
        api_versions=("a/v1",),
    )


@pytest.mark.parametrize(
    ("form", "start"),
    [("table", "1 object checked"), ("json", '{\n  "schema": "lmcache-kserve/check/v1"'), ("junit", "<?xml")],
)
def test_the_format_is_what_was_asked_for(monkeypatch: pytest.MonkeyPatch, form: str, start: str) -> None:
    monkeypatch.setattr(check, "examine", lambda _request: CLEAN)
    monkeypatch.setattr(helm_binary, "helm", lambda: Path("/helm"))
    assert CliRunner().invoke(app, ["check", "--format", form]).stdout.startswith(start)
