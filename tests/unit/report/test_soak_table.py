"""The page and the file of a soak."""

import json
from typing import Any

from made_soak import KILL, asked, soak

from lmcache_kserve.evidence.soak import Disturbed, Soak
from lmcache_kserve.report.soak_table import SCHEMA, document, markdown
from lmcache_kserve.verdict.soak import judge_soak


def written(seen: Soak) -> dict[str, Any]:
    content = document(seen, judge_soak(seen), command="lmcache-kserve soak --seed 22")
    again: dict[str, Any] = json.loads(json.dumps(content))
    assert again == json.loads(json.dumps(again))
    return again


def test_the_file_says_what_ran_and_whether_it_passed() -> None:
    content = written(soak())
    assert (content["schema"], content["passed"], content["seed"]) == (SCHEMA, True, 22)
    assert content["pool"] == {"prompts": 36, "chunks": 96, "unsteady_prompts": 0}
    assert content["requests"]["whole"] == {
        "count": 600,
        "failed": 0,
        "wrong": 0,
        "sent_again": 0,
        "median_s": 0.5,
        "slowest_s": 0.5,
    }
    assert content["schedule"][0] == {
        "at_s": 400.0,
        "lasts_s": 5.0,
        "faults": ["replica killed"],
        "began_s": 400.0,
        "over_s": 460.0,
        "hits_returned_s": 4.5,
        "problem": None,
    }
    memory = next(one for one in content["slopes"] if one["measure"] == "memory")
    assert len(memory["blocks"]) == 10
    assert memory["unit"] == "MiB"


def test_the_page_has_a_line_for_each_promise_disturbance_and_series() -> None:
    page = markdown(written(soak()))
    assert "| requests without an answer, beyond the one retry after a kill | 0 of 1800; 0 sent again | 0 | ✓ |" in page
    assert "| 800 s | 5.0 s | backend killed + network cut | 800 s | 805 s | after 12.0 s |" in page
    assert "| streamed | 600 | 0 | 0 | 0 | 0.50 s | 0.5 s |" in page
    assert "| memory | predictor-0/main, life 1 | 1300.0 MiB | +0.0 | 64.0 | 152 to 1198 | ✓ |" in page
    assert "✗" not in page
    assert "--seed 22" in page


def test_a_broken_promise_says_why_beside_its_mark() -> None:
    page = markdown(written(soak(asked=(asked(3, error="lost | found\nlast lines"),))))
    assert "✗ request lmk-3 (streamed) at 2 s on predictor-0: lost \\| found |" in page


def test_what_did_not_take_place_or_went_wrong_is_said() -> None:
    broken = Disturbed(planned=KILL, began_s=400.0, over_s=401.0, problem="it did not become ready\nlast lines")
    page = markdown(written(soak(disturbed=(broken,))))
    assert "| 400 s | 5.0 s | replica killed | 400 s | 401 s | it did not become ready |" in page
    assert "| did not take place |" in page


def test_hits_that_never_came_stand_out() -> None:
    never = Disturbed(planned=KILL, began_s=400.0, over_s=401.0)
    assert "| **never** |" in markdown(written(soak(disturbed=(never,))))
