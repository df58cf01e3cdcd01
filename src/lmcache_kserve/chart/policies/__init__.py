"""Rules that every render of the chart keeps and that no schema states: what runs, runs restricted, bounded and pinned.

A policy is a function from rendered objects to violations, and one row of `catalogue`. An InferenceService and its
ServingRuntime each hold one half of the predictor's pod. Policies about pods as they run judge the pod that KServe
builds of both. Policies about pods as they are written judge each half: merging would hide a duplicate.
"""

from lmcache_kserve.chart.policies.catalogue import POLICIES, Breach, Judge, Policy, catalogue, check
from lmcache_kserve.chart.policies.containers import hash_seed_is_fixed, images_are_pinned, memory_is_bounded
from lmcache_kserve.chart.policies.names import kserve_owns_its_labels, names_are_valid
from lmcache_kserve.chart.policies.references import external_names, references_exist
from lmcache_kserve.chart.policies.secrecy import secrets_stay_secret
from lmcache_kserve.chart.policies.security import restricted_pod_security
from lmcache_kserve.chart.policies.structure import (
    env_values_are_strings,
    mounts_have_volumes,
    no_duplicates,
    nothing_is_null,
)

__all__ = [
    "POLICIES",
    "Breach",
    "Judge",
    "Policy",
    "catalogue",
    "check",
    "env_values_are_strings",
    "external_names",
    "hash_seed_is_fixed",
    "images_are_pinned",
    "kserve_owns_its_labels",
    "memory_is_bounded",
    "mounts_have_volumes",
    "names_are_valid",
    "no_duplicates",
    "nothing_is_null",
    "references_exist",
    "restricted_pod_security",
    "secrets_stay_secret",
]
