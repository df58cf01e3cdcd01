"""What a judged check is, what counts as proof, and the sentences that checks share."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from lmcache_kserve.evidence import Evidence, Unreadable

CHECKS = (
    "cross-replica-hit",
    "restart-hit",
    "backend-grew",
    "external-hits-metric",
    "identical-output",
    "ttft",
    "backend-outage",
    "cache-server-outage",
    "replica-kill",
    "clean-logs",
)
"""Every check's id, in order of report."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Thresholds:
    """What counts as proof.

    Attributes:
        hit_share: least part of a prompt's whole chunks that has to hit.
        pairs: least number of measured pairs for a statement about TTFT.
        median_ratio: least median of cold / warm TTFT.
        lower_bound: the 5 % bound of that median has to be above this.
        counted_share: least part of the logged hit tokens that vLLM's own metric has to count.
    """

    hit_share: float = 0.95
    pairs: int = 12
    median_ratio: float = 1.3
    lower_bound: float = 1.0
    counted_share: float = 0.95


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One judged promise.

    Attributes:
        id: one of `CHECKS`.
        passed: whether the promise was kept.
        observed: what was seen, in one sentence.
        causes: why it failed, as far as the evidence tells.
        evidence: the numbers behind it, as JSON values.
    """

    id: str
    passed: bool
    observed: str
    causes: tuple[str, ...] = ()
    evidence: Mapping[str, Any] = field(default_factory=dict)

    @property
    def summary(self) -> str:
        """What was seen and, for a failed check, why."""
        return " ".join([self.observed, *(f"Cause: {cause}." for cause in self.causes)])


def unread(name: str, evidence: Evidence, seen: object) -> Check:
    """The failed check of evidence that is missing or could not be read."""
    why = f"The evidence cannot be read: {seen.why}" if isinstance(seen, Unreadable) else not_run(evidence)
    return Check(id=name, passed=False, observed=why)


def not_run(evidence: Evidence) -> str:
    """Why there is no evidence, as a sentence."""
    return f"Not run: {evidence.stopped or 'the experiment did not get this far'}."


def first(faults: Sequence[str]) -> str:
    """The first fault as a sentence, with how many more there are; empty without any."""
    if not faults:
        return ""
    more = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
    return f"{faults[0][:1].upper()}{faults[0][1:]}{more}."
