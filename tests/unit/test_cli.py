import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from typer.testing import CliRunner

from lmcache_kserve.cli import app
from lmcache_kserve.commands import conclusion, demo, faults, verify
from lmcache_kserve.errors import HarnessError
from lmcache_kserve.experiment.measurement import Measurement

SECRET = "hunter's 2"  # noqa: S105 - of no server; with what a shell and JSON have to quote


def invoke(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, list(arguments))
    return result.exit_code, result.output


def test_a_missing_values_file_is_one_message_without_a_traceback(tmp_path: Path) -> None:
    code, output = invoke("demo", "-f", str(tmp_path / "absent.yaml"))
    assert code == 2
    assert "there is no values file" in output
    assert "Traceback" not in output


def test_a_value_that_the_schema_does_not_know_is_named_before_anything_starts() -> None:
    code, output = invoke("demo", "--set", "remoteBackend.tpye=redis")
    assert code == 2
    assert "tpye" in output


@pytest.mark.parametrize(
    ("argument", "complaint"),
    [("hf-secret", "NAME/KEY=VALUE"), ("/key=x", "NAME/KEY=VALUE"), ("hf-secret/NO_SUCH_VARIABLE", "which is not set")],
)
def test_a_secret_of_another_form_is_refused(argument: str, complaint: str) -> None:
    code, output = invoke("demo", "--secret", argument)
    assert code == 2
    assert complaint in " ".join(output.split())


def recorded(monkeypatch: pytest.MonkeyPatch, module: ModuleType, *arguments: str) -> Any:
    """The options that a command is run with."""
    seen: list[Any] = []

    def run(options: Any, **_: object) -> bool:
        seen.append(options)
        return True

    monkeypatch.setattr(module, "run", run)
    monkeypatch.setattr("sys.argv", ["lmcache-kserve", *arguments])
    code, output = invoke(*arguments)
    assert code == 0, output
    return seen[0]


def test_secrets_reach_the_run_but_not_the_reported_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_value")
    arguments = ["demo", "--secret", "redis-auth/password=pa=ss", "--secret", "hf-secret/HF_TOKEN"]
    options = recorded(monkeypatch, demo, *arguments)
    assert options.secrets == {"redis-auth": {"password": "pa=ss"}, "hf-secret": {"HF_TOKEN": "hf_value"}}
    assert options.command[2:] == ("--secret", "redis-auth/password=***", "--secret", "hf-secret/HF_TOKEN")


@pytest.mark.parametrize(
    ("module", "arguments"),
    [
        (demo, ("demo", "--secret", f"redis-auth/password={SECRET}")),
        (demo, ("demo", "--set", f"remoteBackend.redis.auth.password={SECRET}")),
        (demo, ("demo", f"--set=huggingFace.token={SECRET},remoteBackend.type=redis")),
        (faults, ("faults", "--out", "out", "--set", f"remoteBackend.type=redis,huggingFace.token={SECRET}")),
    ],
)
def test_no_secret_is_in_the_reported_command(
    monkeypatch: pytest.MonkeyPatch, module: ModuleType, arguments: tuple[str, ...]
) -> None:
    command = recorded(monkeypatch, module, *arguments).command
    assert "hunter" not in str(command)
    assert command[:2] == ("lmcache-kserve", arguments[0])


def test_no_secret_is_in_the_message_about_values_that_do_not_fit() -> None:
    _, output = invoke("demo", "--set", f"remoteBackend.redis.auth.password={SECRET}", "--set", "no.such=value")
    assert "no.such=value" in " ".join(output.split())
    assert "hunter" not in output


def test_too_few_pairs_are_refused() -> None:
    code, output = invoke("demo", "--pairs", "1")
    assert code == 2
    assert "--pairs" in output


@pytest.mark.parametrize(("passed", "code"), [(True, 0), (False, 1)])
def test_the_exit_code_says_whether_every_check_passed(
    monkeypatch: pytest.MonkeyPatch,
    passed: bool,  # noqa: FBT001 - pytest passes it by name
    code: int,
) -> None:
    monkeypatch.setattr(demo, "run", lambda _options, *, console: passed)  # noqa: ARG005 - the signature of what it replaces
    assert invoke("demo")[0] == code


