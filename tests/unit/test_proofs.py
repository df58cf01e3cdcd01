"""The record of what was proven: what passes is in it, what fails is not, and what did not run stays."""

import json
from pathlib import Path
from typing import Any, Literal

import pytest
from proofs import PROPERTY, Recorder

PROVES = (PROPERTY, ("kind", "redis", "in-process"))


def phase(
    test: str, when: Literal["setup", "call", "teardown"], outcome: Literal["passed", "failed", "skipped"]
) -> Any:
    return pytest.TestReport(
        nodeid=test,
        location=("a.py", 1, test),
        keywords={},
        outcome=outcome,
        longrepr=None,
        when=when,
        user_properties=[PROVES],
    )


def recorded(path: Path, *phases: Any) -> list[str]:
    recorder = Recorder(path)
    for one in phases:
        recorder.pytest_runtest_logreport(one)
    recorder.pytest_sessionfinish()
    return [one["test"] for one in json.loads(path.read_text(encoding="utf-8"))]


def test_what_passed_is_kept_until_it_fails(tmp_path: Path) -> None:
    path = tmp_path / "proofs.json"
    whole = [phase("a", when, "passed") for when in ("setup", "call", "teardown")]
    assert recorded(path, *whole) == ["a"]
    assert recorded(path, phase("b", "setup", "passed"), phase("b", "call", "passed")) == ["a", "b"]
    assert recorded(path, phase("a", "setup", "passed"), phase("a", "call", "failed")) == ["b"]
    assert recorded(path, phase("c", "setup", "passed"), phase("c", "call", "skipped")) == ["b"]


def test_what_fails_while_it_is_taken_down_is_not_proven(tmp_path: Path) -> None:
    phases = [phase("a", "setup", "passed"), phase("a", "call", "passed"), phase("a", "teardown", "failed")]
    assert recorded(tmp_path / "proofs.json", *phases) == []
