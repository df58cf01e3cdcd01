"""Whom `helm test` waits for."""

import pytest
from fake_replicas import Cluster, Run


def test_a_replica_that_is_not_ready_in_time_is_named_with_what_it_says(cluster: Cluster, run: Run) -> None:
    cluster.start("a")
    cluster.start("b", ready=False)
    outcome = run(timeout=60)
    assert outcome.code == 1
    assert outcome.verdict.startswith(
        "FAILED: 1 of 2 replicas are ready after 60 s (tests.timeoutSeconds), and the Service names 2 pods: "
    )
    assert f"{cluster.address('b')}/v1/models answers HTTP 503: loading the model" in outcome.verdict
    assert outcome.lines[-2].startswith("look at: kubectl get pods -n models")
    assert 60 <= cluster.clock.now < 65
    # Said once, not with every look.
    assert outcome.text.count("waiting until 2 are ready") == 1


@pytest.mark.usefixtures("cluster")
def test_pods_that_do_not_exist_are_waited_for_and_reported(run: Run) -> None:
    outcome = run(timeout=60)
    assert outcome.code == 1
    assert (
        "0 of 2 replicas are ready after 60 s (tests.timeoutSeconds), and the Service names 0 pods" in outcome.verdict
    )
    assert "llm-pods.models.svc names no pod" in outcome.verdict


def test_a_replica_that_becomes_ready_late_is_used(cluster: Cluster, run: Run) -> None:
    cluster.start("a")
    cluster.start("b", ready=False)
    cluster.clock.events = [(200.0, lambda: setattr(cluster.replicas["b"], "ready", True))]
    assert run().code == 0
    assert cluster.clock.now > 200


def test_a_rollout_is_waited_for(cluster: Cluster, run: Run) -> None:
    cluster.start("old", "a", "b")
    cluster.clock.events = [(20.0, lambda: cluster.forget("old"))]
    assert run().code == 0
    assert {name for name, _ in cluster.release.prompts} == {"a", "b"}


@pytest.mark.parametrize("options", [(), ("--or-more",)], ids=["fixed", "scaled"])
def test_a_further_pod_that_does_not_become_ready_is_no_healthy_release(
    cluster: Cluster, run: Run, options: tuple[str, ...]
) -> None:
    cluster.start("a", "b")
    cluster.start("new", ready=False)
    outcome = run(*options, timeout=60)
    assert outcome.code == 1
    assert "2 of 2 replicas are ready" in outcome.verdict
    assert "the Service names 3 pods" in outcome.verdict


def test_more_replicas_than_the_fewest_are_all_used_where_something_scales_them(cluster: Cluster, run: Run) -> None:
    cluster.start("a", "b", "c")
    outcome = run("--or-more", replicas=1)
    assert outcome.code == 0
    assert "3 replicas" in outcome.verdict


def test_a_pod_replaced_during_the_test_is_followed(cluster: Cluster, run: Run) -> None:
    cluster.start("a", "b")

    def replace() -> None:
        cluster.stop("b")

        def come_back() -> None:
            cluster.forget("b")
            cluster.start("c")

        cluster.clock.events = [(5.0, come_back)]

    cluster.clock.events = [(0.5, replace)]
    outcome = run()
    assert outcome.code == 0
    assert "does not answer" in outcome.text
    assert {name for name, _ in cluster.release.prompts[-2:]} == {"a", "c"}
