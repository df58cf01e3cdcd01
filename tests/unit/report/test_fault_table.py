import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from lmcache_kserve.errors import HarnessError
from lmcache_kserve.evidence import Answer, Outage
from lmcache_kserve.local.scenarios import CORRUPTED, SERVER_KILLED
from lmcache_kserve.report.fault_table import (
    NO_CHECKSUM,
    FaultRow,
    Run,
    document,
    made_run,
    markdown,
    read,
    rows_of,
    unjudged,
)
from lmcache_kserve.report.fault_table_v1 import SCHEMA as EARLIER

EMPTY = FaultRow(backend="redis", mode="in-process", client="redis-py", fault="killed", memory_peak_bytes=50 * 2**20)


def answer(*, error: str | None = None, correct: bool | None = True, total_s: float = 0.2) -> Answer:
    return Answer(
        replica="predictor-0",
        request_id="lmk-1",
        at=datetime(2026, 1, 1, tzinfo=UTC),
        phase="during",
        error=error,
        correct=correct,
        total_s=total_s,
    )


def seen(*answers: Answer, hits_returned_s: float | None = 1.25, **row: Any) -> FaultRow:
    outage = Outage(
        answers=answers or (answer(),),
        client_reconnects=True,
        down_s=3.0,
        hits_returned_s=hits_returned_s,
        probes=1,
    )
    return replace(EMPTY, **row).seen(outage)


def run_of(*rows: FaultRow, command: str = "lmcache-kserve faults", origin: Mapping[str, Any] | None = None) -> Run:
    versions = {"lmcache": "0.5.6"}
    return made_run(rows, command=command, started="2026-12-01T10:00:00+00:00", versions=versions, origin=origin)


def page(*rows: FaultRow) -> str:
    return markdown(document([run_of(*rows)]))


def test_a_row_passes_when_all_is_answered_in_time_and_hits_return() -> None:
    row = seen(answer(), answer(total_s=4.26))
    assert (row.outcome, row.faults) == ("passed", ())
    line = "| redis | in-process | redis-py | killed | 0 of 2 | 0 of 2 | 4.3 s | after 1.2 s of 10 s | 50 MiB | ✓ |"
    assert line in page(row)


@pytest.mark.parametrize(
    ("row", "missed", "cell"),
    [
        (seen(answer(), answer(error="no answer", correct=None)), "1 requests failed", "| 1 of 2 | 0 of 2 |"),
        (seen(answer(), answer(correct=False)), "1 answers were wrong", "| 0 of 2 | 1 of 2 |"),
        (seen(answer(total_s=15.2)), "a request took longer than 15 s", "| 15.2 s |"),
        (seen(hits_returned_s=None), "hits were not back within 10 s", "| **never** |"),
        (seen(hits_returned_s=10.1), "hits were not back within 10 s", "| after 10.1 s of 10 s |"),
    ],
    ids=["no answer", "a wrong answer", "a slow answer", "no hits", "late hits"],
)
def test_a_row_fails_by_one_promise_that_was_missed(row: FaultRow, missed: str, cell: str) -> None:
    assert (row.outcome, row.faults) == ("failed", (missed,))
    assert f"| ✗ {missed} |" in page(row)
    assert cell in page(row)
    assert not document([run_of(row)])["passed"]


@pytest.mark.parametrize(
    ("row", "promised"),
    [
        ({"backend": "valkey"}, 10),
        ({"backend": "redis-sentinel"}, 20),
        ({"backend": "lmcache-server"}, 15),
        ({"backend": "redis", "fault": SERVER_KILLED, "mode": "multiprocess"}, 15),
    ],
)
def test_each_backend_and_the_server_have_their_own_time(row: dict[str, str], promised: float) -> None:
    assert seen(hits_returned_s=promised, **row).outcome == "passed"
    assert seen(hits_returned_s=promised + 0.1, **row).outcome == "failed"


def test_hits_may_stay_away_where_the_client_never_reconnects() -> None:
    row = seen(hits_returned_s=None, hits_expected=False)
    assert row.outcome == "passed"
    assert "when the replicas restart" in page(row)


def test_a_row_that_could_not_be_filled_fails_and_says_why() -> None:
    row = replace(EMPTY, fault="full", problem="the replicas | ended\nlast lines of their logs")
    assert row.outcome == "failed"
    assert "✗ the replicas \\| ended |" in page(row)
    assert rows_of(document([run_of(row)])["runs"][0])[0].problem == "the replicas | ended"


