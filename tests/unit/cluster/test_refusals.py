"""What can be wrong with a release before anything is measured, and what the user is told."""

from pathlib import Path
from typing import Any

import pytest
from fake_cluster import FakeCluster, cluster, connect, failure, unready, write_kubeconfig
from fake_objects import SERVICE, inference_service

from lmcache_kserve.cluster.api import Api, ForbiddenError
from lmcache_kserve.cluster.target import ClusterTarget
from lmcache_kserve.errors import HarnessError
from lmcache_kserve.waiting import wait_for


def test_a_missing_kubeconfig_is_named(tmp_path: Path) -> None:
    with pytest.raises(HarnessError, match=r"there is no kubeconfig .*absent"):
        Api.connect(namespace="llm", kubeconfig=tmp_path / "absent")


def test_without_any_kubeconfig_the_message_says_where_one_is_looked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kubernetes.config.kube_config.KUBE_CONFIG_DEFAULT_LOCATION", "/nowhere/kubeconfig")
    with pytest.raises(HarnessError, match="set KUBECONFIG, or give --kubeconfig"):
        Api.connect(namespace="llm")


def test_an_unknown_context_is_named(fake: FakeCluster, tmp_path: Path) -> None:
    path = write_kubeconfig(tmp_path / "kubeconfig", fake)
    with pytest.raises(HarnessError, match="staging"):
        Api.connect(namespace="llm", kubeconfig=path, context="staging")


def test_a_cluster_that_does_not_answer_is_named(tmp_path: Path) -> None:
    with cluster() as fake:
        api = connect(fake, tmp_path)
        url = fake.url
    assert f"cannot reach the cluster at {url}" in failure(api)


def test_an_unknown_release_is_answered_with_the_known_ones(api: Api) -> None:
    assert "no InferenceService of a release 'demmo' in namespace llm (it has demo)" in failure(api, "demmo")


def test_a_cluster_without_kserve_is_recognised(fake: FakeCluster, api: Api) -> None:
    del fake.objects["inferenceservices"]
    assert "is KServe installed?" in failure(api)


def test_an_inference_service_of_another_origin_is_recognised(fake: FakeCluster, api: Api) -> None:
    fake.objects["inferenceservices"][SERVICE] = inference_service(annotations={})
    assert "was it installed by this chart?" in failure(api)


def test_a_service_that_is_not_ready_is_explained_in_its_conditions_words(fake: FakeCluster, api: Api) -> None:
    fake.objects["inferenceservices"][SERVICE] = inference_service(
        conditions=[
            {"type": "PredictorReady", "status": "False", "message": "Deployment does not have minimum availability."},
            {"type": "Ready", "status": "False"},
        ]
    )
    assert "PredictorReady is False (Deployment does not have minimum availability.)" in failure(api)


def test_a_change_that_kserve_has_not_taken_up_is_waited_for_by_the_user(fake: FakeCluster, api: Api) -> None:
    fake.objects["inferenceservices"][SERVICE] = inference_service(generation=2)
    assert "not yet taken up its last change" in failure(api)


def test_a_pod_that_fits_on_no_node_is_explained_in_the_schedulers_words(fake: FakeCluster, api: Api) -> None:
    words = "0/1 nodes are available: 1 Insufficient nvidia.com/gpu."
    fake.objects["inferenceservices"][SERVICE] = inference_service(conditions=[{"type": "Ready", "status": "False"}])
    fake.objects["pods"]["big"] = unready(
        "big",
        phase="Pending",
        conditions=[{"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": words}],
        containerStatuses=[],
    )
    assert f"pod big is not scheduled: {words}" in failure(api)


