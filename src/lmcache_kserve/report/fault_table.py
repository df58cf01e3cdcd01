"""What each remote backend's failures cost: the table of `lmcache-kserve faults`, and how it is written down."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

from lmcache_kserve.errors import HarnessError
from lmcache_kserve.evidence import Outage
from lmcache_kserve.local.scenarios import CORRUPTED, SERVER_KILLED, faults_of
from lmcache_kserve.report.fault_table_v1 import SCHEMA as EARLIER_SCHEMA
from lmcache_kserve.report.fault_table_v1 import converted
from lmcache_kserve.verdict import promises

SCHEMA = "lmcache-kserve/faults/v2"

Run = dict[str, Any]
"""What was measured of one backend in one mode with one client, as JSON values."""

Outcome = Literal["passed", "failed", "not judged", "not possible"]
Key = tuple[str, str, str, str]
"""Backend, mode, client and fault: what a row is about."""

_MIB = 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultRow:
    """One backend under one fault.

    Attributes:
        backend: the value of `remoteBackend.type`.
        mode: the value of `lmcache.mode`.
        client: what reaches the backend: `redis-py`, `direct`, `resp`, `fs`, ...
        fault: its name, one of `local.scenarios.faults_of`.
        requests: sent before, during and after the fault.
        failed: of them, how many had no answer; None where that could not be found out.
        wrong: of them, how many had another answer than before the fault; None as for `failed`.
        slowest_s: the longest time that a request took.
        hits_expected: whether LMCache's client is expected to use the backend again by itself.
        hits_returned_s: seconds from the end of the fault until a fresh prompt of one replica hit on another; None
            where it did not.
        memory_peak_bytes: most memory that the backend's processes used.
        corrupted: chunks that were changed in the backend and then asked for, by the kind of the change.
        unjudged: why no promise covers this row; None where one does.
        impossible: why the fault was not tried; None where it was.
        problem: why the row could not be filled; None for one that was.
    """

    backend: str
    mode: str
    client: str
    fault: str
    requests: int = 0
    failed: int | None = None
    wrong: int | None = None
    slowest_s: float | None = None
    hits_expected: bool = True
    hits_returned_s: float | None = None
    memory_peak_bytes: int = 0
    corrupted: int | None = None
    unjudged: str | None = None
    impossible: str | None = None
    problem: str | None = None

    @property
    def key(self) -> Key:
        """What the row is about."""
        return self.backend, self.mode, self.client, self.fault

    @property
    def hits_promised_s(self) -> float:
        """Seconds within which hits have to be back."""
        return promises.SERVER_HITS_BACK_S if self.fault == SERVER_KILLED else promises.HITS_BACK_S[self.backend]

    @property
    def faults(self) -> tuple[str, ...]:
        """Every promise that was missed, as a part of a sentence."""
        return tuple(self._missed()) if self.impossible is None else ()

    @property
    def outcome(self) -> Outcome:
        """What the row says."""
        if self.impossible is not None:
            return "not possible"
        if self.unjudged is not None:
            return "not judged"
        return "failed" if self.faults else "passed"

    def seen(self, outage: Outage) -> "FaultRow":
        """The row filled with what the clients saw."""
        return replace(
            self,
            requests=len(outage.answers),
            failed=sum(answer.error is not None for answer in outage.answers),
            wrong=sum(answer.error is None and not answer.correct for answer in outage.answers),
            slowest_s=max((answer.total_s for answer in outage.answers), default=None),
            hits_returned_s=outage.hits_returned_s,
        )

    def _missed(self) -> Iterator[str]:
        if self.problem is not None or self.failed is None or self.wrong is None or self.slowest_s is None:
            # Of a problem the first line: what follows are last lines of logs, which the run keeps whole.
            yield (self.problem or "no request was sent").partition("\n")[0]
            return
        if self.failed > promises.FAILED_REQUESTS:
            yield f"{self.failed} requests failed"
        if self.wrong > promises.WRONG_ANSWERS:
            yield f"{self.wrong} answers were wrong"
        if self.slowest_s > promises.SLOWEST_S:
            yield f"a request took longer than {promises.SLOWEST_S:g} s"
        if self.hits_expected and (self.hits_returned_s is None or self.hits_returned_s > self.hits_promised_s):
            yield f"hits were not back within {self.hits_promised_s:g} s"


def document(runs: Sequence[Run]) -> dict[str, Any]:
    """The table as JSON values; durations in seconds, sizes in bytes. A later run's row replaces an earlier one's."""
    last = {row.key: number for number, run in enumerate(runs) for row in rows_of(run)}
    kept = [
        {**run, "rows": [_written(row) for row in rows_of(run) if last[row.key] == number]}
        for number, run in enumerate(runs)
    ]
    kept = [run for run in kept if run["rows"]]
    outcomes = [one["outcome"] for run in kept for one in run["rows"]]
    return {"schema": SCHEMA, "passed": "passed" in outcomes and "failed" not in outcomes, "runs": kept}


def made_run(
    rows: Sequence[FaultRow],
    *,
    command: str,
    started: str,
    versions: Mapping[str, str],
    origin: Mapping[str, Any] | None,
) -> Run:
    """What was measured of one backend in one mode with one client.

    Args:
        rows: what was seen.
        command: the command line, without secrets.
        started: when, in ISO 8601.
        versions: what it was run with, by name.
        origin: what it was made from (`commands.origin.Origin`).
    """
    return {
        "command": command,
        "started": started,
        "versions": dict(versions),
        "origin": origin and dict(origin),
        "rows": [_written(one) for one in rows],
    }


def rows_of(run: Run) -> list[FaultRow]:
    """The rows of a run."""
    return [FaultRow(**{name: value for name, value in one.items() if name not in _DERIVED}) for one in run["rows"]]


def read(path: Path) -> list[Run]:
    """The runs of a table that `document` made; those of the first version have no origin.

    Raises:
        HarnessError: the file cannot be read or is none.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise HarnessError(f"cannot read --earlier {path}: {error}") from error
    schema = content.get("schema") if isinstance(content, dict) else None
    if schema not in {SCHEMA, EARLIER_SCHEMA}:
        raise HarnessError(f"--earlier {path} is no faults.json of this version ({SCHEMA})")
    runs: list[Run] = content["runs"]
    return runs if schema == SCHEMA else converted(runs)


