"""Judges rendered objects as an API server would: strict schemas of many Kubernetes and KServe versions, offline."""

from lmcache_kserve.chart.schemas.validation import (
    KSERVE_VERSIONS,
    KUBERNETES_VERSIONS,
    SchemaError,
    belongs_to_an_operator,
    of_kserve,
    pick,
    validate,
    violations,
)

__all__ = [
    "KSERVE_VERSIONS",
    "KUBERNETES_VERSIONS",
    "SchemaError",
    "belongs_to_an_operator",
    "of_kserve",
    "pick",
    "validate",
    "violations",
]
