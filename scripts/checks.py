#!/usr/bin/env python3
"""Write the tables of checks in README.md and docs/report.md, from the checks themselves.

uv run scripts/checks.py            write the tables
uv run scripts/checks.py --check    fail when a table is not what the checks say
"""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

from lmcache_kserve.verdict import CHECKS

REPOSITORY = Path(__file__).resolve().parent.parent
BEGIN, END = "<!-- scripts/checks.py: begin -->\n", "<!-- scripts/checks.py: end -->\n"
TABLES = {
    "README.md": ("Check", "What it proves", "title"),
    "docs/report.md": ("`id`", "passes when", "rule"),
}
"""By page: the headings of its table, and the field of a check that fills the second column."""


def page(name: str, text: str) -> str:
    """The text of a page with its table as the checks say.

    Raises:
        ValueError: the page lacks one of the two marks round the table.
    """
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{name} lacks {BEGIN.strip()} or {END.strip()}")
    return before + begin + "".join(f"{row}\n" for row in _rows(*TABLES[name])) + end + after


def _rows(first: str, second: str, field: str) -> Iterator[str]:
    yield f"| {first} | {second} |"
    yield "|---|---|"
    for check in CHECKS:
        yield f"| `{check.id}` | {getattr(check, field)} |"


def main() -> int:
    """Write or check; returns the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="fail when a table is not up to date")
    only_check = parser.parse_args().check
    stale = False
    for name in TABLES:
        path = REPOSITORY / name
        text = path.read_text(encoding="utf-8")
        try:
            wanted = page(name, text)
        except ValueError as error:
            sys.stderr.write(f"{error}\n")
            return 1
        stale = stale or text != wanted
        if not only_check:
            path.write_text(wanted, encoding="utf-8")
    return int(stale and only_check)


if __name__ == "__main__":
    sys.exit(main())
