"""The backend of a release: counted, stopped and started."""

import pytest
from fake_cluster import FakeCluster, lmcache_server
from fake_objects import BACKEND_LABELS, PASSWORD, SERVICE, inference_service, pod

from lmcache_kserve.cluster.api import PODS, Api
from lmcache_kserve.cluster.target import ClusterTarget
from lmcache_kserve.errors import HarnessError


def test_the_backend_is_counted_stopped_and_started(fake: FakeCluster, api: Api) -> None:
    fake.release.store.keys = dict.fromkeys("ab")
    with ClusterTarget(api, "demo") as target:
        backend = target.backend
        assert backend is not None
        assert backend.contents().entries == 4
        backend.stop()
        assert not api.list(PODS, labels=BACKEND_LABELS)
        with pytest.raises(HarnessError, match="cannot read the backend"):
            backend.contents()
        backend.start()
        assert backend.contents().entries == 0


def test_a_backend_that_was_stopped_is_back_whatever_ends_the_run(fake: FakeCluster, api: Api) -> None:
    def interrupted() -> None:
        with ClusterTarget(api, "demo") as target:
            assert target.backend is not None
            target.backend.stop()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert fake.objects["deployments"]["demo-lmcache-kserve-redis"]["spec"]["replicas"] == 1


HEALED = r"something scaled deployments/demo-lmcache-kserve-redis back from 0.*--no-faults"


def test_a_fault_that_something_else_undoes_is_no_evidence(fake: FakeCluster, api: Api) -> None:
    with ClusterTarget(api, "demo") as target:
        assert target.backend is not None
        target.backend.stop()
        fake.scale("demo-lmcache-kserve-redis", 1)
        with pytest.raises(HarnessError, match=HEALED):
            target.backend.start()
    assert fake.objects["deployments"]["demo-lmcache-kserve-redis"]["spec"]["replicas"] == 1


def test_an_interruption_stays_one_although_something_else_undid_the_fault(fake: FakeCluster, api: Api) -> None:
    def interrupted() -> None:
        with ClusterTarget(api, "demo") as target:
            assert target.backend is not None
            target.backend.stop()
            fake.scale("demo-lmcache-kserve-redis", 1)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()


def test_a_fault_that_something_else_undoes_at_once_is_not_waited_for(
    fake: FakeCluster, api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    scale = fake.scale

    def healed(name: str, replicas: int) -> None:
        scale(name, replicas)
        if not replicas:
            scale(name, 1)

    monkeypatch.setattr(fake, "scale", healed)
    with ClusterTarget(api, "demo") as target:
        assert target.backend is not None
        with pytest.raises(HarnessError, match=HEALED):
            target.backend.stop()
        with pytest.raises(HarnessError, match=HEALED):
            target.backend.start()


def test_the_password_is_not_in_a_backends_description(api: Api) -> None:
    with ClusterTarget(api, "demo") as target:
        assert PASSWORD not in repr(target.backend)


def test_a_server_that_cannot_be_asked_is_measured_by_its_memory(fake: FakeCluster, api: Api) -> None:
    lmcache_server(fake)
    with ClusterTarget(api, "demo") as target:
        assert target.backend is not None
        assert target.backend.contents().size_bytes == 2048 * 1024
        assert target.backend.contents().entries is None
        fake.exec_output = None
        with pytest.raises(HarnessError) as raised:
            target.backend.contents()
    assert "cat: not found" in raised.value.__notes__


def test_a_backend_of_several_parts_is_asked_through_the_one_that_clients_connect_to(
    fake: FakeCluster, api: Api
) -> None:
    annotations = {"lmcache-kserve/remote-backend": "redis-sentinel", "lmcache-kserve/mode": "in-process"}
    fake.objects["inferenceservices"][SERVICE] = inference_service(annotations=annotations)
    pods = fake.objects["pods"]
    (proxy,) = (name for name in pods if "-redis-" in name)
    pods[proxy]["metadata"]["labels"]["lmcache-kserve/part"] = "proxy"
    container = {"name": "redis", "image": "redis:8.2.2", "ports": [{"containerPort": 6379}]}
    node = pod("a-node", labels={**BACKEND_LABELS, "lmcache-kserve/part": "redis"}, container=container)
    fake.objects["pods"] = {"a-node": node, **pods}
    fake.release.store.keys = dict.fromkeys("ab")
    with ClusterTarget(api, "demo") as target:
        assert target.backend is not None
        assert target.backend.contents().entries == 4
        assert target.versions["redis-sentinel image"] == "redis:8.2.1, redis:8.2.2"
    assert {name for name in (proxy, "a-node") if any("portforward" in r and name in r for r in fake.requests)} == {
        proxy
    }


def test_an_external_backend_is_asked_from_a_predictors_pod_and_never_stopped(fake: FakeCluster, api: Api) -> None:
    fake.objects["deployments"].clear()
    fake.exec_output = "12 34567\n"
    with ClusterTarget(api, "demo") as target:
        assert target.backend is not None
        assert not target.backend.controllable
        assert (target.backend.contents().entries, target.backend.contents().size_bytes) == (12, 34567)
        assert f"create pods/exec {SERVICE}-predictor-1" in fake.requests
        with pytest.raises(HarnessError, match="does not run the backend"):
            target.backend.stop()


def test_chunks_on_a_shared_volume_are_counted_in_a_predictors_pod(fake: FakeCluster, api: Api) -> None:
    fake.objects["deployments"].clear()
    annotations = {"lmcache-kserve/remote-backend": "filesystem", "lmcache-kserve/mode": "in-process"}
    fake.objects["inferenceservices"][SERVICE] = inference_service(annotations=annotations)
    fake.exec_output = "3 300\n"
    with ClusterTarget(api, "demo") as target:
        assert target.backend is not None
        assert (target.backend.contents().entries, target.backend.contents().entries_per_chunk) == (3, 1)
        assert f"create pods/exec {SERVICE}-predictor-1" in fake.requests
