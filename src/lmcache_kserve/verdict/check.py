"""A check is one row: what it promises, what it needs, how it is judged and what explains its failure."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from lmcache_kserve.evidence import Evidence

Need = Callable[[Evidence], str | None]
"""Returns why a check cannot apply to a release, or None where the check applies; see `needs`."""

Cause = Callable[[Evidence], str | None]
"""Returns a likely cause of failed checks, or None where the evidence does not show that cause; see `diagnosis`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """What a judge says about the evidence.

    Attributes:
        passed: whether the release kept the promise.
        seen: what the judge saw, in one or more whole sentences.
        evidence: the numbers behind `seen`, as JSON values.
    """

    passed: bool
    seen: str
    evidence: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Result(Judgement):
    """One judged check.

    Attributes:
        id: the check's id.
        causes: why the check failed, as far as the evidence shows; empty for a check that passed.
    """

    id: str
    causes: tuple[str, ...] = ()

    @property
    def summary(self) -> str:
        """What the judge saw and, for a failed check, why."""
        return " ".join([self.seen, *(f"Cause: {cause}." for cause in self.causes)])


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One promise of a release: a row of every report.

    Attributes:
        id: the name in every report, in words joined by hyphens.
        title: the promise, as a sentence without a full stop.
        rule: when the check passes, as Markdown on one line.
        needs: what the check needs; the first need that a release lacks is the reason why the check does not apply.
        judge: decides whether the release kept the promise.
        causes: what may explain a failure, most certain first.
    """

    id: str
    title: str
    rule: str
    needs: tuple[Need, ...] = ()
    judge: Callable[[Evidence], Judgement]
    causes: tuple[Cause, ...] = ()

    def not_applicable(self, evidence: Evidence) -> str | None:
        """Why the check cannot apply to the release; None where the check applies."""
        return next((reason for need in self.needs if (reason := need(evidence))), None)

    def result(self, evidence: Evidence) -> Result:
        """The evidence judged; a failure comes with its causes."""
        judgement = self.judge(evidence)
        causes = () if judgement.passed else tuple(text for cause in self.causes if (text := cause(evidence)))
        return Result(
            id=self.id, passed=judgement.passed, seen=judgement.seen, evidence=judgement.evidence, causes=causes
        )
