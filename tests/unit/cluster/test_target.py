"""What a release on a cluster says about itself, and the ways into its pods."""

from datetime import UTC, datetime

import httpx2
import pytest
from fake_cluster import FakeCluster, unready
from fake_objects import PASSWORD, SERVICE, inference_service

from lmcache_kserve.cluster.api import Api
from lmcache_kserve.cluster.logs import parse
from lmcache_kserve.cluster.target import ClusterTarget
from lmcache_kserve.waiting import wait_for


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


def test_each_replica_has_its_own_address(fake: FakeCluster, api: Api) -> None:
    fake.release.replicas[1].end()
    with ClusterTarget(api, "demo") as target:
        first, second = target.replicas
        assert httpx2.get(f"{first.openai_url}/models").status_code == 200
        with pytest.raises(httpx2.HTTPError):
            httpx2.get(f"{second.openai_url}/models")


def test_more_than_one_message_goes_both_ways(api: Api) -> None:
    with ClusterTarget(api, "demo") as target, httpx2.Client() as client:
        body = {"prompt": "word " * 70_000, "max_tokens": 3, "stream": True}
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