def markdown(content: dict[str, Any]) -> str:
    """The page for people, from what `document` made."""
    runs = content["runs"]
    rows = [row for run in runs for row in rows_of(run)]
    table = "\n".join(_line(row) for row in sorted(rows, key=_place) if row.impossible is None)
    page = _PAGE.format(
        origins="\n".join(_origins(runs)), table=table, slowest=promises.SLOWEST_S, chunks=promises.CORRUPTED_CHUNKS
    )
    impossible = sorted((row for row in rows if row.impossible is not None), key=_place)
    return page + (_IMPOSSIBLE.format(table="\n".join(_reasons(impossible))) if impossible else "")


_DERIVED = {"outcome", "faults", "hits_promised_s"}
_PAGE = """\
# What happens when the remote backend fails

Each row breaks one backend in one way while two replicas answer steady traffic. Everything runs on one machine: the
table shows behaviour, and its times are those of that machine. `make faults` wrote this page. Which rows belong to the
chart of today, [promises.md](promises.md) says. It ran:

{origins}

What the columns say:

- **client**: what reaches the backend. `direct` is the chart's own and checks each chunk. The others are LMCache's.
- **no answer**, **wrong**: requests without an answer, and answers other than before the fault. Both are out of all
  requests before, during and after the fault.
- **slowest**: the longest time that a request took. At most {slowest:g} s are promised.
- **hits return**: the time from the end of the fault until one replica found a fresh prompt of the other, and what is
  promised.
- **memory peak**: the most memory that the backend's processes used.

In *corrupted*, stored chunks change while traffic goes on. Some have flipped bytes, some end early, and some hold the
content of another key. Replicas that have never seen these chunks then ask for them. A client with a checksum has to
answer right for {chunks:,} chunks. LMCache's own clients have no checksum: their row says what happened, and promises
nothing.

| backend | mode | client | fault | no answer | wrong | slowest | hits return | memory peak | |
|---|---|---|---|---|---|---|---|---|---|
{table}
"""
_IMPOSSIBLE = """
## What was not tried

| backend | mode | faults | why |
|---|---|---|---|
{table}
"""


