"""The first version of faults.json, read as the second one: no number changes, and no run has an origin."""

from collections.abc import Sequence
from typing import Any

SCHEMA = "lmcache-kserve/faults/v1"

_CLIENTS = {
    "in-process": {
        "redis": "redis-py",
        "valkey": "redis-py",
        "redis-sentinel": "redis-py",
        "lmcache-server": "lm",
        "mooncake": "mooncake",
    },
    "multiprocess": {"redis": "resp", "valkey": "resp", "redis-sentinel": "resp"},
}
"""The client that the chart selected by default when such a table was made."""


def converted(runs: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The runs of a table of the first version, one for each backend and mode."""
    found = []
    for run in runs:
        subjects = dict.fromkeys((row["backend"], row["mode"]) for row in run["rows"])
        for subject in subjects:
            rows = [_row(row) for row in run["rows"] if (row["backend"], row["mode"]) == subject]
            kept = {"command": run["command"], "started": None, "versions": run["versions"], "origin": None}
            found.append({**kept, "rows": rows})
    return found


def _row(row: dict[str, Any]) -> dict[str, Any]:
    """A row; the first version counted wrong answers among the failed requests."""
    names = ("backend", "mode", "fault", "requests", "failed", "slowest_s", "hits_expected", "hits_returned_s")
    kept = {name: row[name] for name in (*names, "memory_peak_bytes", "problem")}
    wrong = None if row["failed"] is None else 0
    return kept | {"client": _CLIENTS[row["mode"]][row["backend"]], "wrong": wrong}
