"""What passing tests prove of each backend and class of models: kept in a file of which scripts make tables.

A test says what it proves with `@pytest.mark.proves(HOW, BACKEND, MODE)`. With `--proofs docs/reports/proofs.json` the
file gains what has passed and loses what has failed or was skipped; what was not asked for stays.
"""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import pytest

PROPERTY = "proves"
HOW = ("rendered", "local", "kind", "model")
"""Columns of the README's table: rendered and valid, the whole proof on this machine, the whole proof on a cluster.
With `model`, a row of docs/compatibility.md, which has a class of models in place of a backend."""


def mark(items: list[pytest.Item]) -> None:
    """Let the reports of the tests carry their marks, from xdist's workers as well."""
    for item in items:
        for marker in item.iter_markers(PROPERTY):
            how, backend, mode = marker.args
            assert how in HOW, item.nodeid
            item.user_properties.append((PROPERTY, (how, backend, mode)))


@dataclass(slots=True)
class Recorder:
    """Collects what was proven in a session, and writes it at the end.

    Attributes:
        path: the file.
        passed: whether the test with this id, which proves this, has passed so far.
    """

    path: Path
    passed: dict[tuple[str, str, str, str], bool] = field(default_factory=dict)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Take in a phase of a test."""
        for name, value in report.user_properties:
            if name == PROPERTY:
                how, backend, mode = cast("tuple[str, str, str]", value)
                key = (how, backend, mode, report.nodeid)
                self.passed[key] = self.passed.get(key, True) and report.passed

    def pytest_sessionfinish(self) -> None:
        """Write the file."""
        held = json.loads(self.path.read_text(encoding="utf-8")) if self.path.exists() else []
        proven = {(one["how"], one["backend"], one["mode"], one["test"]) for one in held}
        proven -= self.passed.keys()
        proven |= {key for key, passed in self.passed.items() if passed}
        rows = [dict(zip(("how", "backend", "mode", "test"), key, strict=True)) for key in sorted(proven)]
        self.path.write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")
