"""Judges evidence: one check for each promise of a release.

Pure functions: the same evidence always gives the same verdict. A check whose evidence is missing or could not be read
fails and says why; a check that cannot apply to a release is not in the verdict but in `Evidence.not_applicable`.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace

from lmcache_kserve.evidence import Evidence
from lmcache_kserve.verdict import answers, diagnosis, logs, reuse
from lmcache_kserve.verdict.check import CHECKS, Check, Thresholds

__all__ = ["CHECKS", "Check", "Thresholds", "judge"]

_JUDGES: Mapping[str, Callable[[Evidence, Thresholds], Check]] = {
    "cross-replica-hit": reuse.cross_replica_hit,
    "restart-hit": reuse.restart_hit,
    "backend-grew": reuse.backend_grew,
    "external-hits-metric": reuse.external_hits_metric,
    "identical-output": answers.identical_output,
    "ttft": answers.ttft,
    "backend-outage": answers.backend_outage,
    "cache-server-outage": answers.cache_server_outage,
    "replica-kill": answers.replica_kill,
    "clean-logs": logs.clean_logs,
}


def judge(evidence: Evidence, thresholds: Thresholds | None = None) -> tuple[Check, ...]:
    """Judge every check that applies, in the order of `CHECKS`."""
    limits = thresholds or Thresholds()
    checks = (_JUDGES[name](evidence, limits) for name in CHECKS if name not in evidence.not_applicable)
    return tuple(
        check if check.passed else replace(check, causes=diagnosis.explain(evidence, check.id)) for check in checks
    )