def test_without_a_checksum_a_row_says_what_happened_and_is_not_judged() -> None:
    wrong = seen(answer(), answer(correct=False), fault=CORRUPTED, corrupted=1044, unjudged=NO_CHECKSUM)
    assert wrong.outcome == "not judged"
    line = "| corrupted, 1,044 chunks | 0 of 2 | 1 of 2 |"
    assert line in page(wrong)
    assert "| not judged: no checksum; use client `direct` (1 answers were wrong) |" in page(wrong)
    died = replace(EMPTY, fault=CORRUPTED, unjudged=NO_CHECKSUM, problem="predictor-1 ended")
    assert "not judged: no checksum; use client `direct` (predictor-1 ended)" in page(died)
    assert document([run_of(wrong, seen())])["passed"]


@pytest.mark.parametrize(
    ("fault", "has_checksums", "has_direct", "expected"),
    [
        (CORRUPTED, True, True, None),
        (CORRUPTED, False, True, NO_CHECKSUM),
        (CORRUPTED, False, False, "no checksum, and no client of this backend has one"),
        ("killed", False, False, None),
    ],
)
def test_only_corruption_and_only_without_a_checksum_is_not_judged(
    fault: str,
    has_checksums: bool,  # noqa: FBT001 - pytest passes it by name
    has_direct: bool,  # noqa: FBT001 - pytest passes it by name
    expected: str | None,
) -> None:
    assert unjudged(fault, has_checksums=has_checksums, has_direct=has_direct) == expected


def test_what_was_not_tried_stands_apart_with_its_reason() -> None:
    rows = [replace(EMPTY, backend="filesystem", fault=name, impossible="no server") for name in ("killed", "full")]
    shown = page(seen(), *rows)
    assert "| filesystem | in-process | full, killed | no server |" in shown
    assert shown.count("| filesystem |") == 1
    assert document([run_of(seen(), *rows)])["passed"]


def test_a_table_without_a_judged_row_has_not_passed() -> None:
    assert not document([])["passed"]
    assert not document([run_of(replace(EMPTY, impossible="no server"))])["passed"]


def test_a_row_takes_the_place_of_an_earlier_one_about_the_same_and_of_no_other(tmp_path: Path) -> None:
    failed = seen(answer(error="no answer", correct=None))
    others = [seen(fault="full"), seen(client="direct"), seen(mode="multiprocess")]
    first = document([run_of(failed, *others, command="first", origin={"made_from": "a"})])
    file = tmp_path / "faults.json"
    file.write_text(json.dumps(first), encoding="utf-8")
    both = document([*read(file), run_of(seen(), command="second")])
    kept = {run["command"]: rows_of(run) for run in both["runs"]}
    assert kept == {"first": others, "second": [seen()]}
    assert (first["passed"], both["passed"]) == (False, True)
    assert both["runs"][0]["origin"] == {"made_from": "a"}
    assert "- `second` for redis in-process by redis-py. Versions: lmcache 0.5.6.\n" in markdown(both)


def test_a_table_of_the_first_version_keeps_its_numbers_and_has_no_origin(tmp_path: Path) -> None:
    row = {
        "backend": "redis",
        "mode": "multiprocess",
        "fault": "network cut",
        "requests": 49,
        "failed": 0,
        "slowest_s": 53.4,
        "hits_expected": True,
        "hits_returned_s": 11.4,
        "memory_peak_bytes": 1,
        "problem": None,
        "passed": True,
    }
    runs = [{"command": "old", "versions": {}, "rows": [row, row | {"backend": "valkey"}]}]
    file = tmp_path / "faults.json"
    file.write_text(json.dumps({"schema": EARLIER, "passed": True, "runs": runs}), encoding="utf-8")
    content = document(read(file))
    assert [(run["origin"], run["started"]) for run in content["runs"]] == [(None, None)] * 2
    written = content["runs"][0]["rows"][0]
    assert {name: written[name] for name in row.keys() - {"passed"}} == {
        name: row[name] for name in row.keys() - {"passed"}
    }
    # It was measured before the promise was made, and misses it.
    assert (written["client"], written["wrong"], written["outcome"]) == ("resp", 0, "failed")
    assert not content["passed"]


@pytest.mark.parametrize("text", [None, "", "[]", '{"schema": "lmcache-kserve/report/v1"}'])
def test_a_file_that_is_no_table_is_refused_by_name(tmp_path: Path, text: str | None) -> None:
    file = tmp_path / "faults.json"
    if text is not None:
        file.write_text(text, encoding="utf-8")
    with pytest.raises(HarnessError, match=f"--earlier {file}"):
        read(file)
