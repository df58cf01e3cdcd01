"""Whether a second comparison agrees with what an earlier one stated."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from made_comparison import CONTROL, PRESSED, REDIS, comparison, measured

from lmcache_kserve.errors import HarnessError
from lmcache_kserve.evidence.comparison import Comparison
from lmcache_kserve.report.comparison import document
from lmcache_kserve.report.repeated import agreement, read
from lmcache_kserve.verdict.comparison import summarize


def written(folder: Path, seen: Comparison | None = None, **changes: Any) -> Path:
    file = folder / "compare.json"
    file.write_text(json.dumps(document(seen or comparison(), command="c") | changes), encoding="utf-8")
    return file


def test_a_run_agrees_with_itself(tmp_path: Path) -> None:
    found = agreement(read(written(tmp_path)), summarize(comparison()))
    assert str(found) == "6 of 6 loads lie within the intervals of the earlier run"


def test_a_load_outside_the_interval_is_named(tmp_path: Path) -> None:
    seen = comparison()
    slower = replace(
        seen.arms[2], measured=(measured(PRESSED, (0.5, 0.5), external=0.9), measured(CONTROL, (0.15, 0.15), own=0.9))
    )
    found = agreement(read(written(tmp_path)), summarize(replace(seen, arms=(*seen.arms[:2], slower))))
    assert found.outside == (f"{REDIS}, long-doc-qa-1024-1-above: 2.050, not 3.905 to 4.305",)
    assert str(found).startswith("5 of 6 loads")


def test_loads_that_only_one_of_them_has_do_not_count(tmp_path: Path) -> None:
    seen = comparison()
    found = agreement(read(written(tmp_path)), summarize(replace(seen, arms=seen.arms[:1])))
    assert found.shared == 2


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        pytest.param({"schema": "lmcache-kserve/rates/v1"}, "is no compare.json of this version", id="another report"),
        pytest.param({"complete": False}, "a comparison that did not end", id="partial"),
        pytest.param({"cells": [{}]}, "lacks what a comparison states", id="another form"),
    ],
)
def test_what_states_nothing_whole_is_refused(changes: dict[str, Any], says: str, tmp_path: Path) -> None:
    file = written(tmp_path, **changes)
    with pytest.raises(HarnessError, match=f"--against .*{says}"):
        read(file)


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(HarnessError, match="cannot read --against"):
        read(tmp_path / "none.json")
