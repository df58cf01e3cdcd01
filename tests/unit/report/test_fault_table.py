import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from lmcache_kserve.commands.faults import FAULTS, with_the_missing
from lmcache_kserve.errors import HarnessError
from lmcache_kserve.evidence import Answer, Outage
from lmcache_kserve.report.fault_table import FaultRow, document, markdown, read


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


def seen(*answers: Answer, hits_returned_s: float | None = 1.25, reconnects: bool = True) -> FaultRow:
    outage = Outage(
        answers=answers or (answer(),),
        client_reconnects=reconnects,
        down_s=3.0,
        hits_returned_s=hits_returned_s,
        probes=1,
    )
    empty = FaultRow(
        backend="redis", mode="in-process", fault="killed", hits_expected=reconnects, memory_peak_bytes=50 * 2**20
    )
    return empty.seen(outage)


def page(*rows: FaultRow) -> str:
    return markdown(document(rows, command="lmcache-kserve faults", versions={"lmcache": "0.5.6"}))


def test_a_row_passes_when_all_is_answered_and_hits_return() -> None:
    row = seen(answer(), answer(total_s=4.26))
    assert row.passed
    assert "| redis | in-process | killed | 0 of 2 | 4.3 s | after 1.2 s | 50 MiB | ✓ |" in page(row)


@pytest.mark.parametrize(
    "bad", [answer(error="no answer", correct=None), answer(correct=False)], ids=["no answer", "a wrong answer"]
)
def test_a_row_fails_by_one_request(bad: Answer) -> None:
    row = seen(answer(), bad)
    assert not row.passed
    assert "1 of 2" in page(row)
    assert "✗" in page(row)


def test_a_row_fails_when_hits_stay_away_from_a_client_that_should_reconnect() -> None:
    row = seen(hits_returned_s=None)
    assert not row.passed
    assert "**never**" in page(row)


def test_hits_may_stay_away_where_the_client_never_reconnects() -> None:
    row = seen(hits_returned_s=None, reconnects=False)
    assert row.passed
    assert "when the replicas restart" in page(row)


def test_a_row_that_could_not_be_filled_fails_and_says_why() -> None:
    problem = "the replicas | ended\nlast lines of their logs"
    row = FaultRow(backend="redis", mode="in-process", fault="full", problem=problem)
    assert not row.passed
    assert "| the replicas \\| ended |" in page(row)


def test_a_table_without_rows_has_not_passed() -> None:
    assert not document((), command="x", versions={})["passed"]


def test_the_rows_of_an_earlier_run_stay_unless_their_backend_was_tried_again(tmp_path: Path) -> None:
    failed = seen(answer(error="no answer", correct=None))
    first = document((failed, replace(seen(), backend="valkey")), command="first", versions={"lmcache": "0.5.6"})
    file = tmp_path / "faults.json"
    file.write_text(json.dumps(first), encoding="utf-8")
    both = document((seen(),), command="second", versions={"lmcache": "0.5.7"}, earlier=read(file))
    kept = {run["command"]: [row["backend"] for row in run["rows"]] for run in both["runs"]}
    assert kept == {"first": ["valkey"], "second": ["redis"]}
    assert (first["passed"], both["passed"]) == (False, True)
    assert "- `first` for valkey. Versions: lmcache 0.5.6.\n" in markdown(both)
    assert "- `second` for redis. Versions: lmcache 0.5.7.\n" in markdown(both)


@pytest.mark.parametrize("text", [None, "", "[]", '{"schema": "lmcache-kserve/report/v1"}'])
def test_a_file_that_is_no_table_is_refused_by_name(tmp_path: Path, text: str | None) -> None:
    file = tmp_path / "faults.json"
    if text is not None:
        file.write_text(text, encoding="utf-8")
    with pytest.raises(HarnessError, match=f"--earlier {file}"):
        read(file)


def test_an_error_in_the_middle_leaves_no_fault_out() -> None:
    def rows() -> Iterator[FaultRow]:
        yield seen_as(FAULTS[0])
        raise HarnessError("request 1 failed")

    filled = list(with_the_missing(rows(), backend="mooncake", mode="in-process"))
    assert [row.fault for row in filled] == list(FAULTS)
    assert filled[0].passed
    assert {(row.backend, row.problem) for row in filled[1:]} == {("mooncake", "the run ended: request 1 failed")}
    assert not any(row.passed for row in filled[1:])


def seen_as(fault: str) -> FaultRow:
    return replace(seen(), fault=fault)