@pytest.mark.parametrize(
    ("state", "words"),
    [
        (
            {"state": {"waiting": {"reason": "ImagePullBackOff", "message": "no such image"}}},
            "ImagePullBackOff no such",
        ),
        (
            {
                "state": {"waiting": {"reason": "CrashLoopBackOff"}},
                "lastState": {"terminated": {"exitCode": 137, "reason": "OOMKilled"}},
            },
            "CrashLoopBackOff (last exit code 137)",
        ),
    ],
    ids=["image", "crash"],
)
def test_a_container_that_does_not_start_is_explained(
    fake: FakeCluster, api: Api, state: dict[str, Any], words: str
) -> None:
    fake.objects["inferenceservices"][SERVICE] = inference_service(conditions=[{"type": "Ready", "status": "False"}])
    fake.objects["pods"]["bad"] = unready(
        "bad",
        conditions=[{"type": "PodScheduled", "status": "True"}, {"type": "Ready", "status": "False"}],
        containerStatuses=[{"name": "kserve-container", **state}],
    )
    assert f"container kserve-container of pod bad: {words}" in failure(api)


def test_one_replica_is_too_few_for_a_hit_across_replicas(fake: FakeCluster, api: Api) -> None:
    del fake.objects["pods"][f"{SERVICE}-predictor-2"]
    assert "1 ready replicas, and a hit across replicas needs 2: set predictor.replicas" in failure(api)


def test_a_backend_left_at_zero_is_said_with_the_command_that_undoes_it(fake: FakeCluster, api: Api) -> None:
    fake.objects["deployments"]["demo-lmcache-kserve-redis"]["spec"]["replicas"] = 0
    assert "kubectl -n llm scale deployments/demo-lmcache-kserve-redis --replicas=1" in failure(api)


@pytest.mark.parametrize(
    ("refused", "words"),
    [
        ("inferenceservices", "not allowed to list inferenceservices of the group serving.kserve.io in namespace llm"),
        ("pods", "not allowed to list pods in namespace llm"),
        ("configmaps", "not allowed to get configmaps demo-lmcache-kserve-lmcache in namespace llm"),
        ("secrets", "not allowed to get secrets demo-lmcache-kserve-redis in namespace llm"),
        ("deployments", "not allowed to list deployments of the group apps in namespace llm"),
        (
            "servingruntimes",
            f"not allowed to get servingruntimes of the group serving.kserve.io {SERVICE} in namespace llm",
        ),
    ],
)
def test_a_missing_permission_is_named_by_verb_and_resource(
    fake: FakeCluster, api: Api, refused: str, words: str
) -> None:
    fake.refused = {refused}
    text = failure(api)
    assert words in text
    assert "docs/verify-role.yaml" in text
    assert f'User "someone" cannot {words.split()[3]}' in text


def test_a_refused_port_forward_is_met_before_anything_is_measured(fake: FakeCluster, api: Api) -> None:
    fake.refused = {"pods/portforward"}
    target = ClusterTarget(api, "demo")
    with pytest.raises(ForbiddenError, match="pods/portforward"):
        target.__enter__()


def test_refused_logs_are_said_when_they_are_asked_for(fake: FakeCluster, api: Api) -> None:
    fake.refused = {"pods/log"}
    with ClusterTarget(api, "demo") as target:
        replica = target.replicas[0]

        def refused() -> bool:
            try:
                replica.logs()
            except ForbiddenError as error:
                return "pods/log" in str(error)
            return False

        wait_for(refused, timeout=5, delay=0.01, describe="the refusal")


@pytest.mark.parametrize(
    ("data", "words"),
    [({}, "has no lmcache_config.yaml"), (None, "is in no ConfigMap of pod")],
    ids=["no key", "no volume"],
)
def test_a_configuration_that_cannot_be_read_is_named(
    fake: FakeCluster, api: Api, data: dict[str, str] | None, words: str
) -> None:
    if data is None:
        for manifest in fake.objects["pods"].values():
            manifest["spec"]["volumes"] = []
    else:
        fake.objects["configmaps"]["demo-lmcache-kserve-lmcache"]["data"] = data
    assert words in failure(api)
