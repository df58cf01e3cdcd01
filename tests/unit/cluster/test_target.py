"""A release on a cluster, against an API server that speaks real HTTP and real websockets."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx2
import pytest
from fake_cluster import (
    BACKEND_LABELS,
    PASSWORD,
    PREDICTOR_LABELS,
    SERVICE,
    FakeCluster,
    cluster,
    inference_service,
    pod,
    predictor_container,
    read_role,
    write_kubeconfig,
)
from fake_release import FakeClock, FakeTarget
from made_evidence import evidence as good_evidence
from rich.console import Console

from lmcache_kserve.cluster.api import PODS, Api, ConflictError, ForbiddenError, NotFoundError
from lmcache_kserve.cluster.logs import parse
from lmcache_kserve.cluster.target import ClusterTarget
from lmcache_kserve.commands import verify
from lmcache_kserve.errors import HarnessError
from lmcache_kserve.evidence import Evidence
from lmcache_kserve.experiment.measurement import Measurement
from lmcache_kserve.experiment.run import run_experiment
from lmcache_kserve.verdict import judge
from lmcache_kserve.waiting import wait_for

ROLE = Path(__file__).parents[3] / "docs" / "verify-role.yaml"


@pytest.fixture
def fake() -> Iterator[FakeCluster]:
    with cluster() as started:
        yield started


@pytest.fixture
def api(fake: FakeCluster, tmp_path: Path) -> Api:
    return connect(fake, tmp_path)


def connect(fake: FakeCluster, folder: Path, *, namespace: str = "llm") -> Api:
    return Api.connect(namespace=namespace, kubeconfig=write_kubeconfig(folder / "kubeconfig", fake))


def failure(api: Api, release: str = "demo") -> str:
    with pytest.raises(HarnessError) as raised:
        ClusterTarget(api, release)
    return "\n".join([str(raised.value), *getattr(raised.value, "__notes__", ())])


def unready(name: str, **status: Any) -> dict[str, Any]:
    return pod(name, labels=PREDICTOR_LABELS, container=predictor_container(), **status)


# What can be wrong before anything is measured.


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


# What a release says about itself.


def test_the_live_pods_tell_how_the_release_was_configured(api: Api) -> None:
    with ClusterTarget(api, "demo") as target:
        assert target.kind == "cluster"
        assert target.mode == "in-process"
        assert target.backend_type == "redis"
        assert target.model_name == "tiny"
        assert target.chunk_size == 256
        assert target.secrets == [PASSWORD]
        assert [replica.name for replica in target.replicas] == ["predictor-0", "predictor-1"]
        assert target.replicas[0].environment["PYTHONHASHSEED"] == "0"
        assert "NODE" not in target.replicas[0].environment
        assert target.versions["kubernetes"] == "v1.34.4"
        assert target.versions["predictor image"] == "lmcache-kserve/vllm-cpu:0.1.0"
        assert target.versions["redis image"] == "redis:8.2.1"


def test_the_charts_version_is_read_where_the_chart_writes_it_and_not_the_harnesss(api: Api) -> None:
    with ClusterTarget(api, "demo") as target:
        assert target.versions["chart"] == "0.2.0"


@pytest.mark.parametrize("labels", [{}, {"helm.sh/chart": "lmcache-kserve"}, None], ids=["none", "cut", "no runtime"])
def test_a_chart_version_that_the_release_does_not_tell_is_said_to_be_unknown(
    fake: FakeCluster, api: Api, labels: dict[str, str] | None
) -> None:
    if labels is None:
        fake.objects["servingruntimes"].clear()
    else:
        fake.objects["servingruntimes"][SERVICE]["metadata"]["labels"] = labels
    with ClusterTarget(api, "demo") as target:
        assert target.versions["chart"] == "unknown"


def test_kserves_own_server_has_its_openai_routes_elsewhere(fake: FakeCluster, api: Api) -> None:
    for name in (f"{SERVICE}-predictor-1", f"{SERVICE}-predictor-2"):
        container = fake.objects["pods"][name]["spec"]["containers"][0]
        container |= {"command": ["python3", "-m", "huggingfaceserver"], "args": ["--model_name=qwen"]}
    with ClusterTarget(api, "demo") as target:
        assert target.replicas[0].openai_url.endswith("/openai/v1")
        assert target.model_name == "qwen"


def test_a_release_without_a_backend_needs_one_replica(fake: FakeCluster, api: Api) -> None:
    annotations = {"lmcache-kserve/remote-backend": "none", "lmcache-kserve/mode": "in-process"}
    fake.objects["inferenceservices"][SERVICE] = inference_service(annotations=annotations)
    del fake.objects["pods"][f"{SERVICE}-predictor-2"]
    with ClusterTarget(api, "demo") as target:
        assert target.backend is None
        assert len(target.replicas) == 1


def test_pods_that_are_about_to_go_are_no_replicas(fake: FakeCluster, api: Api) -> None:
    leaving = unready("leaving")
    leaving["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    fake.objects["pods"]["leaving"] = leaving
    with ClusterTarget(api, "demo") as target:
        assert len(target.replicas) == 2


# Ways into the pods.


def test_each_replica_has_its_own_address(fake: FakeCluster, api: Api) -> None:
    fake.release.replicas[1].end()
    with ClusterTarget(api, "demo") as target:
        first, second = target.replicas
        assert httpx2.get(f"{first.openai_url}/models").status_code == 200
        with pytest.raises(httpx2.HTTPError):
            httpx2.get(f"{second.openai_url}/models")


def test_more_than_one_message_goes_both_ways(api: Api) -> None:
    with ClusterTarget(api, "demo") as target, httpx2.Client() as client:
        body = {"prompt": "word " * 70_000, "max_tokens": 3}
        for _ in range(2):
            answer = client.post(f"{target.replicas[0].openai_url}/completions", json=body)
            assert answer.text.count("data:") == 6


def test_lines_are_read_with_the_kubelets_time_and_nothing_is_read_twice(fake: FakeCluster, api: Api) -> None:
    with ClusterTarget(api, "demo") as target:
        replica = target.replicas[0]
        wait_for(replica.logs, timeout=5, delay=0.01, describe="the first line")
        before = datetime.now(UTC)
        fake.release.replicas[0].log("a later line")
        wait_for(lambda: len(replica.logs()) > 1, timeout=5, delay=0.01, describe="the later line")
        assert ["a later line" in line.text for line in replica.logs(since=before)] == [True]
        assert len(replica.logs()) == 2


def test_a_line_without_a_time_is_none_of_the_containers() -> None:
    assert parse("unable to retrieve container logs for containerd://1") is None
    line = parse("2026-11-25T00:42:21.405882123+01:00 text with  spaces")
    assert line is not None
    assert line.text == "text with  spaces"
    assert line.time == datetime(2026, 11, 24, 23, 42, 21, 405882, tzinfo=UTC)


# Faults.


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


def test_the_backend_is_counted_stopped_and_started(fake: FakeCluster, api: Api) -> None:
    fake.release.store.keys = {"a", "b"}
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


def lmcache_server(fake: FakeCluster) -> None:
    annotations = {"lmcache-kserve/remote-backend": "lmcache-server", "lmcache-kserve/mode": "in-process"}
    fake.objects["inferenceservices"][SERVICE] = inference_service(annotations=annotations)


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
    fake.release.store.keys = {"a", "b"}
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


def test_replicas_that_lost_their_backend_for_good_are_restarted_at_the_end(
    fake: FakeCluster, api: Api, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    lmcache_server(fake)

    def interrupt(target: ClusterTarget, **_: object) -> Evidence:
        assert target.backend is not None
        target.backend.stop()
        target.backend.start()
        return good_evidence()

    monkeypatch.setattr(verify, "run_experiment", interrupt)
    monkeypatch.setattr(Api, "connect", lambda **_: api)
    before = set(fake.logs)
    console = Console(quiet=True)
    assert verify.run(options(tmp_path), console=console)
    assert set(fake.objects["pods"]).isdisjoint(before)
    assert (tmp_path / "logs" / "predictor-0.log").exists()
    assert (tmp_path / "report.json").exists()


def options(out: Path) -> verify.Options:
    return verify.Options(
        release="demo",
        namespace="llm",
        kubeconfig=None,
        context=None,
        measurement=Measurement(),
        out=out,
        command=("lmcache-kserve", "verify", "demo"),
    )


# Mode multiprocess.

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


# The whole of it.


def test_the_role_of_the_documentation_suffices_for_every_check_and_holds_nothing_more(tmp_path: Path) -> None:
    rules = read_role(ROLE)
    with cluster(FakeTarget(), rules=rules) as fake, ClusterTarget(connect(fake, tmp_path), "demo") as target:
        evidence = run_experiment(
            target,
            measurement=Measurement(
                pairs=3, warmup_pairs=1, prompt_tokens=600, traffic_interval_s=0.01, survivor_interval_s=0.01, seed=7
            ),
        )
        checks = {check.id: check for check in judge(evidence)}
    failed = {name: check.summary for name, check in checks.items() if not check.passed}
    # The fake answers at once, warm or cold, so its TTFT says nothing. Its page of metrics is not at /metrics.
    assert set(failed) - {"ttft"} == {"external-hits-metric"}, failed
    allowed = {
        (resource, verb)
        for rule in rules
        for resource in rule.resources
        for verb in rule.verbs
        # Kubernetes asks for one of the two, by its version.
        if (resource, verb) != ("pods/portforward", "get")
    }
    assert allowed == {need for rule in rules for need in rule.used}
