"""The caches compared under load: `compare.json` and the page docs/performance.md."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from lmcache_kserve.evidence.comparison import ABOVE, CHAT, DOCUMENTS, LONG_DOCUMENT, PARTS, Cell, Comparison
from lmcache_kserve.verdict.comparison import (
    Interval,
    Summary,
    break_even,
    controls,
    fault_of_answers,
    passed,
    summarize,
)

SCHEMA = "lmcache-kserve/compare/v1"
LOAD_PLOT, BREAK_EVEN_PLOT = "compare-load.svg", "compare-break-even.svg"

_MIB = 2**20
_WORKLOADS = {
    LONG_DOCUMENT: "Repeated long document",
    CHAT: "Multi-round chat",
    DOCUMENTS: "Shuffled documents",
}


def document(seen: Comparison, *, command: str) -> dict[str, Any]:
    """The comparison as JSON values: seconds, bytes, tokens; shares from 0 to 1."""
    summaries = summarize(seen)
    return {
        "schema": SCHEMA,
        "complete": seen.complete,
        "passed": passed(seen),
        "command": command,
        "versions": dict(seen.versions),
        "engine_cache_tokens": seen.engine_cache_tokens,
        "token_bytes": seen.token_bytes,
        "rounds": seen.rounds,
        "planned": list(seen.planned),
        "problems": {arm.name: arm.problem for arm in seen.arms if arm.problem},
        "cells": [asdict(one) | {"verdict": one.verdict} for one in summaries],
        "break_even": [asdict(one) | {"words": str(one)} for one in break_even(summaries)],
        "answers": {
            arm.name: {
                "asked": len(arm.answers.expected),
                "different": arm.answers.different,
                "loaded_tokens": arm.answers.loaded_tokens,
                "problem": fault_of_answers(arm),
            }
            for arm in seen.arms
            if arm.answers
        },
        "arms": [asdict(arm) for arm in seen.arms],
    }


def markdown(seen: Comparison, *, command: str, images: str = "images") -> str:
    """The page for people.

    Args:
        seen: the comparison.
        command: how the page is made again.
        images: where the plots are, seen from the page.
    """
    summaries = summarize(seen)
    known = ", ".join(f"{name} {version}" for name, version in seen.versions.items())
    sections = "\n\n".join(
        section for workload in _WORKLOADS if (section := _workload(seen, summaries, workload, images))
    )
    return f"""\
# Which cache pays, under which load

`make compare` wrote this page. It ran `{command}`. Versions: {known}.

{_state(seen)}Each arm is one engine with what the chart renders for it. All processes share one machine. So compare
the arms with each other, and take no number for another machine. `lmcache bench engine`, which comes with LMCache, sent
all requests. The engine's own cache holds {seen.engine_cache_tokens} tokens. A token takes {seen.token_bytes:g} bytes.

A first pass over each load fills the caches. Then come {seen.rounds} measured passes with the same prompts. Shuffled
documents are new in each pass, so a pass finds there what its own earlier requests left. The engine without a cache
runs all the time: its first pass is the first of all, and its last pass the last of all.

What the columns say:

- **pressure**: *above* means that the documents together are larger than the engine's own cache. *Below* means that
  they fit.
- **at once**: requests on their way at the same time. For the chat: new requests in a second.
- **TTFT**: time to first token in seconds. The 99th percentile of few requests is the slowest of them.
- **gain**: TTFT without a cache divided by the arm's, request by request. In brackets: its interval.
- **beside the engine's cache**: TTFT of the engine's own prefix cache divided by the arm's. *Pays* means that the whole
  interval is above 1, *costs* that the whole interval is below 1.
- **noise**: factor between two passes over the same load, from the same run. Each interval is that much wider.
- **found**: share of the prompts' tokens that the engine's cache, LMCache's memory and the backend had.
- **loaded**: what LMCache loaded, in MiB.
- **stored**: how much the backend grew in MiB, with the pass that fills the caches.
- **processor**: seconds of engine, LMCache's server and backend. In mode in-process LMCache counts as engine.
- **memory**: peak resident memory in MiB, for the same three.

{_control(summaries)}

{sections}

## Break-even

{_break_even(summaries, images)}

## Equal answers

