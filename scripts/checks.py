#!/usr/bin/env python3
"""Write the table of checks in docs/report.md, from the checks themselves.

uv run scripts/checks.py            write the table
uv run scripts/checks.py --check    fail when the table is not what the checks say
"""

import argparse
import sys
from pathlib import Path

from lmcache_kserve.verdict import CHECKS

PAGE = Path(__file__).resolve().parent.parent / "docs" / "report.md"
BEGIN, END = "<!-- scripts/checks.py: begin -->\n", "<!-- scripts/checks.py: end -->\n"


def table() -> str:
    """The table as Markdown."""
    rows = (f"| `{check.id}` | {check.rule} |" for check in CHECKS)
    return "\n".join(["| `id` | passes when |", "|---|---|", *rows]) + "\n"


def main() -> int:
    """Write or check; the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="fail when the table is not up to date")
    check = parser.parse_args().check
    before, begin, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    old, end, after = rest.partition(END)
    if not begin or not end:
        sys.stderr.write(f"{PAGE} lacks {BEGIN.strip()} or {END.strip()}\n")
        return 1
    if check:
        return int(old != table())
    PAGE.write_text(before + begin + table() + end + after, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
