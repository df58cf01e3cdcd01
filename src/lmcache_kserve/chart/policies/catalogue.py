"""Every policy as one row, and their judgement of a release."""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from enum import StrEnum
from functools import partial

from lmcache_kserve.chart.manifests import Manifests, Violation
from lmcache_kserve.chart.policies.containers import hash_seed_is_fixed, images_are_pinned, memory_is_bounded
from lmcache_kserve.chart.policies.exceptions import DOCUMENTED, Documented
from lmcache_kserve.chart.policies.names import kserve_owns_its_labels, names_are_valid
from lmcache_kserve.chart.policies.references import references_exist
from lmcache_kserve.chart.policies.secrecy import secrets_stay_secret
from lmcache_kserve.chart.policies.security import restricted_pod_security
from lmcache_kserve.chart.policies.structure import (
    env_values_are_strings,
    mounts_have_volumes,
    no_duplicates,
    nothing_is_null,
)

Judge = Callable[[Manifests], list[Violation]]
"""Returns everything in a release that breaks one rule."""


class Subject(StrEnum):
    """What a policy applies to."""

    OBJECTS = "objects"
    RUNNING_PODS = "pods as they run"
    WRITTEN_PODS = "pods as they are written"


@dataclass(frozen=True, slots=True)
class Policy:
    """One rule that every release keeps.

    Attributes:
        id: name of the rule in reports.
        title: the rule as a sentence.
        subject: what the rule applies to.
        judge: finds what breaks the rule.
    """

    id: str
    title: str
    subject: Subject
    judge: Judge

    def breaches(self, manifests: Manifests) -> list["Breach"]:
        """What breaks the rule, with the documented exception that covers it."""
        return [
            Breach(violation, next((one for one in DOCUMENTED if one.covers(self.id, violation)), None))
            for violation in self.judge(manifests)
        ]


@dataclass(frozen=True, slots=True)
class Breach:
    """A violation of a policy.

    Attributes:
        violation: what is wrong, and where.
        exception: the documented exception that covers the violation; None where it is a fault.
    """

    violation: Violation
    exception: Documented | None


POLICIES: tuple[Policy, ...] = (
    Policy(
        "restricted-pod-security",
        "Every pod is admitted by the restricted Pod Security Standard.",
        Subject.RUNNING_PODS,
        restricted_pod_security,
    ),
    Policy(
        "strings-are-quoted",
        "Environment variables, labels and annotations are strings.",
        Subject.WRITTEN_PODS,
        env_values_are_strings,
    ),
    Policy("no-duplicates", "Nothing that has a key is listed twice.", Subject.WRITTEN_PODS, no_duplicates),
    Policy("mounts-have-volumes", "Every mount names a volume.", Subject.RUNNING_PODS, mounts_have_volumes),
    Policy("images-are-pinned", "Every image has a digest or a fixed tag.", Subject.RUNNING_PODS, images_are_pinned),
    Policy(
        "resources-are-bounded",
        "Every container requests CPU and memory and limits its memory.",
        Subject.RUNNING_PODS,
        memory_is_bounded,
    ),
    Policy("secrets-stay-secret", "Passwords stand in Secrets only.", Subject.OBJECTS, secrets_stay_secret),
    Policy(
        "kserve-owns-its-labels",
        "No object looks like one that KServe made.",
        Subject.OBJECTS,
        kserve_owns_its_labels,
    ),
    Policy("names-are-valid", "Names and labels keep their limits.", Subject.OBJECTS, names_are_valid),
    Policy("hash-seed-is-fixed", "All replicas compute the same keys.", Subject.RUNNING_PODS, hash_seed_is_fixed),
    Policy("nothing-is-null", "Every field has a value.", Subject.OBJECTS, nothing_is_null),
)
"""Every policy that needs nothing but the rendered objects, in the order of the report."""


def catalogue(external: Collection[str] = ()) -> tuple[Policy, ...]:
    """Every policy.

    Args:
        external: names of Secrets, ConfigMaps and claims that the namespace holds already.
    """
    references = Policy(
        "references-exist",
        "What a pod refers to exists.",
        Subject.RUNNING_PODS,
        partial(references_exist, external=external),
    )
    return (*POLICIES, references)


def check(manifests: Manifests, *, external: Collection[str] = ()) -> list[Violation]:
    """What breaks any policy, documented exceptions left out.

    Args:
        manifests: what was rendered.
        external: names of Secrets, ConfigMaps and claims that the namespace holds already.
    """
    return [
        breach.violation
        for policy in catalogue(external)
        for breach in policy.breaches(manifests)
        if breach.exception is None
    ]
