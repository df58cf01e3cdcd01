#!/usr/bin/env python3
"""Write the README's table of what was proven of each backend.

    uv run scripts/matrix.py            write the table
    uv run scripts/matrix.py --check    fail when the table is not what the reports say

The table comes from two reports. `pytest --proofs docs/reports/proofs.json` writes the first. `make faults` writes the
second, docs/reports/faults.json.
"""

import json
import sys
from collections.abc import Iterator

from tables import REPOSITORY, Tables, main

from lmcache_kserve.lmcache.backends import MULTIPROCESS, TRAITS
from lmcache_kserve.report import fault_table

PROOFS = REPOSITORY / "docs" / "reports" / "proofs.json"
FAULTS = REPOSITORY / "docs" / "reports" / "faults.json"
MODES = ("in-process", "multiprocess")
COLUMNS = {"rendered": "rendered, valid", "local": "on one machine", "kind": "on kind", "faults": "under faults"}


def outcomes() -> dict[tuple[str, str, str], str]:
    """The text of each cell with a result, by column (a key of `COLUMNS`), backend and mode."""
    proofs = json.loads(PROOFS.read_text(encoding="utf-8"))
    shown = {(one["how"], one["backend"], one["mode"]): "yes" for one in proofs}
    if FAULTS.exists():
        rows = [row for run in fault_table.read(FAULTS) for row in fault_table.rows_of(run)]
        survived: dict[tuple[str, str], bool] = {}
        for row in rows:
            if row.outcome in {"passed", "failed"}:
                key = (row.backend, row.mode)
                survived[key] = survived.get(key, True) and row.outcome == "passed"
        shown |= {("faults", *key): "yes" if passed else "failed" for key, passed in survived.items()}
    return shown


def tables() -> Tables:
    """The README's table."""
    return {("README.md", "scripts/matrix.py"): _lines(outcomes())}


def _lines(shown: dict[tuple[str, str, str], str]) -> Iterator[str]:
    yield f"| `remoteBackend.type` | `lmcache.mode` | {' | '.join(COLUMNS.values())} |"
    yield "|---" * (2 + len(COLUMNS)) + "|"
    for backend in ("none", *TRAITS):
        for mode in MODES:
            if mode == "multiprocess" and backend not in MULTIPROCESS | {"none"}:
                continue
            cells = (shown.get((how, backend, mode), "not run") for how in COLUMNS)
            yield f"| `{backend}` | {mode} | {' | '.join(cells)} |"


if __name__ == "__main__":
    sys.exit(main(__doc__ or "", tables))
