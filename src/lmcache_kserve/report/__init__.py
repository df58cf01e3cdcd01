"""The report of an experiment: for people (terminal, HTML, a picture) and for programs (JSON, JUnit).

made = make(evidence, judge(evidence), command="lmcache-kserve demo")
write(made, directory)
console.print(table(made))
"""

from dataclasses import dataclass
from pathlib import Path

from lmcache_kserve.evidence import ScaleOut
from lmcache_kserve.report.document import SCHEMA, Report, document, dump_json, make
from lmcache_kserve.report.html import render_html
from lmcache_kserve.report.junit import render_junit
from lmcache_kserve.report.terminal import table

__all__ = [
    "SCHEMA",
    "Report",
    "Written",
    "document",
    "dump_json",
    "make",
    "render_html",
    "render_junit",
    "table",
    "write",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """The files of a report; `plot` is None where no pair was measured, `scale_out` where no replica was added."""

    json: Path
    html: Path
    junit: Path
    plot: Path | None
    scale_out: Path | None


def write(report: Report, directory: Path) -> Written:
    """Write report.json, report.html, report.xml and the pictures into `directory`, made where it is missing."""
    directory.mkdir(parents=True, exist_ok=True)
    written = Written(
        json=directory / "report.json",
        html=directory / "report.html",
        junit=directory / "report.xml",
        plot=directory / "ttft.svg" if report.evidence.pairs else None,
        scale_out=directory / "scale-out.svg" if isinstance(report.evidence.scale_out, ScaleOut) else None,
    )
    written.json.write_text(dump_json(report), encoding="utf-8")
    written.html.write_text(render_html(report), encoding="utf-8")
    written.junit.write_text(render_junit(report), encoding="utf-8")
    if written.plot:
        from lmcache_kserve.report import plot  # noqa: PLC0415 - only who draws waits for matplotlib

        plot.save_plot(plot.pairs_chart(report.evidence.pairs), written.plot)
        if written.scale_out and isinstance(report.evidence.scale_out, ScaleOut):
            plot.save_plot(plot.scale_out_chart(report.evidence.scale_out), written.scale_out)
    return written
