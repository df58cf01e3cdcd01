import pytest
from made_release import PREDICTOR, Change, Release, volume

from lmcache_kserve.chart import policies


def test_a_release_that_keeps_every_rule_has_no_violations(release: Release) -> None:
    assert policies.check(release.manifests()) == []


def test_a_predictor_on_a_cluster_runtime_is_judged_by_itself(release: Release) -> None:
    release.objects.remove(release.runtime)
    release.model["runtime"] = "kserve-vllmserver"
    assert release.judged_by(policies.hash_seed_is_fixed) == []
    assert release.judged_by(policies.mounts_have_volumes) == [f"{PREDICTOR}.volumeMounts[/dev/shm]"]


def test_a_runtime_that_no_service_uses_is_judged_by_itself(release: Release) -> None:
    release.objects.remove(release.service)
    assert release.judged_by(policies.memory_is_bounded) == [
        f"ServingRuntime/llm containers[kserve-container].resources.{name}"
        for name in ("requests.cpu", "requests.memory", "limits.memory")
    ]


def test_check_applies_every_policy(release: Release) -> None:
    release.objects.remove(release.secret)
    release.container["image"] = "redis"
    assert [violation.path for violation in policies.check(release.manifests())] == [
        "containers[redis].image",
        "containers[kserve-container].env[REMOTE_BACKEND_PASSWORD]",
    ]
    assert len(policies.check(release.manifests(), external=["llm-redis"])) == 1


def test_every_policy_has_its_own_id_and_a_title() -> None:
    rows = policies.catalogue()
    assert len({row.id for row in rows}) == len(rows)
    assert all(row.title.endswith(".") for row in rows)


def infinistore(release: Release) -> None:
    release.deployment["metadata"]["name"] = "llm-infinistore"
    release.container["name"] = "infinistore"
    release.pod["securityContext"].pop("runAsNonRoot")
    release.container["securityContext"]["capabilities"]["add"] = ["IPC_LOCK", "SYS_RESOURCE"]


def shared_memory(release: Release) -> None:
    release.predictor["volumes"].append(volume("shm", hostPath={"path": "/dev/shm"}))  # noqa: S108 - a mount path


@pytest.mark.parametrize("choose", [infinistore, shared_memory])
def test_what_the_values_document_is_an_exception_and_no_fault(release: Release, choose: Change) -> None:
    choose(release)
    assert release.judged_by(policies.restricted_pod_security) != []
    assert policies.check(release.manifests()) == []
    (restricted,) = (row for row in policies.catalogue() if row.id == "restricted-pod-security")
    assert all(breach.exception for breach in restricted.breaches(release.manifests()))


@pytest.mark.parametrize(
    ("choose", "overdo", "where"),
    [
        (
            infinistore,
            lambda r: r.container["securityContext"]["capabilities"]["add"].append("SYS_ADMIN"),
            "containers[infinistore].securityContext.capabilities.add",
        ),
        (
            infinistore,
            lambda r: r.container["securityContext"].update(privileged=True),
            "containers[infinistore].securityContext.privileged",
        ),
        (
            shared_memory,
            lambda r: r.predictor["volumes"][-1].update(hostPath={"path": "/"}),
            "volumes[shm]",
        ),
    ],
)
def test_an_exception_covers_what_is_documented_and_no_more(
    release: Release, choose: Change, overdo: Change, where: str
) -> None:
    choose(release)
    overdo(release)
    assert [violation.path for violation in policies.check(release.manifests())] == [where]
