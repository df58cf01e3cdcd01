import pytest
from made_release import PREDICTOR, REDIS, Change, Release, volume

from lmcache_kserve.chart import policies


@pytest.mark.parametrize(
    ("change", "where"),
    [
        (lambda r: r.pod.update(hostNetwork=True), "Deployment/llm-redis hostNetwork"),
        (lambda r: r.pod.update(hostPID=True), "Deployment/llm-redis hostPID"),
        (lambda r: r.predictor.update(hostIPC=True), "InferenceService/llm hostIPC"),
        (lambda r: r.pod["securityContext"].update(runAsUser=0), "Deployment/llm-redis securityContext.runAsUser"),
        pytest.param(
            lambda r: r.predictor["volumes"].append(volume("host", hostPath={"path": "/"})),
            "InferenceService/llm volumes[host]",
            id="host path in the service",
        ),
        pytest.param(
            lambda r: r.runtime["spec"]["volumes"].append(volume("host", hostPath={"path": "/"})),
            "InferenceService/llm volumes[host]",
            id="host path in the runtime",
        ),
        (
            lambda r: r.runtime_container["securityContext"].pop("allowPrivilegeEscalation"),
            f"{PREDICTOR}.securityContext.allowPrivilegeEscalation",
        ),
        (lambda r: r.container["securityContext"].update(privileged=True), f"{REDIS}.securityContext.privileged"),
        (
            lambda r: r.container["securityContext"]["capabilities"].update(drop=["NET_RAW"]),
            f"{REDIS}.securityContext.capabilities.drop",
        ),
        (
            lambda r: r.container["securityContext"]["capabilities"].update(add=["IPC_LOCK"]),
            f"{REDIS}.securityContext.capabilities.add",
        ),
        pytest.param(
            lambda r: r.pod["securityContext"].pop("runAsNonRoot"),
            f"{REDIS}.securityContext.runAsNonRoot",
            id="nobody says non-root",
        ),
        pytest.param(
            lambda r: r.container["securityContext"].update(runAsNonRoot=False),
            f"{REDIS}.securityContext.runAsNonRoot",
            id="the container says root",
        ),
        (
            lambda r: r.predictor["securityContext"].pop("seccompProfile"),
            f"{PREDICTOR}.securityContext.seccompProfile.type",
        ),
        (
            lambda r: r.container["securityContext"].update(seccompProfile={"type": "Unconfined"}),
            f"{REDIS}.securityContext.seccompProfile.type",
        ),
        (lambda r: r.container["securityContext"].update(runAsUser=0), f"{REDIS}.securityContext.runAsUser"),
        (lambda r: r.container["securityContext"].update(procMount="Unmasked"), f"{REDIS}.securityContext.procMount"),
        (lambda r: r.container["ports"][0].update(hostPort=1), f"{REDIS}.ports[6379].hostPort"),
    ],
)
def test_what_a_restricted_namespace_refuses_is_found(release: Release, change: Change, where: str) -> None:
    change(release)
    assert release.judged_by(policies.restricted_pod_security) == [where]


def test_an_init_container_is_restricted_too(release: Release) -> None:
    release.pod["initContainers"] = [{"name": "wait", "image": "a:1"}]
    assert [where for where in release.judged_by(policies.restricted_pod_security) if "initContainers[wait]" in where]
