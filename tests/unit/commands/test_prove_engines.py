"""`engines prove`: which proofs run, what is kept of them, and what the exit code says."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from typer.testing import CliRunner

from lmcache_kserve.cli import app
from lmcache_kserve.commands import demo, prove_engines
from lmcache_kserve.engine.find import ENGINE_VARIABLE
from lmcache_kserve.errors import HarnessError
from lmcache_kserve.report import engine_table
from lmcache_kserve.report.engine_table import Record

PASSES = {"checks": [{"id": "ttft", "passed": True, "summary": "Fast."}], "ttft": {"median_ratio": 9.0}}
FAILS = {"checks": [{"id": "ttft", "passed": False, "summary": "Slow."}], "ttft": {"median_ratio": 0.9}}


@pytest.fixture
def proofs(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any] | HarnessError]:
    """What the next proofs leave behind, first to last; nothing is installed or started."""
    upcoming: list[dict[str, Any] | HarnessError] = []

    def run(options: demo.Options, *, console: Console) -> bool:
        assert console
        assert options.out
        result = upcoming.pop(0)
        if isinstance(result, HarnessError):
            raise result
        options.out.mkdir(parents=True)
        (options.out / "report.json").write_text(json.dumps(result), encoding="utf-8")
        return all(check["passed"] for check in result["checks"])

    monkeypatch.setattr(demo, "run", run)
    monkeypatch.setattr(prove_engines, "ensure_engine", lambda *_: None)
    monkeypatch.delenv(ENGINE_VARIABLE, raising=False)
    return upcoming


def invoke(folder: Path, *arguments: str) -> tuple[int, str]:
    places = ["--records", str(folder / "records"), "--out", str(folder / "out")]
    result = CliRunner().invoke(app, ["engines", "prove", *arguments, *places])
    return result.exit_code, " ".join(result.output.split())


def kept(folder: Path, engine: str, mode: str = "in-process") -> Record:
    return engine_table.read(engine_table.file_of(folder / "records", engine, mode))


def test_each_mode_of_an_engine_is_proven_and_recorded(tmp_path: Path, proofs: list[Any]) -> None:
    proofs += [PASSES, PASSES]

    code, _ = invoke(tmp_path, "lmcache-0.5.0")

    assert code == 0
    record = kept(tmp_path, "lmcache-0.5.0", "multiprocess")
    assert (record.outcome, record.checks, record.median_ratio) == ("passed", {"ttft": True}, 9.0)
    assert record.command == (
        "lmcache-kserve demo --engine lmcache-0.5.0 --pairs=4 --prompt-tokens=9000 --no-baseline "
        "--set lmcache.mode=multiprocess"
    )
    assert kept(tmp_path, "lmcache-0.5.0").made_from != record.made_from


def test_an_engine_that_shares_its_releases_is_proven_under_the_first_name(tmp_path: Path, proofs: list[Any]) -> None:
    proofs += [PASSES, PASSES]

    assert invoke(tmp_path, "newest", "cpu-image")[0] == 0
    assert not proofs
    assert kept(tmp_path, "cpu-image").outcome == "passed"


def test_a_current_record_stands_until_it_is_asked_for_again(tmp_path: Path, proofs: list[Any]) -> None:
    proofs += [PASSES, PASSES]
    invoke(tmp_path, "lmcache-0.5.0")

    code, output = invoke(tmp_path, "lmcache-0.5.0")
    assert code == 0
    assert output.count("its record is current") == 2

    proofs += [PASSES, PASSES]
    invoke(tmp_path, "lmcache-0.5.0", "--again")
    assert not proofs


def test_a_record_of_other_values_is_made_again(tmp_path: Path, proofs: list[Any]) -> None:
    proofs += [PASSES, PASSES, PASSES, PASSES]
    invoke(tmp_path, "lmcache-0.5.0")

    invoke(tmp_path, "lmcache-0.5.0", "--set", "lmcache.chunkSize=128")

    assert not proofs


@pytest.mark.parametrize(
    ("result", "reason"),
    [(FAILS, "Slow."), (HarnessError("The predictor did not become ready.\nlog line"), "The predictor did not become")],
)
def test_a_proof_that_does_not_pass_is_recorded_and_the_rest_goes_on(
    tmp_path: Path, proofs: list[Any], result: Any, reason: str
) -> None:
    proofs += [result, PASSES]

    code, output = invoke(tmp_path, "lmcache-0.5.0")

    assert code == 1
    assert kept(tmp_path, "lmcache-0.5.0").outcome == "failed"
    assert kept(tmp_path, "lmcache-0.5.0").reason.startswith(reason)
    assert kept(tmp_path, "lmcache-0.5.0", "multiprocess").outcome == "passed"
    assert "engines.yaml says runs, but the proof was failed" in output


@pytest.mark.parametrize(
    ("engine", "mode", "reason"),
    [
        ("kserve-0.15.1", "in-process", "cannot be installed"),
        ("kserve-0.17", "in-process", "needs LMCache 0.4.2 or newer"),
        ("lmcache-0.4.7", "multiprocess", "needs LMCache 0.5.0 or newer"),
    ],
)
def test_what_is_refused_is_recorded_with_the_words_of_the_refusal(
    tmp_path: Path, proofs: list[Any], engine: str, mode: str, reason: str
) -> None:
    proofs += [PASSES]

    code, _ = invoke(tmp_path, engine)

    assert code == 0
    record = kept(tmp_path, engine, mode)
    assert (record.outcome, record.checks, record.duration_s) == ("refused", {}, 0.0)
    assert reason in record.reason


@pytest.mark.parametrize("earlier", [{}, {"reason": "another"}, {"outcome": "failed"}])
def test_a_refusal_keeps_its_time_as_long_as_it_says_the_same(
    tmp_path: Path, proofs: list[Any], earlier: dict[str, Any]
) -> None:
    proofs += [PASSES, PASSES]
    invoke(tmp_path, "lmcache-0.4.7")
    old = replace(kept(tmp_path, "lmcache-0.4.7", "multiprocess"), started="2026-01-01T00:00:00+00:00", **earlier)
    engine_table.file_of(tmp_path / "records", "lmcache-0.4.7", "multiprocess").write_text(old.text, encoding="utf-8")

    invoke(tmp_path, "lmcache-0.4.7")

    record = kept(tmp_path, "lmcache-0.4.7", "multiprocess")
    assert record.outcome == "refused"
    assert (record.started == old.started) is not bool(earlier)


def test_an_interrupted_run_goes_on_where_it_stopped(
    tmp_path: Path, proofs: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    real = demo.run
    proofs += [PASSES]

    def interrupted(options: demo.Options, *, console: Console) -> bool:
        if not proofs:
            raise KeyboardInterrupt
        return real(options, console=console)

    with monkeypatch.context() as patch:
        patch.setattr(demo, "run", interrupted)
        assert invoke(tmp_path, "lmcache-0.5.0")[0] == 130

    proofs += [PASSES]
    code, output = invoke(tmp_path, "lmcache-0.5.0")
    assert code == 0
    assert output.count("its record is current") == 1


def test_an_engine_of_the_environment_is_refused_before_any_proof(
    tmp_path: Path, proofs: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(ENGINE_VARIABLE, "/some/engine")
    proofs += [PASSES]

    code, output = invoke(tmp_path)

    assert code == 2
    assert ENGINE_VARIABLE in output
    assert len(proofs) == 1
