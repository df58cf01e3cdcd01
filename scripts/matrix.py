#!/usr/bin/env python3
"""Write the README's table of what was proven of each backend.

    uv run scripts/matrix.py            write the table
    uv run scripts/matrix.py --check    fail when the table is not what the reports say

The table comes from two reports. `pytest --proofs docs/reports/proofs.json` writes the first. `make faults` writes the
second, docs/reports/faults.json.
"""

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path

from lmcache_kserve.lmcache.backends import MULTIPROCESS, TRAITS
from lmcache_kserve.report import fault_table

REPOSITORY = Path(__file__).resolve().parent.parent
README = REPOSITORY / "README.md"
PROOFS = REPOSITORY / "docs" / "reports" / "proofs.json"
FAULTS = REPOSITORY / "docs" / "reports" / "faults.json"
BEGIN, END = "<!-- scripts/matrix.py: begin -->\n", "<!-- scripts/matrix.py: end -->\n"
MODES = ("in-process", "multiprocess")
COLUMNS = {"rendered": "rendered, valid", "local": "on one machine", "kind": "on kind", "faults": "under faults"}


def outcomes() -> dict[tuple[str, str, str], str]:
    """The text of each cell with a result, by column (a key of `COLUMNS`), backend and mode."""
    proofs = json.loads(PROOFS.read_text(encoding="utf-8"))
    shown = {(one["how"], one["backend"], one["mode"]): "yes" for one in proofs}
    if FAULTS.exists():
        rows = [row for run in fault_table.read(FAULTS) for row in run["rows"]]
        survived: dict[tuple[str, str], bool] = {}
        for row in rows:
            key = (row["backend"], row["mode"])
            survived[key] = survived.get(key, True) and row["passed"]
        shown |= {("faults", *key): "yes" if passed else "failed" for key, passed in survived.items()}
    return shown


def table() -> str:
    """The table as Markdown."""
    shown = outcomes()

    def lines() -> Iterator[str]:
        yield f"| `remoteBackend.type` | `lmcache.mode` | {' | '.join(COLUMNS.values())} |"
        yield "|---" * (2 + len(COLUMNS)) + "|"
        for backend in ("none", *TRAITS):
            for mode in MODES:
                if mode == "multiprocess" and backend not in MULTIPROCESS | {"none"}:
                    continue
                cells = (shown.get((how, backend, mode), "not run") for how in COLUMNS)
                yield f"| `{backend}` | {mode} | {' | '.join(cells)} |"

    return "\n".join(lines()) + "\n"


def main() -> int:
    """Write or check the table; returns the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="fail when the README's table is not up to date")
    check = parser.parse_args().check
    text = README.read_text(encoding="utf-8")
    before, begin, rest = text.partition(BEGIN)
    old, end, after = rest.partition(END)
    if not begin or not end:
        sys.stderr.write(f"README.md lacks {BEGIN.strip()} or {END.strip()}\n")
        return 1
    new = table()
    if check:
        return int(old != new)
    README.write_text(before + begin + new + end + after, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
