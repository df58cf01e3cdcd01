"""Engines by name on the command line: their list, and what `demo --engine` makes of a name."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
import yaml
from rich.console import Console
from typer.testing import CliRunner

from lmcache_kserve.chart.manifests import Manifests
from lmcache_kserve.chart.render import Renderer
from lmcache_kserve.cli import app
from lmcache_kserve.commands import demo, engines, faults
from lmcache_kserve.commands.preparation import check_mode, values_of
from lmcache_kserve.engine.catalog import Expectation, Outlook, pair, pairs
from lmcache_kserve.engine.find import ENGINE_VARIABLE
from lmcache_kserve.errors import HarnessError


class _Reached(Exception):  # noqa: N818 - no error: as far as the test goes
    """The run asked for its engine."""


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str | None]:
    """The engines that were asked for; none is installed, and the run ends."""
    names: list[str | None] = []

    def ensure(_progress: object, name: str | None = None) -> None:
        names.append(name)
        raise _Reached

    monkeypatch.setattr(demo, "ensure_engine", ensure)
    monkeypatch.setattr(faults, "ensure_engine", ensure)
    monkeypatch.delenv(ENGINE_VARIABLE, raising=False)
    return names


def invoke(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, list(arguments))
    return result.exit_code, " ".join(result.output.split())


def test_every_engine_is_listed_with_what_it_can_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "is_installed", lambda one: one.name == "kserve-0.20")

    result = CliRunner().invoke(app, ["engines"])

    assert result.exit_code == 0
    rows = {cells[0]: cells[1:] for line in result.output.splitlines() if len(cells := row(line)) == 8}
    assert rows.keys() == {"engine", *pairs()}
    assert rows["kserve-0.20"] == (
        *("0.24.0", "0.5.1", "runs", "runs", "yes"),
        "2.2 or 5.2",
        "docker.io/kserve/huggingfaceserver:v0.20.0-gpu",
    )
    assert rows["kserve-0.15.1"][2:6] == ("impossible", "impossible", "no", "")
    assert "kserve-0.15.1, in-process: impossible. PyPI no longer has LMCache 0.2.1." in result.output


def row(line: str) -> tuple[str, ...]:
    """The cells of a table's line; empty for a line that continues another one or that is none."""
    cells = tuple(cell.strip() for cell in line.replace("┃", "│").strip("│").split("│"))
    return cells if cells[0] else ()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("kserve-0.14",), "There is no engine kserve-0.14. Use one of: kserve-0.15.1,"),
        (
            ("kserve-0.15.1",),
            "Engine kserve-0.15.1 cannot be installed. In mode in-process: PyPI no longer has LMCache",
        ),
        (("kserve-0.18", "--set", "lmcache.mode=multiprocess"), "lmcache.mode"),
    ],
)
def test_an_engine_that_cannot_run_is_refused_before_anything_is_installed(
    asked: list[str | None], arguments: tuple[str, ...], says: str
) -> None:
    code, output = invoke("demo", "--engine", *arguments)

    assert code == 2
    assert says in output
    assert asked == []


def test_two_names_for_the_engine_are_refused(monkeypatch: pytest.MonkeyPatch, asked: list[str | None]) -> None:
    monkeypatch.setenv(ENGINE_VARIABLE, "/some/engine")

    code, output = invoke("demo", "--engine", "kserve-0.20")

    assert code == 2
    assert ENGINE_VARIABLE in output
    assert asked == []


@pytest.mark.parametrize("name", [None, "kserve-0.20", "lmcache-0.5.0"])
def test_the_engine_that_was_named_is_the_one_that_runs(asked: list[str | None], name: str | None) -> None:
    result = CliRunner().invoke(app, ["demo", *(["--engine", name] if name else [])])

    assert isinstance(result.exception, _Reached), result.output
    assert asked == [name]


def test_faults_runs_with_the_engine_that_was_named(asked: list[str | None], tmp_path: Path) -> None:
    words = ["faults", "--backend", "redis", "--out", str(tmp_path), "--engine", "kserve-0.20"]
    result = CliRunner().invoke(app, words)

    assert isinstance(result.exception, _Reached), result.output
    assert asked == ["kserve-0.20"]


