"""Whether a second comparison agrees with what an earlier one stated."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lmcache_kserve.errors import HarnessError
from lmcache_kserve.report.comparison import SCHEMA
from lmcache_kserve.verdict.comparison import Interval, Summary

Key = tuple[str, str, int, float, str, int]
"""Arm, workload, length of the prompts, requests at once, pressure and working set."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """Loads that two comparisons share.

    Attributes:
        shared: how many there are.
        outside: those whose value now lies outside the interval of the earlier comparison, in words.
    """

    shared: int
    outside: tuple[str, ...]

    def __str__(self) -> str:
        """In words."""
        return f"{self.shared - len(self.outside)} of {self.shared} loads lie within the intervals of the earlier run"


def read(path: Path) -> Mapping[Key, Interval]:
    """The intervals that an earlier comparison stated: of the gain, and of the median TTFT where there is no gain.

    Raises:
        HarnessError: the file is no whole compare.json of this version; the message names the option.
    """
    option = f"--against {path}"
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise HarnessError(f"cannot read {option}: {error}") from error
    if not isinstance(content, dict) or content.get("schema") != SCHEMA:
        raise HarnessError(f"{option} is no compare.json of this version ({SCHEMA})")
    if not content.get("complete"):
        raise HarnessError(f"{option} is a comparison that did not end: give one that is complete")
    try:
        return dict(_stated(one) for one in content["cells"])
    except (KeyError, TypeError) as error:
        raise HarnessError(f"{option} lacks what a comparison states: {error!r}") from error


def agreement(earlier: Mapping[Key, Interval], now: Sequence[Summary]) -> Agreement:
    """Which loads measure now what the earlier comparison stated."""
    shared = [(one, earlier[key]) for one in now if (key := _key(one)) in earlier]
    outside = [
        f"{one.arm}, {one.cell}: {value:.3f}, not {stated.low:.3f} to {stated.high:.3f}"
        for one, stated in shared
        if not stated.low <= (value := _value(one)) <= stated.high
    ]
    return Agreement(shared=len(shared), outside=tuple(outside))


def _value(one: Summary) -> float:
    return one.gain.value if one.gain else one.p50.value


def _key(one: Summary) -> Key:
    cell = one.cell
    return one.arm, cell.workload, cell.prompt_tokens, cell.concurrency, cell.pressure, cell.working_set_tokens


def _stated(one: Mapping[str, Any]) -> tuple[Key, Interval]:
    cell = one["cell"]
    key = (
        one["arm"],
        cell["workload"],
        cell["prompt_tokens"],
        cell["concurrency"],
        cell["pressure"],
        cell["working_set_tokens"],
    )
    return key, Interval(**(one["gain"] or one["p50"]))