@pytest.mark.parametrize(("passed", "code"), [(True, 0), (False, 1)])
def test_verify_passes_its_options_on_and_says_whether_every_check_passed(
    monkeypatch: pytest.MonkeyPatch,
    passed: bool,  # noqa: FBT001 - pytest passes it by name
    code: int,
) -> None:
    seen: list[verify.Options] = []

    def run(options: verify.Options, *, console: object) -> bool:  # noqa: ARG001 - as verify.run
        seen.append(options)
        return passed

    monkeypatch.setattr(verify, "run", run)
    assert (
        invoke(
            "verify",
            "demo",
            "-n",
            "llm",
            "--no-faults",
            "--context",
            "staging",
            "--pairs",
            "5",
            "--answer-tokens",
            "200",
        )[0]
        == code
    )
    assert (seen[0].release, seen[0].namespace, seen[0].context) == ("demo", "llm", "staging")
    assert (seen[0].measurement.pairs, seen[0].measurement.answer_tokens) == (5, 200)
    assert not seen[0].measurement.faults


@pytest.mark.parametrize(
    ("module", "arguments"),
    [(demo, ("demo",)), (faults, ("faults", "--out", "out")), (verify, ("verify", "llm"))],
    ids=["demo", "faults", "verify"],
)
def test_every_command_measures_what_the_defaults_say(
    monkeypatch: pytest.MonkeyPatch, module: ModuleType, arguments: tuple[str, ...]
) -> None:
    measurement = recorded(monkeypatch, module, *arguments).measurement
    # Verify alone waits for a longer answer: a deleted pod goes on answering for a while.
    assert replace(measurement, kill_answer_tokens=Measurement().kill_answer_tokens) == Measurement()


def test_an_earlier_table_of_faults_that_cannot_be_read_is_named_by_its_option(tmp_path: Path) -> None:
    code, output = invoke("faults", "--backend", "redis", "--out", str(tmp_path), "--earlier", str(tmp_path / "absent"))
    assert code == 2
    assert "cannot read --earlier" in output


@pytest.mark.parametrize("backend", ["infinistore", "custom", "reddis"])
def test_a_backend_that_cannot_be_broken_is_named_before_anything_starts(backend: str, tmp_path: Path) -> None:
    code, output = invoke("faults", "--backend", "redis", "--backend", backend, "--out", str(tmp_path))
    assert code == 2
    assert f"--backend={backend}" in output
    assert "mooncake" in output
    assert list(tmp_path.iterdir()) == []


class _Prepared(Exception):  # noqa: N818 - no error: as far as the test goes
    """The backends were rendered, and the run is about to begin."""


def test_by_default_every_backend_is_broken_and_each_renders(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def prepared(_: Path) -> None:
        raise _Prepared

    monkeypatch.setattr(conclusion, "prepare", prepared)
    result = CliRunner().invoke(app, ["faults", "--out", str(tmp_path)])
    assert isinstance(result.exception, _Prepared), result.output


def test_verify_without_a_kubeconfig_is_one_message(tmp_path: Path) -> None:
    code, output = invoke("verify", "demo", "--kubeconfig", str(tmp_path / "absent"))
    assert code == 2
    assert "there is no kubeconfig" in output
    assert "Traceback" not in output


def test_an_interruption_is_no_failure_of_the_proof(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object, **__: object) -> bool:
        raise KeyboardInterrupt

    monkeypatch.setattr(demo, "run", interrupted)
    assert invoke("demo")[0] == 130


def test_notes_of_a_failure_are_printed_below_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(*_: object, **__: object) -> bool:
        error = HarnessError("the predictor ended")
        error.add_note("last line of its [log]")
        raise error

    monkeypatch.setattr(demo, "run", failing)
    _, output = invoke("demo")
    assert "the predictor ended" in output
    assert "last line of its [log]" in output


@pytest.mark.parametrize("library", ["kubernetes", "matplotlib"])
def test_only_who_needs_a_large_library_waits_for_it(library: str) -> None:
    program = f"import sys, lmcache_kserve.cli; sys.exit({library!r} in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
