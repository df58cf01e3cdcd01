"""What the values file documents as outside a policy: the choice of who sets the value, and no fault of the values."""

import re
from dataclasses import dataclass

from lmcache_kserve.chart.manifests import Violation


@dataclass(frozen=True, slots=True, kw_only=True)
class Documented:
    """One documented exception.

    Attributes:
        policy: id of the policy.
        object: pattern of the object, as `describe` names it.
        place: pattern of path and message, as `path: message`.
        value: the value that a user chose.
        reason: what the choice asks of the namespace.
    """

    policy: str
    object: re.Pattern[str]
    place: re.Pattern[str]
    value: str
    reason: str

    def covers(self, policy: str, violation: Violation) -> bool:
        """Whether this is what the exception is about, and nothing more."""
        return (
            policy == self.policy
            and self.object.fullmatch(violation.object) is not None
            and self.place.fullmatch(f"{violation.path}: {violation.message}") is not None
        )


DOCUMENTED = (
    Documented(
        policy="restricted-pod-security",
        object=re.compile(r"Deployment/.*infinistore"),
        place=re.compile(
            r"containers\[infinistore\]\.securityContext\."
            r"(capabilities\.add: must not contain IPC_LOCK, SYS_RESOURCE|runAsNonRoot: .*|runAsUser: .*)"
        ),
        value="remoteBackend.type infinistore",
        reason="InfiniStore runs as root with IPC_LOCK and SYS_RESOURCE; the namespace must admit that",
    ),
    Documented(
        policy="restricted-pod-security",
        object=re.compile(r"(InferenceService|DaemonSet)/.*"),
        place=re.compile(r"volumes\[shm\]: must not be a hostPath of /dev/shm"),
        value="lmcache.multiprocess.hostSharedMemory",
        reason="the pods mount the node's /dev/shm; the namespace must admit that",
    ),
    Documented(
        policy="restricted-pod-security",
        object=re.compile(r"InferenceService/.*"),
        place=re.compile(r"hostNetwork: must not be true"),
        value="predictor.hostNetwork",
        reason="the pods use the node's network; the namespace must admit that",
    ),
)
