#!/usr/bin/env python3
"""Write the tables of engines and of model classes in docs/compatibility.md and README.md.

    uv run scripts/engines_page.py            write the tables
    uv run scripts/engines_page.py --check    fail when a table is not what the records say

The records of `make engines` lie in docs/reports/engines. engines/engines.yaml names the engines. The classes of models
come from docs/reports/proofs.json.
"""

import json
import sys
from collections.abc import Iterator

from tables import REPOSITORY, Tables, main

from lmcache_kserve.engine import catalog
from lmcache_kserve.report import engine_table

PAGE = "docs/compatibility.md"


def tables() -> Tables:
    """The tables of both pages."""
    pairs = catalog.pairs()
    records = engine_table.read_all(REPOSITORY / "docs" / "reports" / "engines", pairs)
    return {
        ("README.md", "scripts/engines_page.py"): engine_table.proven_pairs(records, pairs),
        (PAGE, "engines by mode"): engine_table.results(records, pairs),
        (PAGE, "reasons"): engine_table.reasons(records, pairs),
        (PAGE, "releases of KServe"): engine_table.releases_of_kserve(records, pairs),
        (PAGE, "classes of models"): _classes_of_models(),
    }


def _classes_of_models() -> Iterator[str]:
    """The table of what passed in tests/local/test_model_classes.py."""
    proofs = json.loads((REPOSITORY / "docs" / "reports" / "proofs.json").read_text(encoding="utf-8"))
    shown = [proof for proof in proofs if proof["how"] == "model"]
    if not shown:
        yield "Not run yet."
        return
    yield "| Class | On a CPU, in-process |"
    yield "|---|---|"
    for proof in shown:
        refused = "is_refused" in proof["test"]
        yield f"| {proof['backend']} | {'refused by name, served without cache' if refused else 'right answers'} |"


if __name__ == "__main__":
    sys.exit(main(__doc__ or "", tables))
