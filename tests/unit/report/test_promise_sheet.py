from dataclasses import replace

from lmcache_kserve.report.promise_sheet import NO_NUMBER, STALE, Promise, Section, markdown

KEPT = Promise(what="redis", number="0", command="make faults", last="0 of 9", kept=True, current=True)


def page(*lines: Promise) -> str:
    return markdown([Section("Failed requests", "A sentence.", lines)])


def test_a_line_says_what_is_promised_the_last_value_and_that_it_is_of_today() -> None:
    assert "| redis | 0 | 0 of 9 | ✓ | yes | `make faults` |" in page(KEPT)


def test_an_old_value_and_no_value_both_say_that_this_chart_was_not_measured() -> None:
    assert f"| redis | 0 | 0 of 9 | ✓ | {STALE} | `make faults` |" in page(replace(KEPT, current=False))
    assert f"| redis | 0 | none |  | {STALE} | `make faults` |" in page(
        replace(KEPT, last=None, kept=None, current=False)
    )


def test_the_head_counts_what_is_current_and_what_was_missed() -> None:
    missed = replace(KEPT, kept=False)
    text = page(KEPT, missed, replace(missed, current=False), replace(KEPT, number=NO_NUMBER, kept=None))
    assert (
        "**2 of 3 promises were measured on the chart of today: 1 of them were missed.** 1 of the older\nvalues" in text
    )
    assert text.count("| ✗ |") == 2


def test_a_bar_in_a_value_does_not_end_its_cell() -> None:
    assert "a \\| b" in page(replace(KEPT, last="a | b"))
