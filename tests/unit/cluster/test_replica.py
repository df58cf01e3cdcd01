"""Replicas that are killed, and what comes in their place."""

import httpx2
import pytest
from fake_cluster import FakeCluster, unready
from fake_objects import SERVICE
from fake_release import FakeClock

from lmcache_kserve.cluster.api import PODS, Api, ConflictError, NotFoundError
from lmcache_kserve.cluster.target import ClusterTarget
from lmcache_kserve.errors import HarnessError
from lmcache_kserve.waiting import wait_for


def test_a_killed_replica_is_replaced_at_its_old_address_and_its_old_lines_stay(fake: FakeCluster, api: Api) -> None:
    with ClusterTarget(api, "demo") as target:
        replica = target.replicas[1]
        old_pod, old_url = replica.pod.name, replica.openai_url
        wait_for(replica.logs, timeout=5, delay=0.01, describe="the first line")
        target.kill_replica(1)
        target.restart_replica(1)
        assert replica.pod.name != old_pod
        assert target.replicas[1].openai_url == old_url
        assert httpx2.get(f"{old_url}/models").status_code == 200
        fake.release.replicas[1].log("a line of the new pod")
        wait_for(lambda: "new pod" in replica.logs()[-1].text, timeout=5, delay=0.01, describe="its line")
        assert "Using hash algorithm" in replica.logs()[0].text


def test_a_replica_that_still_runs_is_deleted_before_it_is_replaced(fake: FakeCluster, api: Api) -> None:
    with ClusterTarget(api, "demo") as target:
        old = target.replicas[0].pod.uid
        target.restart_replica(0)
        assert target.replicas[0].pod.uid != old
    assert f"delete pods {SERVICE}-predictor-1" in fake.requests


def test_a_replica_that_does_not_come_back_says_why(
    fake: FakeCluster, api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake.recreates = False
    monkeypatch.setattr("lmcache_kserve.waiting.SystemClock", FakeClock)
    fake.objects["pods"]["new"] = unready(
        "new", conditions=[{"type": "PodScheduled", "status": "False", "message": "1 node(s) were unschedulable"}]
    )
    with ClusterTarget(api, "demo") as target:
        monkeypatch.setattr("lmcache_kserve.cluster.target.READY_TIMEOUT_S", 1.0)
        with pytest.raises(HarnessError) as raised:
            target.restart_replica(0)
    assert "1 node(s) were unschedulable" in raised.value.__notes__[0]


def test_a_pod_of_the_same_name_but_another_uid_is_not_deleted(api: Api) -> None:
    with pytest.raises(ConflictError, match="UID"):
        api.delete_pod(f"{SERVICE}-predictor-1", uid="another")


def test_an_object_that_is_gone_is_told_from_a_failure(api: Api) -> None:
    with pytest.raises(NotFoundError):
        api.get(PODS, "absent")
