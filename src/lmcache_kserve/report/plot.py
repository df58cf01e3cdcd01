"""Pictures of the result: TTFT of every measured pair, and of a new replica's first requests, on a logarithmic axis."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from lmcache_kserve.errors import HarnessError
from lmcache_kserve.evidence import Pair, Pass, ScaleOut

_WIDTH_IN, _HEIGHT_IN = 8.6, 3.9
_LABEL_GAP = 0.125
"""Least distance between two labels at the right edge, as a share of the axis' height."""
_HIGHEST_LABEL = 0.96


@dataclass(frozen=True, slots=True)
class Palette:
    """Colours of the plot; `ground` is None where the page shows through."""

    ink: str
    muted: str
    grid: str
    cold: str
    warm: str
    limit: str
    no_cache: str
    ground: str | None = None


LIGHT = Palette(
    ink="#1b2330",
    muted="#5d6878",
    grid="#e3e7ee",
    cold="#c2571a",
    warm="#0b7a75",
    limit="#4b5fc4",
    no_cache="#8a94a6",
    ground="#ffffff",
)
"""For a file of its own, on white."""

_THEMED = Palette(
    ink="#010101",
    muted="#020202",
    grid="#030303",
    cold="#040404",
    warm="#050505",
    limit="#060606",
    no_cache="#070707",
)
_VARIABLES = {
    _THEMED.ink: "var(--ink)",
    _THEMED.muted: "var(--muted)",
    _THEMED.grid: "var(--line)",
    _THEMED.cold: "var(--cold)",
    _THEMED.warm: "var(--warm)",
    _THEMED.limit: "var(--limit)",
    _THEMED.no_cache: "var(--no-cache)",
}
"""Stand-ins that become CSS variables, so that one picture follows the page's light or dark colours."""


@dataclass(frozen=True, slots=True)
class _Series:
    """Times in seconds, None where there is none; `colour` is a name of the palette."""

    label: str
    colour: str
    values: Sequence[float | None]
    filled: bool

    @property
    def known(self) -> list[float]:
        return [value for value in self.values if value is not None]

    @property
    def median(self) -> float:
        return statistics.median(self.known)


@dataclass(frozen=True, slots=True)
class Chart:
    """What a picture shows, whatever its colours.

    Attributes:
        title: what it shows, for who cannot see it.
        axis: what is counted from left to right.
        series: what was measured; those without a value are left out.
        joined: lowest and highest time of each count, which a line joins; empty for no lines.
    """

    title: str
    axis: str
    series: Sequence[_Series]
    joined: Sequence[tuple[float, float]] = ()

    @property
    def shown(self) -> list[_Series]:
        """The series with values."""
        return [one for one in self.series if one.known]


def pairs_chart(pairs: Sequence[Pair]) -> Chart:
    """TTFT of every pair, cold, warm and at the limit.

    Raises:
        HarnessError: no pairs.
    """
    if not pairs:
        raise HarnessError("there are no measured pairs to draw")
    return Chart(
        title="Time to first token of every pair",
        axis="pair (a fresh prompt each)",
        series=(
            _Series("no cache", "no_cache", [_ttft(pair.no_cache) for pair in pairs], filled=False),
            _Series("LMCache cold", "cold", [pair.cold.ttft_s for pair in pairs], filled=True),
            _Series("LMCache warm", "warm", [pair.warm.ttft_s for pair in pairs], filled=True),
            _Series("limit", "limit", [_ttft(pair.limit) for pair in pairs], filled=False),
        ),
        joined=[(pair.warm.ttft_s, pair.cold.ttft_s) for pair in pairs],
    )


def scale_out_chart(seen: ScaleOut) -> Chart:
    """TTFT of a new replica's first requests, with the shared cache and without it, beside an old replica's."""
    return Chart(
        title="Time to first token of a new replica's first requests",
        axis="request",
        series=(
            _Series("new, no cache", "cold", [one.ttft_s for one in seen.alone], filled=True),
            _Series("new, shared", "warm", [one.ttft_s for one in seen.shared], filled=True),
            _Series("old replica", "limit", [one.ttft_s for one in seen.old], filled=False),
        ),
    )


