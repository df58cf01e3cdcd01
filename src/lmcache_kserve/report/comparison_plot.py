"""Pictures of a comparison: TTFT over load, and the gain over the length of a prompt, one line for each arm."""

from collections.abc import Callable, Sequence
from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from lmcache_kserve.evidence.comparison import NO_CACHE, PREFIX_CACHE
from lmcache_kserve.report.plot import LIGHT
from lmcache_kserve.verdict.comparison import Interval, Summary, by_length, by_load

_WIDTH_IN, _HEIGHT_IN = 8.6, 4.6
_COLOURS = ("#0b7a75", "#c2571a", "#7b3fa0", "#b8860b", "#a83246", "#2f6f3e", "#4b5fc4", "#6b4f2a")
"""One for each backend; mode in-process is a whole line, mode multiprocess a dashed one."""

Point = tuple[float, Interval]


def save_load_plot(summaries: Sequence[Summary], path: Path) -> bool:
    """Draw the median TTFT over the requests at once; return whether there was anything to draw."""
    return _save(
        summaries,
        path,
        points=lambda arm: [(one.cell.concurrency, one.p50) for one in by_load(summaries, arm)],
        axis="requests at once",
        form="{:g} s",
    )


def save_break_even_plot(summaries: Sequence[Summary], path: Path) -> bool:
    """Draw the gain over the length of the prompt; return whether there was anything to draw."""
    return _save(
        summaries,
        path,
        points=lambda arm: [(one.prompt_tokens, one.gain) for one in by_length(summaries, arm) if one.gain],
        axis="tokens of the prompt (above 1 a hit beats computing)",
        form="{:g} x",
        level=1.0,
    )


def _save(  # noqa: PLR0913 - the two pictures differ in all of these
    summaries: Sequence[Summary],
    path: Path,
    *,
    points: Callable[[str], list[Point]],
    axis: str,
    form: str,
    level: float | None = None,
) -> bool:
    arms = list(dict.fromkeys(one.arm for one in summaries))
    lines = {arm: found for arm in arms if (found := points(arm))}
    if not lines:
        return False
    with mpl.rc_context({"font.family": "sans-serif", "font.sans-serif": ["Inter", "Liberation Sans", "DejaVu Sans"]}):
        figure = Figure(figsize=(_WIDTH_IN, _HEIGHT_IN), facecolor=LIGHT.ground)
        axes = figure.add_axes((0.072, 0.12, 0.63, 0.85), facecolor="none")
        if level is not None:
            axes.axhline(level, color=LIGHT.muted, linewidth=1)
        for arm, found in lines.items():
            _line(axes, arm, found, arms)
        _style(axes, axis, form, sorted({at for found in lines.values() for at, _ in found}))
        axes.legend(loc="upper left", bbox_to_anchor=(1.01, 1.0), frameon=False, fontsize=9, labelcolor=LIGHT.ink)
    with mpl.rc_context({"svg.hashsalt": "lmcache-kserve"}):
        figure.savefig(path, format="svg", metadata={"Date": None})
    return True


def _line(axes: Axes, arm: str, found: Sequence[Point], arms: Sequence[str]) -> None:
    at = [point for point, _ in found]
    values = [interval.value for _, interval in found]
    reach = [[one.value - one.low for _, one in found], [one.high - one.value for _, one in found]]
    axes.errorbar(
        at,
        values,
        yerr=reach,
        label=arm,
        color=_colour(arm, arms),
        linestyle="--" if arm.endswith("multiprocess") else "-",
        linewidth=1.6,
        elinewidth=0.7,
        capsize=2,
        marker="o",
        markersize=4,
    )


def _colour(arm: str, arms: Sequence[str]) -> str:
    if arm == NO_CACHE:
        return LIGHT.no_cache
    if arm == PREFIX_CACHE:
        return LIGHT.ink
    backends = list(dict.fromkeys(_backend(name) for name in arms if name not in {NO_CACHE, PREFIX_CACHE}))
    return _COLOURS[backends.index(_backend(arm)) % len(_COLOURS)]


def _backend(arm: str) -> str:
    return arm.rpartition(", ")[0]


def _style(axes: Axes, axis: str, form: str, places: Sequence[float]) -> None:
    axes.set_yscale("log")
    axes.set_xscale("log", base=2)
    axes.set_xticks(places, [f"{place:g}" for place in places])
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.yaxis.set_major_locator(LogLocator(base=10, subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: form.format(value)))
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel(axis, color=LIGHT.muted, fontsize=9)
    axes.tick_params(axis="both", which="both", length=0, colors=LIGHT.muted, labelsize=9)
    axes.grid(visible=True, axis="y", which="major", color=LIGHT.grid, linewidth=0.8)
    axes.set_axisbelow(True)
    for spine in axes.spines.values():
        spine.set_visible(False)
