#!/usr/bin/env python3
"""Write the tables of checks in README.md and docs/report.md, from the checks themselves.

uv run scripts/checks.py            write the tables
uv run scripts/checks.py --check    fail when a table is not what the checks say
"""

import sys
from collections.abc import Iterator

from tables import Tables, main

from lmcache_kserve.verdict import CHECKS

NAME = "scripts/checks.py"


def tables() -> Tables:
    """The table of each page."""
    return {
        ("README.md", NAME): _rows("Check", "What it proves", "title"),
        ("docs/report.md", NAME): _rows("`id`", "passes when", "rule"),
    }


def _rows(first: str, second: str, field: str) -> Iterator[str]:
    """A table with the headings `first` and `second`. A field of the check fills the second column."""
    yield f"| {first} | {second} |"
    yield "|---|---|"
    for check in CHECKS:
        yield f"| `{check.id}` | {getattr(check, field)} |"


if __name__ == "__main__":
    sys.exit(main(__doc__ or "", tables))
