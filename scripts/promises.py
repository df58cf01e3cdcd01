#!/usr/bin/env python3
"""Write docs/promises.md: what a release is promised to do, the last value of each promise, and how old the value is.

    uv run scripts/promises.py            write the page
    uv run scripts/promises.py --check    fail when the page is not what the reports and the chart say

The values come from the reports below docs/reports. A value counts for the chart of today only where the chart still
renders what the value was measured with. So a change of the chart changes the page.
"""

import argparse
import functools
import json
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from tables import REPOSITORY

from lmcache_kserve.commands import soak
from lmcache_kserve.commands.origin import Origin, is_current, made_from
from lmcache_kserve.commands.preparation import prepared
from lmcache_kserve.commands.ways import MODES, Way, clients_of, with_clients
from lmcache_kserve.engine import catalog
from lmcache_kserve.engine.find import ENGINE_VARIABLE
from lmcache_kserve.errors import HarnessError
from lmcache_kserve.local.scenarios import CORRUPTED, faults_of, impossible
from lmcache_kserve.report import engine_table, fault_table, promise_sheet
from lmcache_kserve.report.fault_table import FaultRow
from lmcache_kserve.report.promise_sheet import NO_NUMBER, Promise, Section
from lmcache_kserve.verdict import CHECKS, promises
from lmcache_kserve.verdict.hits import HIT_SHARE

PAGE = REPOSITORY / "docs" / "promises.md"
REPORTS = REPOSITORY / "docs" / "reports"

_CHECKED_CLIENT = "direct"
"""The client whose corrupted chunks are judged."""


def sections(reports: Path) -> list[Section]:
    """The whole sheet, from a folder of reports."""
    return [
        *_of_faults(reports / "faults.json"),
        _of_demo(reports / "demo.json", reports / "scale-out.json"),
        _of_soak(reports / "soak.json"),
        _of_engines(reports / "engines"),
        _of_rates(reports / "rates.json"),
        _without_reports(),
    ]


@functools.cache
def _is_current(written: str, beneath: tuple[Path, ...] = ()) -> bool:
    """Whether an origin, as JSON, is that of today: many lines share one, and each look renders the chart."""
    return is_current(Origin.read(json.loads(written)), beneath=beneath)


def _current(origin: dict[str, Any] | None, *beneath: Path) -> bool:
    return _is_current(json.dumps(origin), beneath)


def _report(path: Path) -> dict[str, Any]:
    """A report; an empty one where there is none."""
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    return content


@dataclass(frozen=True, slots=True)
class _Broken:
    """What was measured of one way to reach a backend.

    Attributes:
        way: the way.
        faults: those that promises cover.
        rows: the last row of each of these faults that was tried.
        current: the faults whose row is of the chart of today.
    """

    way: Way
    faults: Sequence[str]
    rows: Sequence[FaultRow]
    current: frozenset[str]

    @property
    def name(self) -> str:
        return ", ".join(filter(None, (self.way.backend, self.way.mode, self.way.client)))

    @property
    def command(self) -> str:
        words = [f"--backend {self.way.backend}", f"--mode {self.way.mode}"]
        words += [f"--client {self.way.client}"] if self.way.client else []
        return f"make faults FAULTS_ARGS='{' '.join(words)}'"

    def promise(self, number: str, rows: Sequence[FaultRow], last: str, *, kept: bool) -> Promise:
        """A promise that these rows keep or miss; without all of them it is not measured."""
        if not rows:
            return Promise(what=self.name, number=number, command=self.command)
        missing = len(self.faults) - len(self.rows)
        told = f"{last}; {missing} of {len(self.faults)} faults not tried" if missing else last
        current = set(self.faults) <= self.current
        return Promise(what=self.name, number=number, command=self.command, last=told, kept=kept, current=current)


def _of_faults(path: Path) -> Iterator[Section]:
    runs = fault_table.read(path) if path.exists() else []
    measured = {row.key: (row, _current(run["origin"])) for run in runs for row in fault_table.rows_of(run)}
    broken = [_broken(way, measured) for way in with_clients((), MODES)]
    yield Section(
        "Failed requests in a fault",
        "[faults.md](faults.md) has a row for each fault. The count is of all requests before, during and after them.",
        [_counted(one, "failed") for one in broken],
    )
    yield Section(
        "Wrong answers in a fault",
        "Every answer is compared with the one before the fault.",
        [_counted(one, "wrong") for one in broken],
    )
    yield Section(
        "The slowest request in a fault", "This is the slowest of all faults.", [_slowest(one) for one in broken]
    )
    yield Section(
        "Hits after a fault",
        "The time runs from the end of a fault to the first hit on a fresh prompt of another replica. It is the "
        "longest of all faults after which LMCache's client finds its backend by itself.",
        [_hits(one) for one in broken],
    )
    checked = [_broken(way, measured, corrupted=True) for way in with_clients((), MODES) if _is_checked(way)]
    yield Section(
        "Corrupted chunks",
        "Stored chunks are flipped, cut or swapped, and then asked for. No answer may be wrong. Only the client "
        "`direct` has a checksum: nothing is promised of LMCache's own clients.",
        [_corrupted(one) for one in checked],
    )


