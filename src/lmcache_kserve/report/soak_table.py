"""What a soak showed: the tables of `lmcache-kserve soak`, and how they are written down."""

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import jinja2

from lmcache_kserve.evidence.soak import Asked, Soak
from lmcache_kserve.verdict.growth import FULL_SHARE, MEASURES, Slope
from lmcache_kserve.verdict.soak import HITS_RETURN_S, SoakVerdict
from lmcache_kserve.verdict.trend import BLOCKS

SCHEMA = "lmcache-kserve/soak/v1"
_DIGITS = 3


def document(
    soak: Soak, verdict: SoakVerdict, *, command: str, origin: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """The result as JSON values; moments are seconds since the traffic began.

    Args:
        soak: what was seen.
        verdict: what was made of it.
        command: the command line, without secrets.
        origin: what the release was made from (`commands.origin.Origin`); None where that is not known.
    """
    return {
        "schema": SCHEMA,
        "passed": verdict.passed,
        "command": command,
        "origin": origin,
        "versions": dict(soak.versions),
        "mode": soak.mode,
        "backend": soak.backend_type,
        "seed": soak.seed,
        "wanted_s": soak.wanted_s,
        "lasted_s": _rounded(soak.lasted_s),
        "pool": {
            "prompts": soak.pool_prompts,
            "chunks": soak.pool_chunks,
            "unsteady_prompts": soak.unsteady_prompts,
        },
        "most_at_once": soak.most_at_once,
        "requests": {how: _requests(soak.asked, how) for how in dict.fromkeys(one.how for one in soak.asked)},
        "invariants": [asdict(one) for one in verdict.invariants],
        "schedule": [
            asdict(planned) | ({} if number >= len(soak.disturbed) else _happened(soak, number))
            for number, planned in enumerate(soak.schedule)
        ],
        "slopes": [_slope(one) for one in verdict.slopes],
        "blocks": BLOCKS,
        "full_share": FULL_SHARE,
        "hits_return_s": HITS_RETURN_S,
        "limits": [
            {"measure": one.name, "unit": one.unit, "floor": one.floor, "share": one.share, "reason": one.reason}
            for one in MEASURES
        ],
    }


def markdown(content: Mapping[str, Any]) -> str:
    """The page for people, from what `document` made."""
    template = jinja2.Environment(
        loader=jinja2.PackageLoader("lmcache_kserve.report", "."),
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
        autoescape=False,  # noqa: S701 - Markdown, of what this program measured
    ).get_template("soak.md.j2")
    return template.render(
        run=content,
        versions=", ".join(f"{name} {version}" for name, version in content["versions"].items()),
        invariants=_lines(_invariant_cells(one) for one in content["invariants"]),
        schedule=_lines(_schedule_cells(one) for one in content["schedule"]),
        requests=_lines(_request_cells(how, one) for how, one in content["requests"].items()),
        slopes=_lines(_slope_cells(one) for one in content["slopes"] if one["blocks"]),
        limits=_lines(_limit_cells(one) for one in content["limits"]),
    )


def _requests(asked: Sequence[Asked], how: str) -> dict[str, Any]:
    those = [one for one in asked if one.how == how]
    return {
        "count": len(those),
        "failed": sum(one.error is not None for one in those),
        "wrong": sum(one.wrong is not None for one in those),
        "sent_again": sum(one.cut_off is not None for one in those),
        "median_s": _rounded(statistics.median(one.total_s for one in those)),
        "slowest_s": _rounded(max(one.total_s for one in those)),
    }


def _happened(soak: Soak, number: int) -> dict[str, Any]:
    one = soak.disturbed[number]
    hits = one.hits_returned_s
    return {
        "began_s": _rounded(one.began_s),
        "over_s": _rounded(one.over_s),
        "hits_returned_s": None if hits is None else _rounded(hits),
        "problem": one.problem and one.problem.partition("\n")[0],
    }


def _slope(one: Slope) -> dict[str, Any]:
    found = one.trend
    return {
        "measure": one.measure.name,
        "of": one.of,
        "unit": one.measure.unit,
        "from_s": _rounded(one.from_s),
        "to_s": _rounded(one.to_s),
        "median": found and _rounded(found.median),
        "growth": found and _rounded(found.growth),
        "late_growth": found and _rounded(found.late_growth),
        "z": found and _rounded(found.z),
        "limit": _rounded(one.limit),
        "passed": one.passed,
        "blocks": [_rounded(value) for value in found.blocks] if found else [],
    }


def _rounded(value: float) -> float:
    return round(value, _DIGITS)


def _lines(rows: Iterable[Sequence[str]]) -> str:
    return "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |" for row in rows)


def _mark(passed: object) -> str:
    return "✓" if passed else "✗"


def _invariant_cells(one: Mapping[str, Any]) -> tuple[str, ...]:
    why = f" {one['why'].partition(chr(10))[0]}" if one["why"] else ""
    return one["name"], one["value"], one["limit"], f"{_mark(one['passed'])}{why}"


def _schedule_cells(one: Mapping[str, Any]) -> tuple[str, ...]:
    planned = (f"{one['at_s']:.0f} s", f"{one['lasts_s']:.1f} s", " + ".join(one["faults"]))
    if "began_s" not in one:
        return *planned, "", "", "did not take place"
    hits = one["hits_returned_s"]
    back = one["problem"] or ("**never**" if hits is None else f"after {hits:.1f} s")
    return *planned, f"{one['began_s']:.0f} s", f"{one['over_s']:.0f} s", back


def _request_cells(how: str, one: Mapping[str, Any]) -> tuple[str, ...]:
    counts = tuple(str(one[key]) for key in ("count", "failed", "wrong", "sent_again"))
    return how, *counts, f"{one['median_s']:.2f} s", f"{one['slowest_s']:.1f} s"


def _limit_cells(one: Mapping[str, Any]) -> tuple[str, ...]:
    return one["measure"], f"{one['floor']:g} {one['unit']} or {one['share']:.0%}", one["reason"]


def _slope_cells(one: Mapping[str, Any]) -> tuple[str, ...]:
    return (
        one["measure"],
        one["of"],
        f"{one['median']:.1f} {one['unit']}",
        f"{one['growth']:+.1f}",
        f"{one['limit']:.1f}",
        f"{one['from_s']:.0f} to {one['to_s']:.0f}",
        _mark(one["passed"]),
    )
