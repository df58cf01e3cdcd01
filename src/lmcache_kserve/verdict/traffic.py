"""What the steady traffic has to show: every request answered, and every answer correct."""

from collections.abc import Sequence
from typing import Any

from lmcache_kserve.evidence import Answer


def answer_faults(answers: Sequence[Answer]) -> list[str]:
    """One sentence for each request that was not answered or was answered wrongly."""
    faults = []
    for answer in answers:
        request = f"request {answer.request_id} to {answer.replica} {answer.phase} the fault"
        if answer.error is not None:
            faults.append(f"{request} was not answered: {answer.error}")
        elif not answer.correct:
            faults.append(f"{request} was answered wrongly")
    return faults


def answer_facts(answers: Sequence[Answer]) -> dict[str, Any]:
    """The numbers of the traffic, as JSON values; `slowest_s` is in seconds."""
    return {
        "requests": len(answers),
        "answered": sum(answer.error is None for answer in answers),
        "correct": sum(bool(answer.correct) for answer in answers),
        "slowest_s": max((answer.total_s for answer in answers), default=None),
    }