def _is_checked(way: Way) -> bool:
    return way.client == _CHECKED_CLIENT


def _broken(way: Way, measured: dict[fault_table.Key, tuple[FaultRow, bool]], *, corrupted: bool = False) -> _Broken:
    named = clients_of(way.backend, way.mode)
    possible = [name for name in faults_of(way.mode) if impossible(way.backend, name) is None]
    faults = [CORRUPTED] if corrupted else [name for name in possible if name != CORRUPTED or _is_checked(way)]
    found = [
        (row, current)
        for row, current in measured.values()
        if (row.backend, row.mode) == (way.backend, way.mode)
        and (row.client == way.client if way.client else row.client not in named)
        and row.fault in faults
        and row.outcome in {"passed", "failed"}
    ]
    today = frozenset(row.fault for row, current in found if current)
    return _Broken(way, faults, [row for row, _ in found], today)


def _counted(one: _Broken, column: str) -> Promise:
    limit = promises.FAILED_REQUESTS if column == "failed" else promises.WRONG_ANSWERS
    rows = [row for row in one.rows if row.problem is None]
    count, requests = sum(getattr(row, column) or 0 for row in rows), sum(row.requests for row in rows)
    unread = len(one.rows) - len(rows)
    last = f"{count} of {requests}" + (f"; {unread} faults without a result" if unread else "")
    return one.promise(f"{limit}", one.rows, last, kept=count <= limit and not unread)


def _slowest(one: _Broken) -> Promise:
    rows = [row for row in one.rows if row.slowest_s is not None]
    slowest = max(rows, key=lambda row: row.slowest_s or 0.0, default=None)
    last = f"{slowest.slowest_s:.1f} s ({slowest.fault})" if slowest else ""
    kept = slowest is not None and (slowest.slowest_s or 0.0) <= promises.SLOWEST_S
    return one.promise(f"at most {promises.SLOWEST_S:g} s", rows, last, kept=kept)


def _hits(one: _Broken) -> Promise:
    rows = [row for row in one.rows if row.hits_expected and row.problem is None]
    number = f"within {promises.HITS_BACK_S[one.way.backend]:g} s"
    if one.way.mode == "multiprocess":
        number += f", {promises.SERVER_HITS_BACK_S:g} s after LMCache's server was killed"
    never = [row for row in rows if row.hits_returned_s is None]
    latest = max(rows, key=lambda row: row.hits_returned_s or 0.0, default=None)
    last = (
        f"never ({never[0].fault})" if never else f"{latest.hits_returned_s:.1f} s ({latest.fault})" if latest else ""
    )
    kept = not never and all((row.hits_returned_s or 0.0) <= row.hits_promised_s for row in rows)
    return one.promise(number, rows, last, kept=kept)


def _corrupted(one: _Broken) -> Promise:
    number = f"{promises.WRONG_ANSWERS} wrong, {promises.CORRUPTED_CHUNKS:,} chunks"
    row = next(iter(one.rows), None)
    last = f"{row.wrong} wrong of {row.requests} requests, {row.corrupted or 0:,} chunks" if row else ""
    made = one.promise(number, one.rows, last, kept=row is not None and row.outcome == "passed")
    enough = row is not None and (row.corrupted or 0) >= promises.CORRUPTED_CHUNKS
    return (
        made if enough or not made.current else Promise(what=made.what, number=number, command=made.command, last=last)
    )


_NUMBERS = {
    "cross-replica-hit": f"{HIT_SHARE:.0%} of the full chunks",
    "restart-hit": f"{HIT_SHARE:.0%} of the full chunks",
    "identical-output": "0 wrong",
    "backend-outage": "0 failed",
    "replica-kill": "0 failed after one retry",
    "ttft": f"{promises.TTFT_RATIO:g} times sooner",
    "scale-out": f"at most {promises.SCALE_OUT_RATIO:g} times an old replica's",
}
"""Of the checks whose promise is a number. The rule of each is in docs/report.md."""