{_answers(seen)}
"""


def _state(seen: Comparison) -> str:
    """What stands above everything where the comparison is not whole; else nothing."""
    if seen.complete:
        return ""
    missing = [name for name in seen.planned if seen.arm(name) is None]
    lines = [f"- {arm.name}: {arm.problem.splitlines()[0]}" for arm in seen.arms if arm.problem]
    lines += [f"- {name}: not reached." for name in missing]
    return "**This comparison is not complete.** What is missing:\n\n" + "\n".join(lines) + "\n\n"


def _control(summaries: Sequence[Summary]) -> str:
    low = controls(summaries)
    if not low:
        return "## The control\n\nNo load was below the engine's own cache. So nothing shows when it does not pay."
    paid = [one for one in low if one.verdict == "pays"]
    words = "does not pay" if not paid else f"seems to pay on {', '.join(one.arm for one in paid)}"
    return (
        "## The control\n\nWith documents that fit the engine's own cache, offloading should not pay. "
        f"Here it {words}: the rows with pressure *below* show it."
    )


def _workload(seen: Comparison, summaries: Sequence[Summary], workload: str, images: str) -> str:
    cells = [cell for cell in seen.cells if cell.workload == workload]
    if not cells:
        return ""
    times = [
        "| arm | prompt | at once | pressure | requests | p50 | p90 | p99 | gain | beside the engine's cache | noise |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    costs = [
        (
            "| arm | prompt | at once | pressure | requests/s | tokens/s | found | loaded | stored | processor "
            "| memory |"
        ),
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for cell in cells:
        rows = [one for one in summaries if one.cell == cell]
        times += [_times(one) for one in rows]
        costs += [_costs(one) for one in rows]
        absent = [arm.name for arm in seen.arms if not any(one.arm == arm.name for one in rows)]
        times += [f"| {name} | {_load(cell)} | not measured | | | | | | |" for name in absent]
    plot = ""
    if workload == LONG_DOCUMENT and any(one.cell in cells for one in summaries):
        plot = f"![Time to first token of each arm over the requests at once]({images}/{LOAD_PLOT})\n\n"
    return "\n".join([f"## {_WORKLOADS[workload]}", "", plot + times[0], *times[1:], "", *costs])


def _load(cell: Cell) -> str:
    return f"{cell.prompt_tokens} | {cell.concurrency:g} | {cell.pressure}"


def _times(one: Summary) -> str:
    cells = [
        one.arm,
        _load(one.cell),
        str(one.requests),
        f"{one.p50.value:.3f} ({one.p50.low:.3f} to {one.p50.high:.3f})",
        f"{one.p90:.3f}",
        f"{one.p99:.3f}",
        _ratio(one.gain),
        " ".join(filter(None, (_ratio(one.offload), one.verdict))),
        f"{one.noise:.2f}",
    ]
    return f"| {' | '.join(cells)} |"


def _ratio(interval: Interval | None) -> str:
    return f"{interval.value:.2f} ({interval.low:.2f} to {interval.high:.2f})" if interval else ""


def _costs(one: Summary) -> str:
    shares = [_percent(share) for share in (one.own_share, one.memory_share, one.remote_share)]
    cells = [
        one.arm,
        _load(one.cell),
        f"{one.requests_per_s:.2f}",
        f"{one.tokens_per_s:.0f}",
        ", ".join(shares),
        f"{one.loaded_bytes / _MIB:.0f}",
        "" if one.stored_bytes is None else f"{one.stored_bytes / _MIB:.0f}",
        ", ".join(_parts(one.cpu_s, "{:.1f}")),
        ", ".join(_parts({part: size / _MIB for part, size in one.peak_bytes.items()}, "{:.0f}")),
    ]
    return f"| {' | '.join(cells)} |"


def _parts(values: Mapping[str, float], form: str) -> Iterator[str]:
    for part in PARTS:
        yield form.format(values[part]) if part in values else "-"


def _percent(share: float | None) -> str:
    return "unknown" if share is None else f"{share * 100:.0f} %"


def _break_even(summaries: Sequence[Summary], images: str) -> str:
    found = break_even(summaries)
    if not found:
        return "No arm with LMCache was measured with prompts of several lengths."
    rows = "\n".join(f"| {one.arm} | {one} |" for one in found)
    return (
        f"![Gain of each arm over the length of the prompt]({images}/{BREAK_EVEN_PLOT})\n\n"
        "The length of a prompt from which a hit beats computing. It follows from the rows with pressure "
        f"*{ABOVE}* and the fewest requests at once.\n\n| arm | a hit beats computing from |\n|---|---|\n{rows}"
    )


def _answers(seen: Comparison) -> str:
    asked = [arm for arm in seen.arms if arm.answers]
    if not asked:
        return "Nobody asked."
    lines = [
        "Each arm got the same prompts twice. The answers have to be those of the engine without a cache.",
        "",
        "| arm | prompts | different answers | tokens that LMCache loaded for the second ones |",
        "|---|---|---|---|",
    ]
    lines += [
        f"| {arm.name} | {len(answers.expected)} | {answers.different} | {answers.loaded_tokens:.0f} |"
        for arm in asked
        if (answers := arm.answers)
    ]
    faults = [f"- {arm.name}: {fault}." for arm in asked if (fault := fault_of_answers(arm))]
    return "\n".join([*lines, *(["", *faults] if faults else [])])
