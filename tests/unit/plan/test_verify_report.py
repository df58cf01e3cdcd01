import json
from pathlib import Path
from typing import Any

import pytest

from lmcache_kserve.errors import HarnessError
from lmcache_kserve.plan import verify_report

PAIR = {"prompt_tokens": 3000, "hit_tokens": 2816, "warm_s": 0.5}
REPORT: dict[str, Any] = {
    "load": {"s_per_token": 0.0001, "compute_s_per_token": 0.001},
    "ttft": {"pairs": [PAIR, {**PAIR, "warm_s": 0.6}, {**PAIR, "warm_s": 0.9}]},
}


def written(folder: Path, report: object) -> Path:
    file = folder / "report.json"
    file.write_text(json.dumps(report), encoding="utf-8")
    return file


def test_a_hit_costs_what_loading_and_computing_leave(tmp_path: Path) -> None:
    seen = verify_report.read(written(tmp_path, REPORT))
    assert (seen.compute_s, seen.load_s, seen.tokens) == (0.001, 0.0001, 3000)
    assert seen.per_hit_s == pytest.approx(0.6 - 0.2816 - 0.184)


def test_a_hit_costs_nothing_less_than_nothing(tmp_path: Path) -> None:
    fast = {**REPORT, "ttft": {"pairs": [{**PAIR, "warm_s": 0.1}]}}
    assert verify_report.read(written(tmp_path, fast)).per_hit_s == 0


@pytest.mark.parametrize(
    ("report", "says"),
    [
        ([], "is not a report.json"),
        ({"load": None}, "is not a report.json"),
        ({**REPORT, "load": None}, "says nothing of loads"),
        ({**REPORT, "ttft": {"pairs": []}}, "says nothing of loads"),
        ({**REPORT, "load": 7}, "load is 7"),
        ({**REPORT, "load": {"s_per_token": 0.1}}, "load.compute_s_per_token is None"),
        ({**REPORT, "load": {**REPORT["load"], "compute_s_per_token": 0}}, "load.compute_s_per_token is 0"),
        ({**REPORT, "load": {**REPORT["load"], "s_per_token": 0}}, "load.s_per_token is 0"),
        ({**REPORT, "load": {**REPORT["load"], "s_per_token": -1}}, "load.s_per_token is -1"),
        ({**REPORT, "load": {**REPORT["load"], "s_per_token": float("nan")}}, "load.s_per_token is nan"),
        ({**REPORT, "load": {**REPORT["load"], "s_per_token": "fast"}}, "load.s_per_token is 'fast'"),
        ({**REPORT, "ttft": {"pairs": {"a": 1}}}, "ttft.pairs is {'a': 1}"),
        ({**REPORT, "ttft": {"pairs": ["x"]}}, r"ttft.pairs\[0\] is 'x'"),
        ({**REPORT, "ttft": {"pairs": [{}]}}, r"ttft.pairs\[0\].prompt_tokens is None"),
        ({**REPORT, "ttft": {"pairs": [PAIR, {**PAIR, "warm_s": None}]}}, r"ttft.pairs\[1\].warm_s is None"),
        ({**REPORT, "ttft": {"pairs": [{**PAIR, "hit_tokens": 3001}]}}, r"ttft.pairs\[0\].hit_tokens is 3001"),
        ({**REPORT, "ttft": {"pairs": [{**PAIR, "prompt_tokens": True}]}}, r"ttft.pairs\[0\].prompt_tokens is True"),
    ],
)
def test_a_report_that_does_not_say_is_refused(tmp_path: Path, report: object, says: str) -> None:
    with pytest.raises(HarnessError, match=f"--verify-report .* {says}"):
        verify_report.read(written(tmp_path, report))
