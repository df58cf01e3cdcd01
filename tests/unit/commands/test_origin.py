"""A measurement is current as long as the chart renders what it was made from."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from lmcache_kserve.commands.origin import Origin, is_current, made_from, origin_of
from lmcache_kserve.commands.preparation import prepared
from lmcache_kserve.engine import catalog
from lmcache_kserve.engine.find import ENGINE_VARIABLE

SETTINGS = ("lmcache.chunkSize=128",)
PASSWORD = "remoteBackend.redis.auth.password=correct-horse"  # noqa: S105 - no service has it


def origin(*, values: tuple[Path, ...] = (), settings: tuple[str, ...] = SETTINGS, **options: Any) -> Origin:
    with prepared(None, Console(quiet=True), values_files=values, settings=settings) as renderer:
        return origin_of(renderer, engine=None, values=values, settings=settings, **options)


def test_the_same_chart_and_values_are_current_and_read_back() -> None:
    made = origin()
    assert is_current(made)
    assert Origin.read(made.written) == made


def test_other_values_another_chart_or_another_engine_are_not_current(tmp_path: Path) -> None:
    made = origin()
    assert not is_current(replace(made, settings=("lmcache.chunkSize=64",)))
    assert not is_current(replace(made, made_from=f"0{made.made_from}"))
    assert not is_current(replace(made, values=(str(tmp_path / "absent.yaml"),)))
    assert not is_current(None)
    with prepared("lmcache-0.5.0", Console(quiet=True), values_files=(), settings=SETTINGS) as renderer:
        assert made_from(renderer, catalog.pair("lmcache-0.5.0")) != made.made_from


def test_values_that_the_chart_refuses_today_are_not_current() -> None:
    assert not is_current(replace(origin(), settings=("lmcache.noSuchValue=1",)))


def test_the_files_of_a_command_lie_beneath(tmp_path: Path) -> None:
    own = tmp_path / "own.yaml"
    own.write_text("lmcache:\n  chunkSize: 64\n", encoding="utf-8")
    with prepared(None, Console(quiet=True), values_files=(own,), settings=()) as renderer:
        made = origin_of(renderer, engine=None, values=(), settings=())
    assert is_current(made, beneath=(own,))
    assert not is_current(made)


def test_an_engine_that_the_project_did_not_install_is_never_current(monkeypatch: pytest.MonkeyPatch) -> None:
    assert origin(found=SimpleNamespace(device="cuda")).made_from is None
    monkeypatch.setenv(ENGINE_VARIABLE, "/opt/engine")
    made = origin()
    assert made.made_from is None
    assert not is_current(made)


def test_a_password_is_not_kept_and_changes_nothing() -> None:
    made = origin(settings=(*SETTINGS, PASSWORD)).without(["correct-horse"])
    assert made.settings == (*SETTINGS, "remoteBackend.redis.auth.password=***")
    assert is_current(made)
