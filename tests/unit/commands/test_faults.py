"""`lmcache-kserve faults`: what it breaks, what it does not run again, and what an error leaves behind."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Self

import pytest
from rich.console import Console
from typer.testing import CliRunner

from lmcache_kserve.cli import app
from lmcache_kserve.commands import faults
from lmcache_kserve.commands.fault_rows import clean, with_the_missing, without_impossible
from lmcache_kserve.commands.preparation import prepared
from lmcache_kserve.commands.ways import BACKENDS, with_clients
from lmcache_kserve.errors import HarnessError
from lmcache_kserve.local.scenarios import CORRUPTED, FULL, faults_of
from lmcache_kserve.report.fault_table import FaultRow
from lmcache_kserve.verdict.promises import HITS_BACK_S

FAULTS = faults_of("in-process")
EMPTY = FaultRow(backend="redis", mode="in-process", client="direct", fault="")
PASSED = replace(EMPTY, requests=9, failed=0, wrong=0, slowest_s=1.0, hits_returned_s=1.0)


def rows(*made: FaultRow | HarnessError) -> Iterator[FaultRow]:
    for one in made:
        if isinstance(one, HarnessError):
            raise one
        yield one


def test_an_error_in_the_middle_leaves_no_fault_out() -> None:
    first = replace(PASSED, fault=FAULTS[0])
    filled = list(with_the_missing(rows(first, HarnessError("request 1 failed")), FAULTS, empty=EMPTY))
    assert [row.fault for row in filled] == list(FAULTS)
    assert [row.outcome for row in filled] == ["passed", *["failed"] * (len(FAULTS) - 1)]
    assert {row.problem for row in filled[1:]} == {"the run ended: request 1 failed"}


def test_what_no_machine_or_this_one_cannot_do_is_set_apart() -> None:
    reasons, possible = without_impossible(FAULTS, "filesystem", "not root")
    assert (reasons[FULL], possible) == ("not root", [CORRUPTED])
    assert without_impossible(FAULTS, "redis", None) == ({}, list(FAULTS))


def test_a_time_for_hits_is_promised_for_every_backend_that_runs_here() -> None:
    assert set(BACKENDS) == set(HITS_BACK_S)


@dataclass
class Machine:
    """Stands for engines and releases: says what was started."""

    started: list[tuple[str, Sequence[str]]] = field(default_factory=list)
    fails: set[str] = field(default_factory=set)
    interrupts: set[str] = field(default_factory=set)


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    """Every fault of every release takes no time, and passes unless the machine says otherwise."""
    seen = Machine()

    class Target:
        def __init__(self, *, directory: Path, **_: Any) -> None:
            self.name = directory.name
            self.settings = SimpleNamespace(shared_folder=None)
            self.backend_type = "redis"
            self.secrets = ()
            self.versions = {"lmcache": "0.5.6"}
            self.directory = directory
            self.log_files = ()

        def __enter__(self) -> Self:
            return self

        def __exit__(self, *_: object) -> None:
            pass

    class Breaker:
        def __init__(self, target: Target, *_: object, chunks: int) -> None:
            self._name, self._chunks = target.name, chunks
            self.empty = replace(EMPTY, client="direct" if "direct" in target.name else "redis-py")

        def rows(self, names: Sequence[str]) -> Iterator[FaultRow]:
            seen.started.append((self._name, names))
            for name in names:
                if name in seen.interrupts:
                    raise KeyboardInterrupt
                wrong = 1 if name in seen.fails else 0
                chunks = self._chunks if name == CORRUPTED else None
                client = self.empty.client
                yield replace(PASSED, fault=name, wrong=wrong, client=client, corrupted=chunks)

    monkeypatch.setattr(faults, "LocalTarget", Target)
    monkeypatch.setattr(faults, "Breaker", Breaker)
    monkeypatch.setattr(faults, "ensure_engine", lambda *_: SimpleNamespace(device="cpu"))
    monkeypatch.setattr(faults, "make_test_model", lambda *_: Path("/model"))
    monkeypatch.setattr(faults, "clean_up_after_others", lambda _: None)
    return seen


def invoke(out: Path, *arguments: str, earlier: bool = True) -> tuple[int, str]:
    held = out / "faults.json"
    before = ["--earlier", str(held)] if earlier and held.exists() else []
    words = ["faults", "--out", str(out), "--backend", "redis", "--mode", "in-process", *before, *arguments]
    result = CliRunner().invoke(app, words)
    return result.exit_code, " ".join(result.output.split())


def written(out: Path) -> list[dict[str, Any]]:
    runs = json.loads((out / "faults.json").read_text(encoding="utf-8"))["runs"]
    return [row for run in runs for row in run["rows"]]


def test_every_client_is_broken_in_every_way_and_the_run_says_what_it_depends_on(
    tmp_path: Path, machine: Machine
) -> None:
    code, output = invoke(tmp_path)
    assert code == 0, output
    assert machine.started == [("redis-in-process-redis-py", [*FAULTS]), ("redis-in-process-direct", [*FAULTS])]
    first, second = json.loads((tmp_path / "faults.json").read_text(encoding="utf-8"))["runs"]
    assert "remoteBackend.redis.client=direct" in second["origin"]["settings"]
    assert first["origin"]["made_from"] != second["origin"]["made_from"]
    assert [row["corrupted"] for row in second["rows"]][-1] == 1000


def test_what_passed_on_this_chart_is_not_run_again(tmp_path: Path, machine: Machine) -> None:
    machine.fails = {FULL}
    assert invoke(tmp_path, "--client", "direct")[0] == 1
    machine.fails, machine.started = set(), []
    code, output = invoke(tmp_path, "--client", "direct")
    assert (code, machine.started) == (0, [("redis-in-process-direct", [FULL])]), output
    assert {row["outcome"] for row in written(tmp_path)} == {"passed"}
    assert len(written(tmp_path)) == len(FAULTS)
    machine.started = []
    assert invoke(tmp_path, "--client", "direct")[0] == 0
    assert machine.started == []
    assert invoke(tmp_path, "--client", "direct", "--again")[0] == 0
    assert machine.started == [("redis-in-process-direct", [*FAULTS])]


def test_another_chart_or_more_chunks_are_run_again(tmp_path: Path, machine: Machine) -> None:
    invoke(tmp_path, "--client", "direct", "--corrupted", "100")
    machine.started = []
    invoke(tmp_path, "--client", "direct", "--corrupted", "200")
    assert machine.started == [("redis-in-process-direct", [CORRUPTED])]
    machine.started = []
    invoke(tmp_path, "--client", "direct", "--corrupted", "200", "--set", "lmcache.chunkSize=128")
    assert machine.started == [("redis-in-process-direct", [*FAULTS])]
    assert len(written(tmp_path)) == len(FAULTS)


def test_an_interrupted_run_goes_on_where_it_ended(tmp_path: Path, machine: Machine) -> None:
    machine.interrupts = {FULL}
    assert invoke(tmp_path, "--client", "direct")[0] == 130
    done = [row["fault"] for row in written(tmp_path)]
    assert done == [*FAULTS[: FAULTS.index(FULL)]]
    machine.interrupts, machine.started = set(), []
    assert invoke(tmp_path, "--client", "direct")[0] == 0
    assert machine.started == [("redis-in-process-direct", [name for name in FAULTS if name not in done])]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--client", "glide"), "--client=glide: choose among direct, redis-py"),
        (("--set", "lmcache.mode=multiprocess"), "--set lmcache.mode=multiprocess: give --mode instead"),
        (("--set", "remoteBackend.type=valkey"), "--set remoteBackend.type=valkey: give --backend instead"),
        (("--mode", "multi"), "--mode=multi: choose among in-process, multiprocess"),
    ],
)
def test_what_cannot_be_chosen_is_named(arguments: tuple[str, ...], message: str, tmp_path: Path) -> None:
    code, output = invoke(tmp_path, *arguments)
    assert code == 2
    assert message in output
    assert list(tmp_path.iterdir()) == []


def test_the_charts_own_cleaner_makes_room_in_a_full_folder(tmp_path: Path) -> None:
    chunks = [tmp_path / f"{number}.data" for number in range(120)]
    for chunk in chunks:
        with chunk.open("wb") as file:
            file.truncate(2**20)
    way = next(iter(with_clients(["filesystem"], ["in-process"])))
    with prepared(None, Console(quiet=True), values_files=(), settings=faults.settings_of(way)) as renderer:
        clean(renderer.release("model.id=model"), tmp_path)
    # 80 % of 128 MiB are the limit, and 90 % of them stay.
    assert sum(chunk.exists() for chunk in chunks) == 92


def test_a_release_without_a_cleaner_is_named(tmp_path: Path) -> None:
    way = next(iter(with_clients(["redis"], ["in-process"])))
    with (
        prepared(None, Console(quiet=True), values_files=(), settings=faults.settings_of(way)) as renderer,
        pytest.raises(HarnessError, match=r"cleaning\.enabled"),
    ):
        clean(renderer.release("model.id=model"), tmp_path)
