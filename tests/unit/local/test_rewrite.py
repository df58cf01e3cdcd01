import json
from typing import Any

import pytest

from lmcache_kserve.errors import HarnessError
from lmcache_kserve.local.rewrite import Addresses, Rewriter

ADDRESSES = Addresses(
    namespace="models",
    ports={("cache-redis", 6379): 41000, ("cache", 80): 41001, ("node", 6379): 41002},
    pods={("node-0.node", 6379): 41002, ("node-1.node", 6379): 41003},
)


@pytest.mark.parametrize(
    ("written", "local"),
    [
        ("redis://cache-redis:6379/0", "redis://127.0.0.1:41000/0"),
        ("redis://cache-redis.models:6379", "redis://127.0.0.1:41000"),
        ("redis://cache-redis.models.svc:6379/0?x=1", "redis://127.0.0.1:41000/0?x=1"),
        ("cache-redis.models.svc.cluster.local:6379", "127.0.0.1:41000"),
        ("http://cache:80/metrics", "http://127.0.0.1:41001/metrics"),
        ("my-cache:80", "my-cache:80"),
        ("cache-redis.other.svc:6379", "cache-redis.other.svc:6379"),
        ("the cache is warm", "the cache is warm"),
        ("node-1.node.models.svc.cluster.local:6379", "127.0.0.1:41003"),
        ("node-0.node:6379 node-1.node:6379", "127.0.0.1:41002 127.0.0.1:41003"),
        ("node-2.node.models.svc:6379", "node-2.node.models.svc:6379"),
    ],
)
def test_service_names_become_loopback_addresses(written: str, local: str) -> None:
    assert ADDRESSES.rewrite(written) == local


@pytest.mark.parametrize(
    ("written", "local"),
    [
        ('{"type":"resp","host":"cache-redis.models.svc","port":6379}', {"host": "127.0.0.1", "port": 41000}),
        ('{"lmcache.mp.host":"tcp://127.0.0.1","lmcache.mp.port":5555}', {"host": "tcp://127.0.0.1", "port": 45001}),
        ('{"lmcache.mp.host":"tcp://localhost","lmcache.mp.port":5555}', {"host": "tcp://127.0.0.1", "port": 45001}),
        ('{"a.host":"tcp://cache.models.svc","a.port":80}', {"host": "tcp://127.0.0.1", "port": 41001}),
        ('{"host":"elsewhere.example.com","port":6379}', {"host": "elsewhere.example.com", "port": 6379}),
    ],
)
def test_a_host_and_a_port_that_are_two_values_of_json_move_together(written: str, local: dict[str, Any]) -> None:
    rewriter = Rewriter(addresses=ADDRESSES, pod_ports={5555: 45001})
    for text, path in ((written, []), (f'{{"deep":[{written}]}}', ["deep", 0])):
        moved = json.loads(rewriter.argument(text))
        for step in path:
            moved = moved[step]
        assert {key.rpartition(".")[2]: value for key, value in moved.items() if key != "type"} == local


def test_what_only_looks_like_json_is_text() -> None:
    assert Rewriter(addresses=ADDRESSES).argument("{cache:80}") == "{127.0.0.1:41001}"


@pytest.mark.parametrize(
    ("written", "local"),
    [
        ("http://localhost:5555/a", "http://127.0.0.1:45001/a"),
        ("127.0.0.1:5555", "127.0.0.1:45001"),
        ("127.0.0.1:5556", "127.0.0.1:5556"),
        ("mylocalhost:5555", "mylocalhost:5555"),
        ("0.0.0.0:5555", "0.0.0.0:5555"),
    ],
)
def test_containers_of_a_pod_find_each_other_on_the_loopback_address(written: str, local: str) -> None:
    assert Rewriter(addresses=ADDRESSES, pod_ports={5555: 45001}).text(written) == local


def test_a_service_port_that_does_not_exist_is_refused() -> None:
    with pytest.raises(HarnessError, match="cache-redis has no port 6380"):
        ADDRESSES.rewrite("redis://cache-redis:6380")


def test_a_service_without_its_port_is_refused() -> None:
    with pytest.raises(HarnessError, match="without its port"):
        ADDRESSES.rewrite("cache-redis.models.svc")


def test_a_detour_leads_to_services_by_other_ports_and_to_pods_as_before() -> None:
    detoured = ADDRESSES.detoured({41002: 42002})
    assert detoured.rewrite("node:6379 node-0.node:6379") == "127.0.0.1:42002 127.0.0.1:41002"


@pytest.mark.parametrize(
    ("written", "local"),
    [
        ("/cache/kv", "/run/1/cache/kv"),
        ("file:///cache/kv/", "file:///run/1/cache/kv/"),
        ("cat /etc/conf/a.conf > /cache/x; exec", "cat /run/1/conf/a.conf > /run/1/cache/x; exec"),
        ("/cachemere", "/cachemere"),
        ("/home/cache/x", "/home/cache/x"),
        ("--dir=/cache", "--dir=/run/1/cache"),
        ("/cache/deep/file", "/run/1/deep/file"),
    ],
)
def test_mount_paths_become_folders(written: str, local: str) -> None:
    rewriter = Rewriter(
        addresses=ADDRESSES,
        mounts={"/cache": "/run/1/cache", "/etc/conf": "/run/1/conf", "/cache/deep": "/run/1/deep"},
    )
    assert rewriter.text(written) == local


@pytest.mark.parametrize(
    ("written", "local"),
    [
        ("8080", "45000"),
        ("--port=8080", "--port=45000"),
        ("0.0.0.0:8080", "0.0.0.0:45000"),
        ("18080", "18080"),
        ("--max-model-len=80800", "--max-model-len=80800"),
        ("port 8080 is fine", "port 8080 is fine"),
    ],
)
def test_the_containers_own_port_moves_in_arguments(written: str, local: str) -> None:
    assert Rewriter(addresses=ADDRESSES, ports={8080: 45000}).argument(written) == local
