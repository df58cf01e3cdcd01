"""The report in a terminal."""

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from lmcache_kserve.report.document import Report


def table(report: Report) -> RenderableType:
    """The verdict as a table, with the TTFT, the failures, their causes and the result below the table."""
    return Group(
        _checks(report), *_numbers(report), *_load(report), *_failures(report), *_causes(report), _last_line(report)
    )


def _checks(report: Report) -> Table:
    subject = report.evidence.subject
    table = Table(
        title=f"{subject.model_name} on {subject.kind}, LMCache {subject.mode}, backend {subject.backend_type}",
        title_justify="left",
        title_style="bold",
        show_lines=False,
        expand=True,
    )
    table.add_column("", width=2)
    table.add_column("check", no_wrap=True, style="bold")
    table.add_column("what was seen", ratio=1)
    for row in report.rows:
        name = row.check.id
        if row.result is None:
            cells = (Text("-"), Text(name), Text(f"not applicable: {row.reason}"))
            table.add_row(*cells, style="dim")
        else:
            mark = Text("✓", style="green") if row.result.passed else Text("✗", style="bold red")
            table.add_row(mark, name, Text(row.result.seen))
    return table


def _failures(report: Report) -> list[Text]:
    """The failures once more: of a long log, CI systems show the end."""
    return [Text(f"✗ {result.id}: {result.seen}", style="red") for result in report.failed]


def _causes(report: Report) -> list[Text]:
    return [Text(f"→ {cause}.", style="yellow") for cause in (*report.causes, *report.warnings)]


def _numbers(report: Report) -> list[Text]:
    summary = report.ttft
    if summary is None:
        return []
    gain = f"{summary.median_ratio:.1f} times sooner (5 % bound {summary.lower_bound_5pct:.1f})"
    parts = [f"TTFT {summary.cold_s:.2f} s cold → {summary.warm_s:.2f} s warm: {gain}"]
    if summary.overhead_ratio is not None and summary.noise_ratio is not None:
        parts.append(f"cold overhead {summary.overhead_ratio:.2f} (noise {summary.noise_ratio:.2f})")
    if summary.limit_s is not None and summary.gain_share is not None:
        parts.append(f"{summary.gain_share:.0%} of the possible gain (limit {summary.limit_s:.2f} s)")
    return [Text("; ".join(parts), style="cyan")]


def _load(report: Report) -> list[Text]:
    load = report.load
    if load is None:
        return []
    rate = f" at {load.gigabytes_per_s:.2f} GB/s" if load.gigabytes_per_s else ""
    times = f"{load.s_per_token * 1000:.2f} ms a token, computing takes {load.compute_s_per_token * 1000:.2f} ms"
    return [Text(f"hits are loaded{rate}: {times}", style="cyan")]


def _last_line(report: Report) -> Text:
    count = len(report.results)
    if report.passed:
        return Text(f"All {count} checks passed.", style="bold green")
    failed = ", ".join(result.id for result in report.failed)
    return Text(f"{len(report.failed)} of {count} checks failed: {failed}", style="bold red")
