#!/usr/bin/env python3
"""Draw what the dashboard showed in a run of `make test-operations`.

    uv run scripts/dashboard_picture.py            draw docs/images/dashboard.svg from docs/reports/dashboard.json
    uv run scripts/dashboard_picture.py FILE       take FILE over before: out/operations/dashboard-in-process.json
    uv run scripts/dashboard_picture.py --check    fail when the picture is another

The file holds the dashboard's own queries, answered by a real Prometheus. matplotlib draws them, because Grafana is no
part of the tests.
"""

import json
import math
import shutil
import sys
from io import BytesIO
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from lmcache_kserve.report.plot import LIGHT

ROOT = Path(__file__).parent.parent
REPORT = ROOT / "docs" / "reports" / "dashboard.json"
PICTURE = ROOT / "docs" / "images" / "dashboard.svg"
COLUMNS = 3
COLOURS = (LIGHT.warm, LIGHT.cold, LIGHT.limit, LIGHT.no_cache)
MAKES_PLAIN = {
    "percentunit": lambda value: f"{value:.1%}",
    "s": lambda value: f"{value:.1f} s" if value >= 1 else f"{value * 1000:.3g} ms",
    "bytes": lambda value: f"{value / 2**20:.0f} MiB",
    "Bps": lambda value: f"{value / 10**6:.1f} MB/s",
    "short": lambda value: f"{value:.3f}".rstrip("0").rstrip("."),
}
"""How a number is written, by Grafana's name of its unit."""


def short(legend: str) -> str:
    """A legend with the end of each pod's name alone."""
    return " ".join(word.rpartition("-")[2] for word in legend.split())


def plain(unit: str, value: float) -> str:
    """A number with its unit."""
    return MAKES_PLAIN[unit](value) if math.isfinite(value) else "no data"


def draw(axes: Axes, panel: dict[str, Any]) -> None:
    """One panel."""
    axes.set_title(panel["title"], loc="left", fontsize=9.5, color=LIGHT.ink, weight="bold")
    for spine in axes.spines.values():
        spine.set_visible(False)
    if panel["type"] == "stat":
        axes.set_axis_off()
        series = panel["series"]
        for place, one in enumerate(series):
            left = (place + 0.5) / len(series)
            text = plain(panel["unit"], one["points"][-1][1])
            axes.text(left, 0.5, text, ha="center", va="center", fontsize=19, color=LIGHT.warm)
            axes.text(left, 0.16, one["legend"], ha="center", va="center", fontsize=8.5, color=LIGHT.muted)
        return
    for number, one in enumerate(panel["series"]):
        points = [(at / 60, value) for at, value in one["points"] if math.isfinite(value)]
        colour = COLOURS[number % len(COLOURS)]
        axes.plot([at for at, _ in points], [value for _, value in points], color=colour, linewidth=1.4)
    highest = max((value for one in panel["series"] for _, value in one["points"] if math.isfinite(value)), default=0)
    axes.set_ylim(0, 1.4 * highest or 1)  # room for the legend
    axes.yaxis.set_major_locator(MaxNLocator(nbins=4))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: plain(panel["unit"], value)))
    axes.xaxis.set_major_locator(MaxNLocator(nbins=5, integer=True))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda minutes, _: f"{minutes:.0f} min"))
    axes.grid(visible=True, axis="y", color=LIGHT.grid, linewidth=0.8)
    axes.tick_params(length=0, colors=LIGHT.muted, labelsize=7.5)
    legends = [short(one["legend"]) for one in panel["series"]]
    placed = axes.legend(
        axes.get_lines(),
        legends,
        fontsize=7,
        frameon=False,
        labelcolor=LIGHT.muted,
        loc="upper left",
        ncols=3,
        handlelength=1,
        columnspacing=1,
    )
    placed.set_in_layout(False)  # a long legend would take the room of its panel


def picture(panels: list[dict[str, Any]]) -> bytes:
    """The dashboard as SVG."""
    rows = math.ceil(len(panels) / COLUMNS)
    style = {"font.family": "sans-serif", "font.sans-serif": ["DejaVu Sans"], "svg.hashsalt": "lmcache-kserve"}
    with mpl.rc_context(style):
        figure = Figure(figsize=(4.1 * COLUMNS, 2.2 * rows), facecolor=LIGHT.ground, layout="constrained")
        for place, panel in enumerate(panels, start=1):
            draw(figure.add_subplot(rows, COLUMNS, place), panel)
        drawn = BytesIO()
        figure.savefig(drawn, format="svg", metadata={"Date": None})
    return drawn.getvalue()


def main() -> int:
    """Draw the picture, or with `--check` compare it."""
    arguments = sys.argv[1:]
    if arguments and arguments != ["--check"]:
        shutil.copyfile(arguments[0], REPORT)
    drawn = picture(json.loads(REPORT.read_text(encoding="utf-8")))
    if arguments == ["--check"]:
        return int(not PICTURE.exists() or PICTURE.read_bytes() != drawn)
    PICTURE.write_bytes(drawn)
    return 0


if __name__ == "__main__":
    sys.exit(main())
