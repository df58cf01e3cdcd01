"""What each remote backend's failures cost: the table of `lmcache-kserve faults`, and how it is written down."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from lmcache_kserve.errors import HarnessError
from lmcache_kserve.evidence import Outage

SCHEMA = "lmcache-kserve/faults/v1"

Run = dict[str, Any]
"""One run of the command: its command line, its versions, and the rows that it filled, as JSON values."""

_MIB = 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultRow:
    """One backend under one fault.

    Attributes:
        backend: the value of `remoteBackend.type`.
        mode: the value of `lmcache.mode`.
        fault: its name, one of `commands.faults.FAULTS`.
        requests: sent before, during and after the fault.
        failed: of them, how many had no answer or a wrong one; None where that could not be found out.
        slowest_s: the longest time that a request took.
        hits_expected: whether LMCache's client is expected to use the backend again by itself.
        hits_returned_s: seconds from the end of the fault until a fresh prompt of one replica hit on another; None
            where it did not.
        memory_peak_bytes: most memory that the backend's processes used.
        problem: why the row could not be filled; None for one that was.
    """

    backend: str
    mode: str
    fault: str
    requests: int = 0
    failed: int | None = None
    slowest_s: float | None = None
    hits_expected: bool = True
    hits_returned_s: float | None = None
    memory_peak_bytes: int = 0
    problem: str | None = None

    @property
    def passed(self) -> bool:
        """Whether every request was answered correctly and hits returned where they are expected to."""
        return self.failed == 0 and (self.hits_returned_s is not None or not self.hits_expected)

    def seen(self, outage: Outage) -> "FaultRow":
        """The row filled with what the clients saw."""
        return replace(
            self,
            requests=len(outage.answers),
            failed=sum(answer.error is not None or not answer.correct for answer in outage.answers),
            slowest_s=max((answer.total_s for answer in outage.answers), default=None),
            hits_returned_s=outage.hits_returned_s,
        )


def document(
    rows: Sequence[FaultRow], *, command: str, versions: Mapping[str, str], earlier: Sequence[Run] = ()
) -> dict[str, Any]:
    """The table as JSON values; durations in seconds, sizes in bytes.

    Args:
        rows: what this run saw.
        command: the command line of this run.
        versions: what it was run with, by name.
        earlier: runs whose rows stay in the table, except those of a backend and mode that this run tried.
    """
    tried = {(one.backend, one.mode) for one in rows}
    runs = [
        {**run, "rows": [one for one in run["rows"] if (one["backend"], one["mode"]) not in tried]} for run in earlier
    ]
    # Of a problem the first line: what follows are last lines of logs, which the run keeps whole.
    seen = [
        asdict(one) | {"passed": one.passed, "problem": one.problem and one.problem.partition("\n")[0]} for one in rows
    ]
    runs = [run for run in (*runs, {"command": command, "versions": dict(versions), "rows": seen}) if run["rows"]]
    return {"schema": SCHEMA, "passed": bool(runs) and all(one["passed"] for one in _rows(runs)), "runs": runs}


def read(path: Path) -> list[Run]:
    """The runs of a table that `document` made.

    Raises:
        HarnessError: the file cannot be read or is none.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise HarnessError(f"cannot read --earlier {path}: {error}") from error
    if not isinstance(content, dict) or content.get("schema") != SCHEMA:
        raise HarnessError(f"--earlier {path} is no faults.json of this version ({SCHEMA})")
    runs: list[Run] = content["runs"]
    return runs


def markdown(content: dict[str, Any]) -> str:
    """The page for people, from what `document` made."""
    runs = "\n".join(_origin(run) for run in content["runs"])
    table = "\n".join(_line(one) for one in _rows(content["runs"]))
    return f"""\
# What happens when the remote backend fails

Each row breaks one backend in one way while two replicas answer steady traffic. Everything runs on one machine: the
table shows behaviour, and its times are those of that machine. `make faults` wrote this page. It ran:

{runs}

What the columns say:

- **requests failed**: requests without an answer or with a wrong one, of all before, during and after the fault.
- **slowest**: the longest time that a request took.
- **hits return**: the time from the end of the fault until one replica found a fresh prompt of the other.
- **memory peak**: the most memory that the backend's processes used.

| backend | mode | fault | requests failed | slowest | hits return | memory peak | |
|---|---|---|---|---|---|---|---|
{table}
"""


def _rows(runs: Sequence[Run]) -> list[dict[str, Any]]:
    return [one for run in runs for one in run["rows"]]


def _origin(run: Run) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in run["versions"].items())
    backends = ", ".join(dict.fromkeys(one["backend"] for one in run["rows"]))
    return f"- `{run['command']}` for {backends}. Versions: {versions}."


def _line(one: dict[str, Any]) -> str:
    if one["problem"]:
        cells = ["", "", one["problem"].replace("|", "\\|"), ""]
    else:
        hits = one["hits_returned_s"]
        back = f"after {hits:.1f} s" if hits is not None else "**never**"
        if not one["hits_expected"]:
            back = "when the replicas restart"
        cells = [
            f"{one['failed']} of {one['requests']}",
            f"{one['slowest_s']:.1f} s",
            back,
            f"{one['memory_peak_bytes'] / _MIB:.0f} MiB",
        ]
    mark = "✓" if one["passed"] else "✗"
    return f"| {' | '.join([one['backend'], one['mode'], one['fault'], *cells, mark])} |"
