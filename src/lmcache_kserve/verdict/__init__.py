"""Judges evidence: one check for each promise of a release, each in the module that carries its name.

Judges are pure functions: the same evidence always gives the same verdict. A check fails, and says why, where its
evidence is missing or could not be read.
"""

from lmcache_kserve.evidence import Evidence
from lmcache_kserve.verdict import (
    backend_grew,
    backend_outage,
    cache_server_outage,
    clean_logs,
    cross_replica_hit,
    external_hits_metric,
    identical_output,
    replica_kill,
    restart_hit,
    scale_out,
    ttft,
)
from lmcache_kserve.verdict.check import Check, Result

__all__ = ["CHECKS", "Check", "Result", "judge", "not_applicable"]

CHECKS: tuple[Check, ...] = (
    cross_replica_hit.CHECK,
    restart_hit.CHECK,
    scale_out.CHECK,
    backend_grew.CHECK,
    external_hits_metric.CHECK,
    identical_output.CHECK,
    ttft.CHECK,
    backend_outage.CHECK,
    cache_server_outage.CHECK,
    replica_kill.CHECK,
    clean_logs.CHECK,
)
"""Every check, in the order of every report."""


def judge(evidence: Evidence) -> tuple[Result, ...]:
    """Judge every check that applies to the release, in the order of `CHECKS`."""
    return tuple(check.result(evidence) for check in CHECKS if not check.not_applicable(evidence))


def not_applicable(evidence: Evidence) -> dict[str, str]:
    """Ids of the checks that cannot apply to the release, each with the reason."""
    return {check.id: reason for check in CHECKS if (reason := check.not_applicable(evidence))}
