"""A release goes through every fault: the rows are what its clients saw."""

import io
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from fake_release import FakeClock, FakeTarget, Faults
from proving import QUICK
from rich.console import Console

from lmcache_kserve.commands import fault_rows
from lmcache_kserve.commands.fault_rows import Breaker
from lmcache_kserve.commands.progress import Stages
from lmcache_kserve.evidence import Answer
from lmcache_kserve.experiment.corruption import Loads
from lmcache_kserve.local.corruption import Files
from lmcache_kserve.local.scenarios import CORRUPTED, DOWN, FULL, KILLED, SERVER_KILLED, SLOW, faults_of
from lmcache_kserve.report.fault_table import FaultRow

CHUNK_BYTES = 2048


class Local(FakeTarget):
    """A fake release that says what `LocalTarget` says more."""

    def __init__(self, *, client: str, folder: Path | None = None, **release: Any) -> None:
        super().__init__(**release)
        self.settings = SimpleNamespace(
            client=client, has_checksums=client == "direct", shared_folder=str(folder) if folder else None
        )
        self.links = [SimpleNamespace(slow=lambda _: None, cut=lambda: None, mend=lambda: None)]
        self.started_with_backend: bool | None = None
        self.manifests = "the manifests"
        assert self.backend
        self.backend.resident_bytes = 7  # type: ignore[attr-defined]  # a local backend has it

    def start(self, *, backend: bool) -> None:
        self.started_with_backend = backend
        self.store.up = backend

    def stop(self) -> None:
        raise AssertionError("nothing failed")


class Chunks:
    """The chunks of a fake release, all of one content that can be changed."""

    def __init__(self, target: Local) -> None:
        self._target = target
        self.written: dict[bytes, bytes] = {}

    def names(self) -> list[bytes]:
        return [name.encode() for name in list(self._target.store.keys)]

    def read(self, name: bytes) -> bytes:
        return name * (CHUNK_BYTES // len(name))

    def write(self, name: bytes, content: bytes) -> bool:
        self.written[name] = content
        return True


def broken(target: Local, *faults: str, chunks: int = 22) -> dict[str, FaultRow]:
    with target, Stages(Console(file=io.StringIO())) as stages:
        clock = FakeClock()
        breaker = Breaker(target, QUICK, stages, chunks=chunks, clock=clock)  # type: ignore[arg-type]  # it stands for a LocalTarget
        return {row.fault: row for row in breaker.rows(faults)}


@pytest.fixture
def chunks(monkeypatch: pytest.MonkeyPatch) -> Callable[[Local], Chunks]:
    def of(target: Local) -> Chunks:
        made = Chunks(target)
        monkeypatch.setattr(fault_rows, "stored_in", lambda _: made)
        return made

    return of


@pytest.mark.parametrize(("mode", "client"), [("in-process", "direct"), ("multiprocess", "direct")])
def test_a_release_that_survives_passes_every_row(mode: str, client: str, chunks: Callable[[Local], Chunks]) -> None:
    target = Local(mode=mode, client=client)
    stored = chunks(target)
    rows = broken(target, *faults_of(mode))
    assert list(rows) == list(faults_of(mode))
    assert {name: row.faults for name, row in rows.items() if row.outcome != "passed"} == {}
    assert {row.client for row in rows.values()} == {client}
    assert rows[CORRUPTED].corrupted == 22
    assert len(stored.written) >= 22
    assert {row.memory_peak_bytes for row in rows.values()} <= {0, 7}
    assert target.started_with_backend is False


def test_without_the_fault_of_a_missing_backend_the_release_starts_with_it() -> None:
    target = Local(client="redis-py")
    assert broken(target, SLOW)[SLOW].outcome == "passed"
    assert target.started_with_backend is True
    assert DOWN not in broken(Local(client="redis-py"), SLOW)


def test_a_wrong_answer_fails_a_client_with_a_checksum_and_is_told_of_one_without(
    chunks: Callable[[Local], Chunks],
) -> None:
    for client, outcome in (("direct", "failed"), ("redis-py", "not judged")):
        target = Local(client=client, faults=Faults(wrong_text_when_warm=True))
        chunks(target)
        row = broken(target, CORRUPTED)[CORRUPTED]
        assert (row.outcome, row.wrong, row.failed) == (outcome, row.requests, 0)


def test_one_wrong_answer_among_the_changed_chunks_fails_the_row(monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = Answer(
        replica="predictor-1",
        request_id="lmk-1",
        at=datetime(2026, 1, 1, tzinfo=UTC),
        phase="during",
        error=None,
        correct=False,
        total_s=16.0,
    )
    monkeypatch.setattr(fault_rows, "stored_in", lambda _: None)
    monkeypatch.setattr(fault_rows, "load_corrupted", lambda *_, **__: Loads(chunks=5, answers=(wrong,)))
    row = broken(Local(client="direct"), CORRUPTED)[CORRUPTED]
    assert (row.corrupted, row.wrong) == (5, 1)
    assert row.faults == ("1 answers were wrong", "a request took longer than 15 s")


def test_a_client_without_a_checksum_is_not_asked_for_as_many(chunks: Callable[[Local], Chunks]) -> None:
    target = Local(client="redis-py")
    chunks(target)
    assert broken(target, CORRUPTED, chunks=1000)[CORRUPTED].corrupted == 44


def test_a_killed_server_of_lmcache_that_stays_away_fails_its_row() -> None:
    row = broken(Local(mode="multiprocess", client="resp", faults=Faults(server_stays_dead=True)), SERVER_KILLED)
    assert row[SERVER_KILLED].faults == ("hits were not back within 15 s",)


def test_replicas_restart_where_the_client_never_reconnects(monkeypatch: pytest.MonkeyPatch) -> None:
    target = Local(backend="lmcache-server", client="lm", client_reconnects=False)
    restarted: list[int] = []
    monkeypatch.setattr(target, "restart_replica", restarted.append)
    row = broken(target, KILLED)[KILLED]
    assert (row.outcome, row.hits_expected) == ("passed", False)
    assert sorted(restarted) == [0, 1]


def test_a_shared_folder_is_emptied_before_a_fault_and_cleaned_when_it_is_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "old.data").write_bytes(b"old")
    target = Local(backend="filesystem", client="fs", folder=tmp_path)
    seen: list[tuple[str, bool]] = []

    def is_full(place: Path) -> bool:
        seen.append(("full", (place / "old.data").exists()))
        return True

    monkeypatch.setattr(fault_rows, "is_full", is_full)
    monkeypatch.setattr(fault_rows, "clean", lambda manifests, place: seen.append((manifests, place == tmp_path)))
    assert broken(target, FULL)[FULL].outcome == "passed"
    assert seen == [("full", False), ("the manifests", True)]


def test_the_chunks_of_a_shared_folder_are_changed_and_make_room_for_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = Local(backend="filesystem", client="fs", folder=tmp_path)

    class Written(Files):
        def names(self) -> list[bytes]:
            for key in list(target.store.keys):
                (tmp_path / f"{key}.data").write_bytes(b"x" * CHUNK_BYTES)
            return super().names()

    monkeypatch.setattr(fault_rows, "stored_in", lambda _: Written(tmp_path))
    row = broken(target, CORRUPTED)[CORRUPTED]
    assert (row.corrupted, row.outcome, row.problem) == (22, "not judged", None)
    assert list(tmp_path.glob("*.data")) == []
