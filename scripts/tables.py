"""Generated tables in Markdown pages: each stands between two marks that name the script which writes it."""

import argparse
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent

Tables = Mapping[tuple[str, str], Iterable[str]]
"""The lines of each table, by the page, from the repository's root, and the table's name in its marks."""


def with_table(page: str, text: str, name: str, lines: Iterable[str]) -> str:
    """The text of a page with the table of a name replaced.

    Raises:
        ValueError: the page lacks one of the two marks round the table.
    """
    marks = [f"<!-- {name}: {place} -->\n" for place in ("begin", "end")]
    before, begin, rest = text.partition(marks[0])
    _, end, after = rest.partition(marks[1])
    if not begin or not end:
        raise ValueError(f"{page} lacks {' or '.join(mark.strip() for mark in marks)}")
    return before + begin + "".join(f"{line}\n" for line in lines) + end + after


def main(description: str, tables: Callable[[], Tables]) -> int:
    """Write the tables, or with `--check` compare them; returns the exit code.

    Args:
        description: the script's docstring; its first line is the help.
        tables: makes the tables.
    """
    parser = argparse.ArgumentParser(description=description.partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="fail when a table is not up to date")
    only_check = parser.parse_args().check
    stale = False
    for (page, name), lines in tables().items():
        path = REPOSITORY / page
        text = path.read_text(encoding="utf-8")
        try:
            wanted = with_table(page, text, name, lines)
        except ValueError as error:
            sys.stderr.write(f"{error}\n")
            return 1
        stale = stale or text != wanted
        if not only_check:
            path.write_text(wanted, encoding="utf-8")
    return int(stale and only_check)