def test_faults_refuses_an_engine_that_cannot_run_its_mode(asked: list[str | None], tmp_path: Path) -> None:
    words = ("--backend", "redis", "--out", str(tmp_path), "--set", "lmcache.mode=multiprocess")
    code, output = invoke("faults", *words, "--engine", "kserve-0.18")

    assert code == 2
    assert "lmcache.mode" in output
    assert asked == []


@pytest.mark.parametrize("name", [None, "kserve-0.20"])
def test_the_report_names_the_engine(monkeypatch: pytest.MonkeyPatch, name: str | None) -> None:
    seen: dict[str, Any] = {}

    def target(**given: object) -> None:
        seen.update(given)
        raise _Reached

    monkeypatch.setattr(demo, "ensure_engine", lambda *_: None)
    monkeypatch.setattr(demo, "make_test_model", lambda *_: "/model")
    monkeypatch.setattr(demo, "LocalTarget", target)
    CliRunner().invoke(app, ["demo", *(["--engine", name] if name else [])])

    assert seen["chart_versions"].get("engine") == name
    assert {"chart", "helm"} <= seen["chart_versions"].keys()


def release(mode: str) -> Manifests:
    """A release in a mode."""
    metadata = {"name": "demo", "annotations": {"lmcache-kserve/mode": mode}}
    service = {"apiVersion": "serving.kserve.io/v1beta1", "kind": "InferenceService", "metadata": metadata}
    return Manifests.parse(yaml.safe_dump(service))


def judged(mode: str, expect: Expectation) -> str:
    """What is printed about an engine that has an expectation of mode in-process."""
    outlook = Outlook(expect, "" if expect == "runs" else "Its server is broken.", "run: here")
    console = Console(width=300)
    with console.capture() as capture:
        check_mode(
            replace(pair("kserve-0.20"), modes=MappingProxyType({"in-process": outlook})), release(mode), console
        )
    return capture.get()


def test_a_proof_that_is_expected_to_fail_says_so_first_and_runs() -> None:
    assert judged("in-process", "fails") == (
        "note: with engine kserve-0.20 the proof is expected to fail. Its server is broken.\n"
    )


@pytest.mark.parametrize(("mode", "expect"), [("in-process", "runs"), ("none", "impossible")])
def test_nothing_is_said_of_a_proof_that_is_expected_to_pass_or_has_no_lmcache(mode: str, expect: Expectation) -> None:
    assert not judged(mode, expect)


def test_a_mode_that_is_impossible_is_refused_with_the_reason() -> None:
    with pytest.raises(
        HarnessError, match=r"Engine kserve-0.20 cannot run lmcache.mode in-process. Its server is broken"
    ):
        judged("in-process", "impossible")


def test_values_of_an_engine_leave_the_server_to_the_local_run() -> None:
    with values_of(pair("kserve-0.18")) as (file,):
        assert yaml.safe_load(file.read_text()) == {
            "kserve": {"version": "0.18"},
            "lmcache": {"version": "0.4.2"},
            "runtime": {"vllmVersion": "0.19.0"},
        }
    assert not file.exists()
    with values_of(None) as files:
        assert files == ()


@contextmanager
def rendered(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[tuple[list[Any], str]]]:
    """The contents of the values files of every render, in their order, and the KServe whose schemas judge."""
    seen: list[tuple[list[Any], str]] = []
    real = Renderer.release

    def record(self: Renderer, *extra: str) -> Manifests:
        seen.append(([yaml.safe_load(file.read_text()) for file in self.values_files], self.kserve_version))
        return real(self, *extra)

    with monkeypatch.context() as patch:
        patch.setattr(Renderer, "release", record)
        yield seen


@pytest.mark.parametrize(("name", "kserve"), [("kserve-0.18", "0.18.1"), ("kserve-0.21", "0.20.0")])
def test_the_values_of_the_engine_lie_between_the_cpus_and_the_users(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, asked: list[str | None], name: str, kserve: str
) -> None:
    own = tmp_path / "own.yaml"
    own.write_text("lmcache: {version: 0.5.6}\n")

    with rendered(monkeypatch) as seen:
        CliRunner().invoke(app, ["demo", "--engine", name, "-f", str(own)])

    (cpu, of_engine, users), judge = seen[0]
    assert cpu["runtime"]["server"] == "vllm"
    assert of_engine["lmcache"] == {"version": pair(name).lmcache}
    assert users == {"lmcache": {"version": "0.5.6"}}
    assert judge == kserve
    assert asked == [name]
