"""Judges evidence and names what failed, for the tests of each check."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeVar

from made_evidence import evidence

from lmcache_kserve.evidence import Evidence, Pass
from lmcache_kserve.verdict import Result, judge

T = TypeVar("T")


def judged(seen: Evidence) -> dict[str, Result]:
    """Every result by the check's id."""
    return {result.id: result for result in judge(seen)}


def failed(seen: Evidence) -> dict[str, str]:
    """The summary of every failed check by its id."""
    return {name: result.summary for name, result in judged(seen).items() if not result.passed}


def with_pass(which: str, change: Callable[[Pass], Pass]) -> Evidence:
    """The good evidence with one pass of its fourth pair changed."""
    good = evidence()
    pairs = list(good.pairs)
    changed: dict[str, Any] = {which: change(getattr(pairs[3], which))}
    pairs[3] = replace(pairs[3], **changed)
    return replace(good, pairs=tuple(pairs))


def of(value: object, kind: type[T]) -> T:
    """`value`, which has to be of that kind."""
    assert isinstance(value, kind)
    return value