def _written(row: FaultRow) -> dict[str, Any]:
    problem = row.problem and row.problem.partition("\n")[0]
    derived = {"outcome": row.outcome, "faults": list(row.faults), "hits_promised_s": row.hits_promised_s}
    return asdict(row) | {"problem": problem} | derived


def _place(row: FaultRow) -> tuple[int, int, str, int]:
    """Where a row stands in the table: modes apart, backends in the order of their promises."""
    backends, faults = list(promises.HITS_BACK_S), faults_of(row.mode)
    return row.mode != "in-process", backends.index(row.backend), row.client, faults.index(row.fault)


def _origins(runs: Sequence[Run]) -> Iterator[str]:
    subjects: dict[tuple[str, str], dict[str, None]] = {}
    for run in runs:
        versions = ", ".join(f"{name} {version}" for name, version in run["versions"].items())
        named = (f"{row.backend} {row.mode} by {row.client}" for row in rows_of(run))
        subjects.setdefault((run["command"], versions), {}).update(dict.fromkeys(named))
    for (command, versions), those in subjects.items():
        yield f"- `{command}` for {', '.join(those)}. Versions: {versions}."


def _line(row: FaultRow) -> str:
    fault = row.fault if row.corrupted is None else f"{row.fault}, {row.corrupted:,} chunks"
    if row.problem or row.slowest_s is None:
        cells = ["", "", "", "", ""]
    else:
        hits = row.hits_returned_s
        back = f"after {hits:.1f} s of {row.hits_promised_s:g} s" if hits is not None else "**never**"
        if not row.hits_expected:
            back = "when the replicas restart"
        cells = [
            f"{row.failed} of {row.requests}",
            f"{row.wrong} of {row.requests}",
            f"{row.slowest_s:.1f} s",
            back,
            f"{row.memory_peak_bytes / _MIB:.0f} MiB" if row.memory_peak_bytes else "",
        ]
    return f"| {' | '.join([row.backend, row.mode, row.client, fault, *cells, _mark(row)])} |"


def _mark(row: FaultRow) -> str:
    missed = "; ".join(row.faults).replace("|", "\\|")
    match row.outcome:
        case "passed":
            return "✓"
        case "not judged":
            return f"not judged: {row.unjudged}" + (f" ({missed})" if missed else "")
    return f"✗ {missed}"


def _reasons(rows: Sequence[FaultRow]) -> Iterator[str]:
    grouped: dict[tuple[str, str, str], list[str]] = {}
    for row in rows:
        grouped.setdefault((row.backend, row.mode, row.impossible or ""), []).append(row.fault)
    for (backend, mode, why), faults in grouped.items():
        yield f"| {backend} | {mode} | {', '.join(faults)} | {why} |"


NO_CHECKSUM = "no checksum; use client `direct`"
"""What a row of `CORRUPTED` says where nothing checks what was stored."""

NO_CHECKSUM_AT_ALL = "no checksum, and no client of this backend has one"


def unjudged(fault: str, *, has_checksums: bool, has_direct: bool) -> str | None:
    """Why a fault is not judged with a client; None where it is.

    Args:
        fault: its name.
        has_checksums: whether the client checks what it loads.
        has_direct: whether the backend has a client that does.
    """
    if fault != CORRUPTED or has_checksums:
        return None
    return NO_CHECKSUM if has_direct else NO_CHECKSUM_AT_ALL
