"""Mode multiprocess: replicas and the LMCache servers that they use."""

from typing import Any

from fake_cluster import FakeCluster, failure
from fake_objects import PASSWORD, SERVICE, inference_service, pod

from lmcache_kserve.cluster.api import Api
from lmcache_kserve.cluster.target import ClusterTarget

RESP = '{"type":"resp","host":"demo-lmcache-kserve-redis.llm.svc","port":6379}'


NODE_LABELS = {"app.kubernetes.io/instance": "demo", "app.kubernetes.io/component": "cache-server"}


SERVER_CONTAINER: dict[str, Any] = {
    "name": "lmcache-server",
    "image": "lmcache-kserve/vllm-cpu:0.1.0",
    "command": ["python3", "/etc/lmcache-kserve/mp_server.py"],
    "args": ["--", "--port=5555", "--chunk-size=128", "--l2-adapter", RESP],
    "env": [
        {
            "name": "LMCACHE_RESP_PASSWORD",
            "valueFrom": {"secretKeyRef": {"name": "demo-lmcache-kserve-redis", "key": "password"}},
        }
    ],
}


def multiprocess(fake: FakeCluster, *, sidecar: bool, nodes: tuple[str, str] = ("a", "b")) -> None:
    """Make the release one of mode multiprocess, its predictor pods on these nodes."""
    annotations = {"lmcache-kserve/remote-backend": "redis", "lmcache-kserve/mode": "multiprocess"}
    fake.objects["inferenceservices"][SERVICE] = inference_service(annotations=annotations)
    names = [name for name in fake.objects["pods"] if "predictor" in name]
    for name, node in zip(names, nodes, strict=True):
        spec = fake.objects["pods"][name]["spec"]
        spec["nodeName"] = node
        spec["containers"][0]["env"] = [{"name": "PYTHONHASHSEED", "value": "0"}]
        if sidecar:
            spec["initContainers"] = [{"name": "wait"}, {**SERVER_CONTAINER, "restartPolicy": "Always"}]
    for node in set() if sidecar else {*nodes}:
        server = pod(f"cache-{node}", labels=NODE_LABELS, container=SERVER_CONTAINER)
        server["spec"]["nodeName"] = node
        fake.objects["pods"][f"cache-{node}"] = server
        fake.logs[f"cache-{node}"] = (fake.release.replicas[0], 0)


def test_the_settings_of_mode_multiprocess_are_its_sidecars(fake: FakeCluster, api: Api) -> None:
    multiprocess(fake, sidecar=True)
    with ClusterTarget(api, "demo") as target:
        assert (target.mode, target.chunk_size) == ("multiprocess", 128)
        assert all(replica.cache_server == replica.pod.name for replica in target.replicas)
        assert target.secrets == [PASSWORD]
        assert target.backend
        assert target.backend.client_reconnects
        assert target.backend.contents().entries_per_chunk == 1


def test_a_replica_is_served_by_the_server_of_its_node(fake: FakeCluster, api: Api) -> None:
    multiprocess(fake, sidecar=False, nodes=("a", "b"))
    with ClusterTarget(api, "demo") as target:
        assert [replica.cache_server for replica in target.replicas] == ["cache-a", "cache-b"]


def test_replicas_of_one_node_are_served_by_one_server(fake: FakeCluster, api: Api) -> None:
    multiprocess(fake, sidecar=False, nodes=("a", "a"))
    with ClusterTarget(api, "demo") as target:
        assert [replica.cache_server for replica in target.replicas] == ["cache-a", "cache-a"]


def test_a_node_without_a_server_is_named(fake: FakeCluster, api: Api) -> None:
    multiprocess(fake, sidecar=False)
    del fake.objects["pods"]["cache-a"]
    assert "no LMCache server on its node a" in failure(api)


def test_in_mode_in_process_there_is_no_server_to_interrupt(api: Api) -> None:
    with ClusterTarget(api, "demo") as target:
        assert target.cache_server is None
        assert target.replicas[0].cache_server is None


def test_a_server_is_ended_in_its_container_and_awaited(fake: FakeCluster, api: Api) -> None:
    multiprocess(fake, sidecar=False)
    server = fake.objects["pods"]["cache-b"]["status"]["conditions"]
    ready = dict(server[1])
    with ClusterTarget(api, "demo") as target:
        assert target.cache_server
        server[1] = {"type": "Ready", "status": "False"}
        target.cache_server.stop()
        server[1] = ready
        target.cache_server.start()
    (path,) = fake.executed
    assert "/pods/cache-b/exec" in path
    assert "container=lmcache-server" in path