def _of_demo(demo: Path, scale_out: Path) -> Section:
    lines = []
    titles = {check.id: check.title for check in CHECKS}
    for name, number in _NUMBERS.items():
        path, command = (scale_out, "make scale-out") if name == "scale-out" else (demo, "make record")
        report = _report(path)
        check = next((one for one in report.get("checks", ()) if one["id"] == name), None)
        lines.append(
            Promise(
                what=f"{titles[name]} (`{name}`)",
                number=number,
                command=command,
                last=check and check["summary"],
                kept=check and check["passed"],
                current=check is not None and _current(report.get("origin")),
            )
        )
    return Section(
        "A healthy release, and a killed replica", "[report.md](report.md#checks) has the rule of each check.", lines
    )


def _of_soak(path: Path) -> Section:
    report, lines = _report(path), []
    current = bool(report) and _current(report.get("origin"), soak.VALUES)
    for mode in MODES:
        command = "make soak" + ("" if mode == "in-process" else f" SOAK_ARGS='--set lmcache.mode={mode}'")
        found = report["invariants"] if report and report["mode"] == mode else []
        lines += [
            Promise(
                what=f"{one['name']} ({mode})",
                number=one["limit"],
                command=command,
                last=one["value"],
                kept=one["passed"],
                current=current,
            )
            for one in found
        ]
        if not found:
            lines.append(Promise(what=f"all of them ({mode})", number="as the others", command=command))
    return Section("A long time under random faults", "[soak.md](soak.md) has the schedule and the series.", lines)


def _of_engines(folder: Path) -> Section:
    pairs = catalog.pairs()
    records = engine_table.read_all(folder, pairs)
    lines = []
    for pair in pairs.values():
        if engine_table.proven_as(pair, pairs) is not pair:
            continue
        for mode, outlook in pair.modes.items():
            record = records.get((pair.name, mode))
            expected = engine_table.EXPECTED[outlook.expect]
            lines.append(
                Promise(
                    what=f"`{pair.name}`, {mode}",
                    number=expected,
                    command=f"make engines ENGINES_ARGS={pair.name}",
                    last=record and record.outcome,
                    kept=record and record.outcome == expected,
                    current=record is not None and record.made_from == _made_from_now(pair, mode),
                )
            )
    text = (
        "The promise is the outcome that [compatibility.md](compatibility.md) names. *refused* is a refusal at render."
    )
    return Section("Engines", text, lines)


def _made_from_now(pair: catalog.Pair, mode: str) -> str | None:
    """What a proof of the engine would be made from today; None where it would be refused."""
    settings = (f"lmcache.mode={mode}",)
    try:
        with prepared(pair.name, Console(quiet=True), values_files=(), settings=settings) as renderer:
            return made_from(renderer, pair)
    except HarnessError:
        return None


def _of_rates(path: Path) -> Section:
    arms = {(one["backend"], one["mode"], one["client"]): one for one in _report(path).get("arms", ())}
    lines = []
    for way in with_clients((), MODES):
        arm = arms.get((way.backend, way.mode, way.client))
        loads = [one for one in arm["cells"] if (one["how"], one["operation"]) == ("client", "get")] if arm else []
        best = max((one["gigabytes_per_s"] for one in loads), default=None)
        lines.append(
            Promise(
                what=", ".join(filter(None, (way.backend, way.mode, way.client))),
                number=NO_NUMBER,
                command="make rates",
                last=f"{best:.2f} GB/s" if best is not None else None,
                current=arm is not None and _current(arm.get("origin")),
            )
        )
    return Section(
        "How fast chunks are loaded", "The fastest load in [rates.md](rates.md). No number is promised yet.", lines
    )


def _without_reports() -> Section:
    checksum = f"below {promises.CHECKSUM_SHARE * 100:g} % of a load"
    lines = [
        Promise(what="start of LMCache's server", number=f"{promises.SERVER_START_S:g} s", command="make test-local"),
        Promise(
            what="end of LMCache's server with a drain",
            number=f"{promises.SERVER_START_S:g} s",
            command="make test-local",
        ),
        Promise(what="cost of the checksum of client `direct`", number=checksum, command="make rates"),
        Promise(
            what="upgrade and downgrade of the chart under traffic", number="0 failed", command="make test-cluster"
        ),
        Promise(what="a drained node, and hits across two nodes", number="0 failed", command="make test-cluster"),
    ]
    return Section("Without a report", "No command writes a report of these yet.", lines)


def main(arguments: Iterable[str] | None = None) -> int:
    """Write the page, or with `--check` compare it; returns the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="fail when the page is not up to date")
    only_check = parser.parse_args(None if arguments is None else list(arguments)).check
    os.environ.pop(ENGINE_VARIABLE, None)  # the page is the same whatever engine this machine has
    wanted = promise_sheet.markdown(sections(REPORTS))
    if only_check:
        return int(not PAGE.exists() or PAGE.read_text(encoding="utf-8") != wanted)
    PAGE.write_text(wanted, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
