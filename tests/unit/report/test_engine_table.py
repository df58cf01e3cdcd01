"""The records of engines, and the tables that pages quote."""

from pathlib import Path

import pytest

from lmcache_kserve.engine.catalog import pairs
from lmcache_kserve.errors import HarnessError
from lmcache_kserve.report import engine_table
from lmcache_kserve.report.engine_table import Outcome, Record

PAIRS = pairs()


def record(engine: str = "kserve-0.20", mode: str = "in-process", outcome: Outcome = "passed") -> Record:
    """A record of an engine."""
    pair = PAIRS[engine]
    return Record(
        engine=engine,
        mode=mode,
        vllm=pair.vllm,
        lmcache=pair.lmcache,
        outcome=outcome,
        reason="" if outcome == "passed" else "Something was wrong.",
        command="lmcache-kserve demo",
        started="2026-11-28T10:00:00+00:00",
        duration_s=200.0,
        made_from="digest",
        chart="0.2.0",
        checks={"ttft": True, "restart-hit": True},
        median_ratio=8.25,
    )


def lines(records: list[Record], table: str) -> list[str]:
    """A table of these records alone."""
    return list(getattr(engine_table, table)({(one.engine, one.mode): one for one in records}, PAIRS))


def test_a_record_is_read_as_it_was_written(tmp_path: Path) -> None:
    path = engine_table.file_of(tmp_path, "kserve-0.20", "in-process")
    path.write_text(record().text, encoding="utf-8")

    assert engine_table.read(path) == record()


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"schema": "lmcache-kserve/engine/v1"}', '{"schema": "other"}'])
def test_a_file_that_is_no_record_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "kserve-0.20-in-process.json"
    path.write_text(text, encoding="utf-8")

    with pytest.raises(HarnessError, match=r"kserve-0.20-in-process.json is not a record of .*: delete it"):
        engine_table.read(path)


def test_engines_with_the_same_releases_share_a_record(tmp_path: Path) -> None:
    engine_table.file_of(tmp_path, "kserve-0.20", "in-process").write_text(record().text, encoding="utf-8")

    assert engine_table.read_all(tmp_path, PAIRS).keys() == {
        ("kserve-0.20", "in-process"),
        ("kserve-0.21", "in-process"),
        ("lmcache-0.5.1", "in-process"),
    }


def test_every_engine_has_its_row_and_every_outcome_its_words() -> None:
    rows = lines([record(), record(mode="multiprocess", outcome="failed")], "results")

    assert "| `kserve-0.20` | 0.24.0 | 0.5.1 | 2 checks passed, 8.2 times | failed |" in rows
    assert "| `lmcache-0.5.0` | 0.23.0 | 0.5.0 | not run yet | not run yet |" in rows
    assert len(rows) == 2 + len(PAIRS)


def test_a_foretold_outcome_has_the_reason_of_the_catalog_and_another_one_its_own() -> None:
    refused = record("kserve-0.15.1", outcome="refused")
    failed = record("cpu-image", "multiprocess", outcome="failed")
    rows = lines([refused, failed, record()], "reasons")

    assert f"- `kserve-0.15.1`, in-process: refused. {PAIRS['kserve-0.15.1'].modes['in-process'].reason}" in rows
    assert "- `cpu-image`, multiprocess: failed. Something was wrong." in rows
    assert not any(row.startswith("- `kserve-0.20`, in-process") for row in rows)
    assert "- `lmcache-0.5.0`, in-process: not run yet. Expected: runs." in rows


def test_a_release_of_kserve_whose_image_cannot_work_says_what_to_change() -> None:
    rows = lines(
        [record(), record(mode="multiprocess"), record("kserve-0.17", outcome="refused")], "releases_of_kserve"
    )

    assert "| 0.20 | 0.24.0 | 0.5.1 | mode in-process and multiprocess |" in rows
    assert "| 0.17 | 0.15.1 | 0.3.9 | name another image in `runtime.image` |" in rows


def test_pairs_that_passed_are_listed_once_with_all_their_images() -> None:
    rows = lines([record(), record("kserve-0.17", outcome="refused")], "proven_pairs")

    images = (
        "kserve/huggingfaceserver:v0.20.0-gpu",
        "kserve/huggingfaceserver:v0.21.0-gpu",
        "lmcache/vllm-openai:v0.5.1",
    )
    named = ", ".join(f"`{image}`" for image in images)
    assert rows[2:] == [f"| 0.24.0 | 0.5.1 | 2 checks passed, 8.2 times | not run yet | {named} |"]


def test_an_outcome_that_the_catalog_does_not_foretell_is_a_surprise() -> None:
    foretold = [record(), record("kserve-0.15.1", outcome="refused")]
    other = record("cpu-image", "multiprocess", outcome="failed")

    assert engine_table.surprises(foretold, PAIRS) == []
    assert engine_table.surprises([*foretold, other], PAIRS) == [
        "cpu-image, multiprocess: engines.yaml says runs, but the proof was failed. Something was wrong."
    ]
