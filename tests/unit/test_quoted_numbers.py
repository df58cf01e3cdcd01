"""The pages of the site quote no measurement that a committed report does not hold.

A measurement is a number with a unit. It is found in a report below docs/reports, rounded as the page rounds it, in a
field whose name goes with the unit; or quoted_numbers.yaml says where it is stated instead. Tables that scripts write
stand between marks, and other tests compare them with the reports.
"""

import json
import re
from collections.abc import Iterable, Iterator
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

REPOSITORY = Path(__file__).resolve().parents[2]
# Written from reports as a whole. The chart's README, from values.yaml, holds settings alone.
GENERATED = {REPOSITORY / "docs" / f"{name}.md" for name in ("faults", "promises", "rates", "soak")}
PAGES = sorted(
    {page for pattern in ("*.md", "docs/*.md", "images/*/README.md") for page in REPOSITORY.glob(pattern)} - GENERATED
)
STATED = yaml.safe_load(Path(__file__).with_name("quoted_numbers.yaml").read_text(encoding="utf-8"))
"""Page -> quantity -> where it is stated: a file of the repository that holds the number, or an upstream source."""

MARKED = re.compile(r"<!-- (.+): begin -->\n.*?<!-- \1: end -->\n", re.DOTALL)
NUMBER = r"(?<![\w.,/-])\d[\d,]*(?:\.\d+)?"
QUANTITY = re.compile(
    rf"(?P<factor>factor of )?(?P<number>{NUMBER})(?(factor)|"
    r" ?(?P<unit>times|[GM]B/s|[TGM]i?B|ms|s|seconds?|minutes?|hours?|%|tokens/s|tokens a second|requests/s)(?![\w/]))"
)


class Unit(NamedTuple):
    """Which fields of a report a unit goes with, and how many of it one of the field's is."""

    field: str
    factor: str = "1"


UNITS = {
    "factor": Unit(r"ratio|bound"),
    "times": Unit(r"ratio|bound"),
    "%": Unit(r"share|ratio", "100"),
    "s": Unit(r"_s$|^seconds$"),
    "ms": Unit(r"_s$|^seconds$", "1000"),
    "minute": Unit(r"_s$|^seconds$", "1/60"),
    "GB/s": Unit(r"^gigabytes_per_s$"),
    "MB/s": Unit(r"^gigabytes_per_s$", "1000"),
    "GB": Unit(r"bytes", "1/1000000000"),
    "MB": Unit(r"bytes", "1/1000000"),
}


def fields(value: Any, name: str = "") -> Iterator[tuple[str, float]]:
    """Every number of a report, with the name of its field."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from fields(inner, key)
    elif isinstance(value, list):
        for inner in value:
            yield from fields(inner, name)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield name, value


REPORTED = [
    field
    for report in sorted((REPOSITORY / "docs" / "reports").rglob("*.json"))
    for field in fields(json.loads(report.read_text(encoding="utf-8")))
]


def quantities(text: str) -> set[tuple[str, str, str]]:
    """Each quantity of a page's own text: as it is written, its number, its unit."""
    return {
        (one[0], one["number"].replace(",", ""), "factor" if one["factor"] else one["unit"])
        for one in QUANTITY.finditer(MARKED.sub("", text))
    }


def is_reported(number: str, unit: str, reported: Iterable[tuple[str, float]] = REPORTED) -> bool:
    """Whether a report has the number in a field of the unit, rounded to as many places."""
    known = UNITS.get({"seconds": "s", "second": "s", "minutes": "minute"}.get(unit, unit))
    # A small whole number is in every report: `2 s` would be the age of anything.
    if known is None or ("." not in number and unit != "%"):
        return False
    top, _, bottom = known.factor.partition("/")
    place = Decimal(1).scaleb(-len(number.partition(".")[2]))
    return any(
        (Decimal(str(value)) * Decimal(top) / Decimal(bottom or "1")).quantize(place, ROUND_HALF_UP) == Decimal(number)
        for name, value in reported
        if re.search(known.field, name)
    )


def name(page: Path) -> str:
    return str(page.relative_to(REPOSITORY))


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_a_page_quotes_what_a_report_holds_or_says_where_it_is_stated(page: Path) -> None:
    stated = STATED.get(name(page), {})
    found = quantities(page.read_text(encoding="utf-8"))
    unknown = sorted(text for text, number, unit in found if text not in stated and not is_reported(number, unit))
    assert unknown == [], (
        f"add a report to docs/reports, or the source to {Path(__file__).stem.removeprefix('test_')}.yaml"
    )


def test_nothing_is_stated_that_no_page_quotes() -> None:
    stated = {(page, text) for page, numbers in STATED.items() for text in numbers}
    quoted = {(name(page), text) for page in PAGES for text, _, _ in quantities(page.read_text(encoding="utf-8"))}
    assert stated - quoted == set()


@pytest.mark.parametrize(
    ("page", "source"),
    [(page, source) for page, numbers in STATED.items() for sources in numbers.values() for source in sources],
)
def test_a_file_that_states_a_number_holds_it(page: str, source: dict[str, str]) -> None:
    if "in" in source:
        assert source["text"] in (REPOSITORY / source["in"]).read_text(encoding="utf-8"), page
    else:
        assert re.match(r"\S+[ /]\S+, \S+", source["upstream"]), page


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("It takes 3.56 s, then **0.33 s**.", {("3.56 s", "3.56", "s"), ("0.33 s", "0.33", "s")}),
        ("10.5 times, a factor of 1.03", {("10.5 times", "10.5", "times"), ("factor of 1.03", "1.03", "factor")}),
        ("1,024 MB at 2.5 GB/s", {("1,024 MB", "1024", "MB"), ("2.5 GB/s", "2.5", "GB/s")}),
        ("k3s of v1.5 has 2 sites and 4 stores", set()),
        ("<!-- a: begin -->\n3 s\n<!-- a: end -->\n4 s", {("4 s", "4", "s")}),
    ],
)
def test_a_number_with_a_unit_is_found(text: str, found: set[tuple[str, str, str]]) -> None:
    assert quantities(text) == found


@pytest.mark.parametrize(
    ("number", "unit", "expected"),
    [
        ("3.56", "s", True),
        ("3.6", "s", True),
        ("3.57", "s", False),
        ("3557.1", "ms", True),
        ("3.56", "times", False),
        ("3", "s", False),
        ("98", "%", True),
        ("97", "%", False),
        ("0.25", "GB", True),
    ],
)
def test_a_number_is_reported_as_the_page_rounds_it_and_in_its_unit(number: str, unit: str, *, expected: bool) -> None:
    reported = [("cold_s", 3.5571), ("gain_share", 0.977), ("bytes", 251_000_000)]
    assert is_reported(number, unit, reported) == expected
