import secrets
import subprocess
from collections.abc import Iterator

import pytest
import redis

from lmcache_kserve.backends import redis_contents, traits
from lmcache_kserve.errors import HarnessError
from lmcache_kserve.local.plan import PodPlan
from lmcache_kserve.local.ports import assign_ports
from lmcache_kserve.local.programs import embedded_server

PASSWORD = secrets.token_urlsafe()


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    pod = PodPlan(
        name="v", component="", labels={}, spec={"containers": [{"name": "v", "ports": [{"containerPort": 6379}]}]}
    )
    port = assign_ports([pod])["v"][6379]
    process = subprocess.Popen(
        [embedded_server(), "--port", str(port), "--bind", "127.0.0.1", "--requirepass", PASSWORD, "--save", ""],
        stdout=subprocess.DEVNULL,
    )
    client = redis.Redis(port=port, password=PASSWORD)
    for _ in range(100):
        try:
            client.ping()
            break
        except redis.ConnectionError:
            continue
    client.mset({f"chunk{index}": "x" * 1000 for index in range(8)})
    client.close()
    yield f"redis://127.0.0.1:{port}/0?socket_timeout=2"
    process.kill()
    process.wait()


def test_a_servers_keys_and_bytes_are_counted(server: str) -> None:
    contents = redis_contents(server, username=None, password=PASSWORD)
    assert contents.entries == 8
    assert contents.size_bytes > 8000


def test_a_backend_of_mode_multiprocess_holds_one_entry_a_chunk(server: str) -> None:
    entries = traits("redis", "multiprocess").entries_per_chunk
    assert entries == 1
    assert redis_contents(server, username=None, password=PASSWORD, entries_per_chunk=entries).entries_per_chunk == 1


def test_a_backend_without_an_adapter_cannot_be_verified_in_mode_multiprocess() -> None:
    with pytest.raises(HarnessError, match=r"lmcache\.mode=multiprocess; the harness knows none, redis, valkey"):
        traits("lmcache-server", "multiprocess")


def test_a_wrong_password_is_a_message(server: str) -> None:
    with pytest.raises(HarnessError, match="cannot read the backend"):
        redis_contents(server, username=None, password="wrong")  # noqa: S106 - a password that no server has


def test_a_server_that_is_not_there_is_named() -> None:
    with pytest.raises(HarnessError, match=r"127\.0\.0\.1:1"):
        redis_contents("redis://127.0.0.1:1/0", username=None, password=None)


def test_an_unknown_type_lists_the_known_ones() -> None:
    with pytest.raises(HarnessError, match="none, lmcache-server, redis, valkey"):
        traits("memcached")
