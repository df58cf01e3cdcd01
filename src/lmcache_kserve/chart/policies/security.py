"""The restricted Pod Security Standard.

Source: https://kubernetes.io/docs/concepts/security/pod-security-standards/#restricted
"""

from collections.abc import Iterator, Mapping
from typing import Any

from lmcache_kserve.chart.manifests import Manifests, Violation
from lmcache_kserve.chart.policies.pods import running_pods

_VOLUMES = frozenset(
    {
        "configMap",
        "csi",
        "downwardAPI",
        "emptyDir",
        "ephemeral",
        "persistentVolumeClaim",
        "projected",
        "secret",
    }
)
_SECCOMP_PROFILES = frozenset({"RuntimeDefault", "Localhost"})
_CAPABILITIES = frozenset({"NET_BIND_SERVICE"})


def restricted_pod_security(manifests: Manifests) -> list[Violation]:
    """Every pod is admitted to a namespace that enforces the restricted Pod Security Standard."""
    found = []
    for pod in running_pods(manifests):
        found += [Violation(pod.object, path, message) for path, message in _pod(pod.spec)]
        for path, container in pod.containers():
            found += [
                Violation(pod.object, f"{path}.{where}", message)
                for where, message in _container(container, pod.spec.get("securityContext") or {})
            ]
    return found


def _pod(spec: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for field in ("hostIPC", "hostNetwork", "hostPID"):
        if spec.get(field):
            yield field, "must not be true"
    if (spec.get("securityContext") or {}).get("runAsUser") == 0:
        yield "securityContext.runAsUser", "must not be 0"
    for volume in spec.get("volumes") or ():
        for kind in sorted(set(volume) - {"name"} - _VOLUMES):
            of = f" of {volume[kind].get('path')}" if kind == "hostPath" else ""
            yield f"volumes[{volume.get('name')}]", f"must not be a {kind}{of}"


def _container(container: Mapping[str, Any], pod: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    own = container.get("securityContext") or {}
    capabilities = own.get("capabilities") or {}
    excess = sorted(set(capabilities.get("add") or ()) - _CAPABILITIES)
    seccomp = (own.get("seccompProfile") or pod.get("seccompProfile") or {}).get("type")
    rules = {
        "privileged": (not own.get("privileged"), "must not be true"),
        "allowPrivilegeEscalation": (own.get("allowPrivilegeEscalation") is False, "must be false"),
        "capabilities.drop": ("ALL" in (capabilities.get("drop") or ()), "must contain ALL"),
        "capabilities.add": (not excess, f"must not contain {', '.join(excess)}"),
        "runAsNonRoot": (own.get("runAsNonRoot", pod.get("runAsNonRoot")) is True, "must be true, here or for the pod"),
        "runAsUser": (own.get("runAsUser") != 0, "must not be 0"),
        "seccompProfile.type": (seccomp in _SECCOMP_PROFILES, "must be RuntimeDefault, here or for the pod"),
        "procMount": (own.get("procMount", "Default") == "Default", "must be Default"),
    }
    for field, (kept, message) in rules.items():
        if not kept:
            yield f"securityContext.{field}", message
    for port in container.get("ports") or ():
        if port.get("hostPort"):
            yield f"ports[{port.get('containerPort')}].hostPort", "must not be set"
