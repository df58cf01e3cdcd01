"""What every run of the proof ends with, wherever the release runs: verdict, report and table."""

import shlex
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from lmcache_kserve import report
from lmcache_kserve.commands.origin import Origin
from lmcache_kserve.errors import HarnessError
from lmcache_kserve.evidence import Evidence
from lmcache_kserve.verdict import judge


def prepare(out: Path) -> None:
    """Make the report's folder before anything is measured for it.

    Raises:
        HarnessError: it cannot be made.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise HarnessError(f"cannot write to --out {out}: {error.strerror}") from error


def conclude(  # noqa: PLR0913 - all that a report says beside the evidence, by name
    evidence: Evidence,
    *,
    out: Path | None,
    command: Sequence[str],
    values_digest: str | None,
    console: Console,
    origin: Origin | None = None,
) -> bool:
    """Judge the evidence, write the report, print its table, and return whether every check passed.

    Args:
        evidence: what the experiment saw.
        out: the report's folder, or None for no report.
        command: the words of the command line, for the report; without secrets.
        values_digest: what identifies the chart's values, where they are known.
        console: where the table goes.
        origin: what the release was made from, where that is known.
    """
    results = judge(evidence)
    made = report.make(
        evidence,
        results,
        command=shlex.join(command),
        chart_values_digest=values_digest,
        origin=origin.written if origin else None,
    )
    if out:
        report.write(made, out)
        console.print(f"report: {out / 'report.html'}")
    console.print(report.table(made))
    return made.passed
