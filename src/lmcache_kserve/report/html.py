"""The report as one self-contained HTML page, in the reader's light or dark colours."""

import json
from collections.abc import Collection
from dataclasses import dataclass
from datetime import timedelta
from itertools import takewhile

import jinja2
from markupsafe import Markup

from lmcache_kserve.evidence import Evidence, FaultWindow, ScaleOut, full_chunk_tokens
from lmcache_kserve.report.document import Report, document

_MINUTE_S = 60
_TIMES = "\N{MULTIPLICATION SIGN}"
_DASH = "\N{EN DASH}"


@dataclass(frozen=True, slots=True)
class Figure:
    """One large number at the top of the page."""

    value: str
    label: str
    detail: str


def render_html(report: Report) -> str:
    """The page, which loads nothing from elsewhere."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("lmcache_kserve.report", "."),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"code": _code, "clock": _clock, "pretty": _pretty, "seconds": _seconds}
    pairs = report.evidence.pairs
    return environment.get_template("report.html.j2").render(
        report=report,
        document=document(report),
        place=_place(report.evidence),
        short=_short({replica for pair in pairs for replica in (pair.cold.replica, pair.warm.replica)}),
        figures=_figures(report),
        plots=_plots(report.evidence),
        faults=[_fault(report, fault) for fault in report.evidence.faults],
    )


def _plots(evidence: Evidence) -> dict[str, Markup | None]:
    """The pictures by what they show; None where it was not measured."""
    from lmcache_kserve.report import plot  # noqa: PLC0415 - only who draws waits for matplotlib

    charts = {
        "pairs": plot.pairs_chart(evidence.pairs) if evidence.pairs else None,
        "scale_out": plot.scale_out_chart(evidence.scale_out) if isinstance(evidence.scale_out, ScaleOut) else None,
    }
    return {name: Markup(plot.inline_svg(chart)) if chart else None for name, chart in charts.items()}  # noqa: S704 - our own drawing, from numbers alone


def _place(evidence: Evidence) -> str:
    """Where a warm pass finds its chunks, in words."""
    if evidence.subject.backend_type != "none":
        return evidence.subject.backend_type
    return "the memory of one LMCache server" if evidence.replicas_share else "the memory of each replica"


def _figures(report: Report) -> list[Figure]:
    return [*_hit_figure(report), *_ttft_figures(report), *_load_figure(report)]


def _hit_figure(report: Report) -> list[Figure]:
    evidence = report.evidence
    pairs = evidence.pairs
    possible = sum(full_chunk_tokens(pair.warm.prompt_tokens, evidence.subject.chunk_size) for pair in pairs)
    if not possible:
        return []
    hit = sum(pair.warm.hit_tokens for pair in pairs)
    where = "on the other replica" if evidence.replicas_share else "on the same replica"
    return [Figure(f"{hit / possible:.0%}", f"of cacheable tokens hit {where}", f"{hit:,} of {possible:,}")]


def _ttft_figures(report: Report) -> list[Figure]:
    summary = report.ttft
    if summary is None:
        return []
    figures = [
        Figure(
            f"{summary.median_ratio:.1f}{_TIMES}",
            "sooner to the first token",
            f"{summary.cold_s:.2f} s → {summary.warm_s:.2f} s, 5 % bound {summary.lower_bound_5pct:.1f}{_TIMES}",
        )
    ]
    if summary.gain_share is not None and summary.limit_s is not None:
        figures.append(
            Figure(
                f"{summary.gain_share:.0%}", "of the gain that a perfect cache brings", f"limit {summary.limit_s:.2f} s"
            )
        )
    if summary.overhead_ratio is not None and summary.noise_ratio is not None:
        figures.append(
            Figure(
                f"{summary.overhead_ratio:.2f}{_TIMES}",
                "cold TTFT with LMCache / without LMCache",
                f"noise: {summary.noise_ratio:.2f}{_TIMES}, the engine without LMCache measured twice",
            )
        )
    return figures


def _load_figure(report: Report) -> list[Figure]:
    load = report.load
    if load is None or load.gigabytes_per_s is None:
        return []
    times = f"{load.s_per_token * 1000:.2f} ms a token, computing takes {load.compute_s_per_token * 1000:.2f} ms"
    return [Figure(f"{load.gigabytes_per_s:.2f} GB/s", "while hits are loaded", times)]


def _fault(report: Report, fault: FaultWindow) -> dict[str, object]:
    evidence = report.evidence
    whole = (evidence.finished - evidence.started) or timedelta(seconds=1)
    end = fault.end or evidence.finished
    return {
        "left": 100 * ((fault.start - evidence.started) / whole),
        "width": 100 * ((end - fault.start) / whole),
        "reason": fault.reason,
    }


def _code(text: str) -> Markup:
    """`text` with what stands between backticks in the page's font for code."""
    return Markup("").join(
        Markup("<code>{}</code>").format(part) if odd % 2 else part for odd, part in enumerate(text.split("`"))
    )


def _clock(seconds: float) -> str:
    """Seconds as minutes and seconds: `3:07`."""
    minutes, rest = divmod(round(seconds), _MINUTE_S)
    return f"{minutes}:{rest:02d}"


def _short(names: Collection[str]) -> dict[str, str]:
    """Each name without the words that every name begins with: `demo-predictor-0` and `-1` become `0` and `1`."""
    words = [name.split("-") for name in names]
    columns = zip(*(one[:-1] for one in words), strict=False)
    common = sum(1 for _ in takewhile(lambda column: len(set(column)) == 1, columns))
    return {name: "-".join(one[common:]) for name, one in zip(names, words, strict=True)}


def _seconds(value: float | None) -> str:
    return _DASH if value is None else f"{value:.3f} s"


def _pretty(value: object) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False, default=dict)
