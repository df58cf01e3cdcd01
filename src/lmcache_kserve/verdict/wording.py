"""Sentences that several checks say."""

from collections.abc import Mapping, Sequence
from typing import Any

from lmcache_kserve.evidence import Evidence, Unreadable
from lmcache_kserve.verdict.check import Judgement


def unread(evidence: Evidence, seen: object) -> Judgement:
    """The failure of a check whose evidence `seen` is missing or could not be read."""
    why = f"The evidence cannot be read: {seen.why}" if isinstance(seen, Unreadable) else not_run(evidence)
    return Judgement(passed=False, seen=why)


def not_run(evidence: Evidence) -> str:
    """Why the experiment did not obtain the evidence, as a sentence."""
    return f"Not run: {evidence.stopped or 'the experiment did not get this far'}."


def judged(faults: Sequence[str], otherwise: str, evidence: Mapping[str, Any]) -> Judgement:
    """A failure that says the first of `faults` and counts the others; without faults, a pass that says `otherwise`."""
    if not faults:
        return Judgement(passed=True, seen=otherwise, evidence={**evidence, "faults": []})
    more = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
    seen = f"{faults[0][:1].upper()}{faults[0][1:]}{more}."
    return Judgement(passed=False, seen=seen, evidence={**evidence, "faults": list(faults)})