def inline_svg(chart: Chart) -> str:
    """A picture as an `<svg>` element; its colours come from CSS variables of the page, its font from the page."""
    target = StringIO()
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "lmcache-kserve"}):
        _draw(chart, _THEMED).savefig(target, format="svg", transparent=True, metadata={"Date": None})
    svg = target.getvalue()
    svg = svg[svg.index("<svg") :]
    for colour, variable in _VARIABLES.items():
        svg = svg.replace(colour, variable)
    return svg.replace("font: ", "font-family: inherit; font-size: ").replace(
        "<svg ", f'<svg role="img" aria-label="{chart.title}" ', 1
    )


def save_plot(chart: Chart, path: Path) -> None:
    """Write a picture into a file whose name ends in .svg or .png.

    Raises:
        HarnessError: another ending.
    """
    kind = path.suffix.removeprefix(".")
    if kind not in {"png", "svg"}:
        raise HarnessError(f"a plot is written as .png or .svg, not as {path.name}")
    figure = _draw(chart, LIGHT)
    with mpl.rc_context({"svg.hashsalt": "lmcache-kserve"}):
        figure.savefig(path, format=kind, dpi=200, metadata={"Date": None} if kind == "svg" else None)


def _draw(chart: Chart, colours: Palette) -> Figure:
    with mpl.rc_context({"font.family": "sans-serif", "font.sans-serif": ["Inter", "Liberation Sans", "DejaVu Sans"]}):
        figure = Figure(figsize=(_WIDTH_IN, _HEIGHT_IN), facecolor=colours.ground or "none")
        axes = figure.add_axes((0.072, 0.135, 0.745, 0.83), facecolor="none")
        for number, ends in enumerate(chart.joined, start=1):
            axes.plot([number, number], ends, color=colours.grid, linewidth=3, zorder=1)
        for one in chart.shown:
            colour = getattr(colours, one.colour)
            axes.axhline(one.median, color=colour, linewidth=0.8, alpha=0.45, zorder=0)
            shown = [(number, value) for number, value in enumerate(one.values, start=1) if value is not None]
            axes.scatter(
                [number for number, _ in shown],
                [value for _, value in shown],
                s=46 if one.filled else 30,
                facecolor=colour if one.filled else "none",
                edgecolor=colour,
                linewidth=1.4,
                zorder=3 if one.filled else 2,
            )
        _style(axes, colours, chart)
        _label(axes, chart.shown, colours)
    return figure


def _ttft(measured: Pass | None) -> float | None:
    return measured.ttft_s if measured else None


def _style(axes: Axes, colours: Palette, chart: Chart) -> None:
    values = [value for one in chart.shown for value in one.known]
    count = max(len(one.values) for one in chart.shown)
    axes.set_yscale("log")
    axes.set_ylim(min(values) / 1.35, max(values) * 1.35)
    axes.set_xlim(0.4, count + 0.6)
    axes.yaxis.set_major_locator(LogLocator(base=10, subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g} s"))
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.xaxis.set_major_locator(MaxNLocator(nbins=12, integer=True))
    axes.set_xlabel(chart.axis, color=colours.muted, fontsize=9)
    axes.tick_params(axis="both", which="both", length=0, colors=colours.muted, labelsize=9)
    axes.grid(visible=True, axis="y", which="major", color=colours.grid, linewidth=0.8)
    axes.set_axisbelow(True)
    for spine in axes.spines.values():
        spine.set_visible(False)


def _label(axes: Axes, series: Sequence[_Series], colours: Palette) -> None:
    """Name each series at the right edge, beside its median. Labels move apart where medians are close."""
    to_axes = axes.transData + axes.transAxes.inverted()
    ordered = sorted(series, key=lambda one: one.median)
    heights = _spread([float(to_axes.transform((1, one.median))[1]) for one in ordered])
    for height, one in zip(heights, ordered, strict=True):
        shared: dict[str, Any] = {"transform": axes.transAxes, "va": "center", "clip_on": False}
        axes.text(
            1.012, height + 0.027, one.label, color=getattr(colours, one.colour), fontsize=9.5, weight="bold", **shared
        )
        axes.text(1.012, height - 0.03, f"median {one.median:.2f} s", color=colours.muted, fontsize=8.5, **shared)


def _spread(heights: Sequence[float]) -> list[float]:
    """Move ascending heights apart, first up, then down from the top edge."""
    placed: list[float] = []
    for height in heights:
        placed.append(max(height, placed[-1] + _LABEL_GAP) if placed else height)
    ceiling = _HIGHEST_LABEL
    for index in range(len(placed) - 1, -1, -1):
        placed[index] = min(placed[index], ceiling)
        ceiling = placed[index] - _LABEL_GAP
    return placed
