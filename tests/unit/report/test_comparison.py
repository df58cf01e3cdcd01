"""The page and the report of a comparison."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from made_comparison import REDIS, answers, cell, comparison, measured

from lmcache_kserve.evidence.comparison import Comparison
from lmcache_kserve.report.comparison import document, markdown
from lmcache_kserve.report.comparison_plot import save_break_even_plot, save_load_plot
from lmcache_kserve.verdict.comparison import summarize


def page(seen: Comparison) -> str:
    return markdown(seen, command="lmcache-kserve compare")


def partial() -> Comparison:
    seen = comparison()
    return replace(seen, arms=(*seen.arms[:2], replace(seen.arms[2], measured=(), problem="it ended\nits log")))


def test_a_row_says_percentiles_gain_verdict_and_noise() -> None:
    written = page(comparison())
    assert (
        "| redis, in-process | 1024 | 1 | above | 32 | 0.269 (0.250 to 0.289) | 0.285 | 0.287 | 4.10 (3.90 to 4.31) "
        "| 4.00 (3.81 to 4.20) pays | 1.05 |"
    ) in written
    assert "| redis, in-process | 1024 | 1 | above | 0.53 | 547 | 0 %, 0 %, 90 % | 232 | 24 | 10.0, -, - |" in written


def test_the_control_says_that_offloading_does_not_pay_where_the_cache_is_large_enough() -> None:
    assert "Here it does not pay: the rows with pressure *below* show it." in page(comparison())
    seen = comparison()
    only = replace(seen, arms=tuple(replace(arm, measured=arm.measured[:1]) for arm in seen.arms))
    assert "So nothing shows when it does not pay." in page(only)


def test_a_whole_page_says_nothing_of_what_is_missing_and_a_partial_one_says_it_first() -> None:
    assert "not complete" not in page(comparison())
    written = page(partial())
    assert written.index("**This comparison is not complete.**") < written.index("What the columns say")
    assert f"- {REDIS}: it ended" in written
    assert f"| {REDIS} | 1024 | 1 | above | not measured |" in written
    seen = comparison()
    assert f"- {REDIS}: not reached." in page(replace(seen, arms=seen.arms[:2]))


def test_the_report_says_whether_it_is_whole_and_holds_every_request() -> None:
    whole = document(comparison(), command="c")
    assert (whole["complete"], whole["passed"]) == (True, True)
    assert len(whole["arms"][2]["measured"][0]["rounds"][1]["requests"]) == 16
    assert whole["cells"][4]["verdict"] == "pays"
    assert json.loads(json.dumps(whole)) is not None
    less = document(partial(), command="c")
    assert (less["complete"], less["passed"]) == (False, False)
    assert less["problems"] == {REDIS: "it ended\nits log"}


def test_a_different_answer_stands_on_the_page_and_in_the_report() -> None:
    seen = comparison()
    wrong = replace(seen, arms=(*seen.arms[:2], replace(seen.arms[2], answers=answers(warm=("a", "x")))))
    assert f"| {REDIS} | 2 | 1 | 2048 |" in page(wrong)
    assert "1 of 2 answers are not those without a cache" in page(wrong)
    assert document(wrong, command="c")["answers"][REDIS]["different"] == 1


@pytest.mark.parametrize("save", [save_load_plot, save_break_even_plot])
def test_a_plot_names_every_arm(save: object, tmp_path: Path) -> None:
    seen = comparison()
    loads = [cell(), cell(concurrency=4), cell(prompt_tokens=512)]
    arms = tuple(replace(arm, measured=tuple(measured(one, (0.2, 0.3)) for one in loads)) for arm in seen.arms)
    file = tmp_path / "plot.svg"
    assert callable(save)
    assert save(summarize(replace(seen, arms=arms)), file)
    drawn = file.read_text(encoding="utf-8")
    assert REDIS in drawn
    assert "<!-- prefix cache -->" in drawn


def test_without_anything_to_draw_no_plot_is_written(tmp_path: Path) -> None:
    seen = comparison(arms=())
    assert not save_load_plot(summarize(seen), tmp_path / "plot.svg")
    assert not (tmp_path / "plot.svg").exists()
