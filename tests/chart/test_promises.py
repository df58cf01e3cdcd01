"""docs/promises.md says what the reports say, and no number in it is taken for one of today's chart that is older."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from loading import module_at
from rendering import REPOSITORY
from rich.console import Console

from lmcache_kserve.commands.faults import settings_of
from lmcache_kserve.commands.origin import origin_of
from lmcache_kserve.commands.preparation import prepared
from lmcache_kserve.commands.ways import Way
from lmcache_kserve.engine.find import ENGINE_VARIABLE
from lmcache_kserve.local.scenarios import CORRUPTED, faults_of
from lmcache_kserve.report.fault_table import FaultRow, document, made_run
from lmcache_kserve.report.promise_sheet import STALE, Promise, Section, markdown

WAY = Way("redis", "in-process", "direct")
NAME = "redis, in-process, direct"
FAULTS = ("Failed requests", "Wrong answers", "The slowest", "Hits after", "Corrupted")

Sheet = Callable[[list[FaultRow], dict[str, Any] | None], dict[str, Promise]]
"""The lines about one way that these rows make, by the beginning of their section's title."""


@pytest.fixture(scope="module")
def script() -> ModuleType:
    module_at(REPOSITORY / "scripts" / "tables.py")
    return module_at(REPOSITORY / "scripts" / "promises.py")


@pytest.fixture(scope="module")
def origin() -> dict[str, Any]:
    """What a row of faults would be made from today."""
    settings = settings_of(WAY)
    with prepared(None, Console(quiet=True), values_files=(), settings=settings) as renderer:
        return origin_of(renderer, engine=None, values=(), settings=settings).written


@pytest.fixture(autouse=True)
def _default_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(ENGINE_VARIABLE, raising=False)


def row(fault: str, **changes: Any) -> FaultRow:
    corrupted = 1003 if fault == CORRUPTED else None
    seen: dict[str, Any] = {"requests": 10, "failed": 0, "wrong": 0, "slowest_s": 2.0, "hits_returned_s": 3.0}
    seen |= {"corrupted": corrupted, **changes}
    return FaultRow(backend="redis", mode="in-process", client="direct", fault=fault, **seen)


@pytest.fixture
def sheet(script: ModuleType, tmp_path: Path) -> Sheet:
    def made(rows: list[FaultRow], origin: dict[str, Any] | None) -> dict[str, Promise]:
        run = made_run(rows, command="lmcache-kserve faults", started="2026-12-01", versions={}, origin=origin)
        (tmp_path / "faults.json").write_text(json.dumps(document([run])), encoding="utf-8")
        sections: list[Section] = list(script._of_faults(tmp_path / "faults.json"))  # noqa: SLF001 - the engines take long
        return {
            title: one
            for section in sections
            for title in FAULTS
            if section.title.startswith(title)
            for one in section.lines
            if one.what == NAME
        }

    return made


def test_the_page_is_what_the_reports_and_the_chart_say(script: ModuleType) -> None:
    committed = (REPOSITORY / "docs" / "promises.md").read_text(encoding="utf-8")
    assert committed == markdown(script.sections(REPOSITORY / "docs" / "reports")), "run scripts/promises.py"


def test_what_was_measured_on_this_chart_is_current_and_kept(sheet: Sheet, origin: dict[str, Any]) -> None:
    found = sheet([row(fault) for fault in faults_of("in-process")], origin)
    assert found.keys() == set(FAULTS)
    assert {one.current for one in found.values()} == {True}
    assert {one.kept for one in found.values()} == {True}
    assert found["Failed requests"].last == "0 of 70"
    assert found["The slowest"].last == "2.0 s (down at start)"
    assert found["Corrupted"].last == "0 wrong of 10 requests, 1,003 chunks"


@pytest.mark.parametrize("changed", [{"made_from": "another"}, {"settings": ["lmcache.chunkSize=128"]}, None])
def test_a_number_of_another_chart_or_of_none_is_stale(
    sheet: Sheet, origin: dict[str, Any], changed: dict[str, Any] | None
) -> None:
    rows = [row(fault) for fault in faults_of("in-process")]
    found = sheet(rows, None if changed is None else origin | changed)
    assert {one.current for one in found.values()} == {False}
    assert all(STALE in one.line for one in found.values())
    assert found["Failed requests"].last == "0 of 70"


def test_one_fault_that_is_missing_or_older_makes_the_line_stale(sheet: Sheet, origin: dict[str, Any]) -> None:
    some = [row(fault) for fault in faults_of("in-process")[1:]]
    found = sheet(some, origin)
    assert not found["Failed requests"].current
    assert found["Failed requests"].last == "0 of 60; 1 of 7 faults not tried"
    assert found["Corrupted"].current


@pytest.mark.parametrize(
    ("changes", "title", "last"),
    [
        ({"failed": 1}, "Failed requests", "1 of 70"),
        ({"wrong": 2}, "Wrong answers", "2 of 70"),
        ({"slowest_s": 15.1}, "The slowest", "15.1 s (killed)"),
        ({"hits_returned_s": 10.2}, "Hits after", "10.2 s (killed)"),
        ({"hits_returned_s": None}, "Hits after", "never (killed)"),
    ],
)
def test_one_row_that_misses_a_promise_shows_in_its_line(
    sheet: Sheet, origin: dict[str, Any], changes: dict[str, Any], title: str, last: str
) -> None:
    rows = [row(fault, **(changes if fault == "killed" else {})) for fault in faults_of("in-process")]
    found = sheet(rows, origin)
    assert (found[title].kept, found[title].last) == (False, last)
    assert [name for name, one in found.items() if not one.kept] == [title]


def test_fewer_corrupted_chunks_than_promised_are_not_measured(sheet: Sheet, origin: dict[str, Any]) -> None:
    rows = [row(fault) for fault in faults_of("in-process")[:-1]] + [row(CORRUPTED, corrupted=300)]
    corrupted = sheet(rows, origin)["Corrupted"]
    assert (corrupted.current, corrupted.kept) == (False, None)
    assert corrupted.last == "0 wrong of 10 requests, 300 chunks"


def test_a_record_of_an_engine_with_another_digest_is_stale(script: ModuleType, tmp_path: Path) -> None:
    name = "cpu-image-in-process.json"
    held = REPOSITORY / "docs" / "reports" / "engines"
    record = json.loads((held / name).read_text(encoding="utf-8"))
    for digest, current in ((record["made_from"], True), ("0" * 64, False)):
        folder = tmp_path / digest[:8]
        shutil.copytree(held, folder)
        (folder / name).write_text(json.dumps(record | {"made_from": digest}), encoding="utf-8")
        section = script._of_engines(folder)  # noqa: SLF001 - the others have nothing to do with it
        (line,) = [one for one in section.lines if one.what == "`cpu-image`, in-process"]
        assert line.current is current


def test_without_any_report_every_promise_says_that_it_was_not_measured(script: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "engines").mkdir()
    made = [one for section in script.sections(tmp_path) for one in section.lines]
    refused = [one for one in made if one.current]
    assert len(made) > 100
    assert refused == []
    assert {one.last for one in made} == {None}
