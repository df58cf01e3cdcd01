"""`lmcache-kserve soak`: what it runs, what it refuses before anything starts, and how it ends."""

import io
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import made_soak
import pytest
import yaml
from made_soak import asked
from rich.console import Console
from typer.testing import CliRunner

from lmcache_kserve.chart.render import Renderer
from lmcache_kserve.cli import app
from lmcache_kserve.commands import soak
from lmcache_kserve.commands.sizes import SIZES, small
from lmcache_kserve.evidence.soak import Soak
from lmcache_kserve.local.scenarios import CUT, KILLED, RESTARTED, SLOW


def invoke(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["soak", *arguments])
    return result.exit_code, " ".join(result.output.split())


@pytest.mark.parametrize("backend", ["lmcache-server", "none"])
def test_a_backend_that_never_evicts_is_refused_by_its_value(backend: str, tmp_path: Path) -> None:
    code, output = invoke("--out", str(tmp_path), "--set", f"remoteBackend.type={backend}")
    assert code == 2
    assert f"remoteBackend.type={backend}: a soak needs a backend that can be made small and evicts" in output
    assert "redis, valkey, redis-sentinel, mooncake" in output


@pytest.mark.parametrize(("option", "value"), [("--minutes", "2"), ("--seed", "-1")])
def test_a_number_that_makes_no_soak_is_refused_by_its_option(option: str, value: str, tmp_path: Path) -> None:
    code, output = invoke("--out", str(tmp_path), option, value)
    assert code == 2
    assert option in output


def options(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> Any:
    """The options that the command is run with."""
    seen: list[Any] = []

    def run(given: Any, **_: object) -> bool:
        seen.append(given)
        return True

    monkeypatch.setattr(soak, "run", run)
    code, output = invoke("--out", "out", *arguments)
    assert code == 0, output
    return seen[0]


def test_by_default_it_lasts_twenty_minutes_with_another_seed_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = options(monkeypatch), options(monkeypatch)
    assert first.minutes == 20
    assert first.seed != second.seed
    assert options(monkeypatch, "--seed", "7").seed == 7


@pytest.mark.parametrize("mode", ["in-process", "multiprocess"])
@pytest.mark.parametrize("backend", sorted(set(SIZES) - {"mooncake"}))
def test_small_memory_and_a_small_backend_render_in_both_modes(backend: str, mode: str) -> None:
    settings = (f"remoteBackend.type={backend}", f"lmcache.mode={mode}", *small(backend))
    renderer = Renderer.for_demo(chart=None, values_files=(soak.VALUES,), settings=settings)
    assert renderer.release("model.id=model")
    assert renderer.baseline("model.id=model")


def test_the_values_keep_what_the_values_for_a_cpu_say_of_the_engine() -> None:
    cpu = yaml.safe_load((soak.VALUES.parents[3] / "values" / "cpu.yaml").read_text(encoding="utf-8"))
    arguments = yaml.safe_load(soak.VALUES.read_text(encoding="utf-8"))["model"]["extraArgs"]
    assert arguments[: len(cpu["model"]["extraArgs"])] == cpu["model"]["extraArgs"]


@dataclass
class FakeBackend:
    controllable: bool = True
    client_reconnects: bool = True

    def stop(self) -> None:
        """Nothing is broken here."""

    start = stop


@dataclass
class FakeTarget:
    backend: FakeBackend | None
    links: tuple[()] = ()


@pytest.mark.parametrize(
    ("backend", "faults"),
    [
        pytest.param(
            FakeBackend(),
            {f"backend {SLOW}", CUT, f"backend {RESTARTED}", f"backend {KILLED}"},
            id="one of the release",
        ),
        pytest.param(FakeBackend(client_reconnects=False), {f"backend {SLOW}", CUT}, id="lost for ever"),
        pytest.param(FakeBackend(controllable=False), set(), id="an external one"),
        pytest.param(None, set(), id="none"),
    ],
)
def test_the_faults_are_those_that_the_backend_can_have_and_survive(
    backend: FakeBackend | None, faults: set[str]
) -> None:
    assert {kind.name for kind in soak.backend_faults(FakeTarget(backend))} == faults  # type: ignore[arg-type]  # has what is asked


def concluded(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, seen: Soak) -> tuple[bool, str]:
    """How a run ends that saw this."""

    class Release:
        chunk_size = 256
        secrets = ("hunter2",)
        log_files = ()
        directory = tmp_path / "release"

    @contextmanager
    def target(*_: object, **__: object) -> Iterator[Release]:
        yield Release()

    machine = soak._Machine  # noqa: SLF001 - what runs an engine is replaced
    monkeypatch.setattr(machine, "target", target)
    monkeypatch.setattr(machine, "pool", lambda *_, **__: None)
    monkeypatch.setattr(machine, "soak", lambda *_: seen)
    monkeypatch.setattr(soak, "start", lambda *_: None)
    monkeypatch.setattr(soak, "ensure_engine", lambda *_: None)
    monkeypatch.setattr(soak, "make_test_model", lambda *_: "tiny")
    given = soak.Options(
        minutes=20,
        seed=22,
        values_files=(),
        settings=(),
        engine=None,
        chart=None,
        out=tmp_path / "out",
        command=("lmcache-kserve", "soak", "--set", "x=hunter2"),
    )
    words = io.StringIO()
    passed = soak.run(given, console=Console(file=words, width=500))
    return passed, words.getvalue()


def test_a_soak_that_kept_every_promise_ends_well_and_is_written_down(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    passed, output = concluded(monkeypatch, tmp_path, made_soak.soak())
    assert passed
    assert "seed: 22" in output
    assert "FAILED" not in output
    report = (tmp_path / "out" / "soak.json").read_text(encoding="utf-8")
    assert json.loads(report)["passed"]
    assert "hunter2" not in report + (tmp_path / "out" / "soak.md").read_text(encoding="utf-8")


def test_the_first_broken_promise_is_named_with_its_request_and_how_to_see_it_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    seen = made_soak.soak(asked=(asked(3, error="HTTP 500"), asked(4, wrong="rubbish")))
    passed, output = concluded(monkeypatch, tmp_path, seen)
    assert not passed
    assert "FAILED: requests without an answer, beyond the one retry after a kill: 1 of 2; 0 sent again" in output
    last = output.splitlines()[-2:]
    assert last[0].startswith("failed: requests without an answer")
    assert last[0].endswith("request lmk-3 (streamed) at 2 s on predictor-0: HTTP 500")
    assert last[1] == "again: the same schedule with --seed 22"
