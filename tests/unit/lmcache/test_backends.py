import http.server
import secrets
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlencode, urlsplit

import pytest
import redis
from encryption import Identity, relayed
from serving import served

from lmcache_kserve.errors import HarnessError
from lmcache_kserve.lmcache import count
from lmcache_kserve.lmcache.backends import file_contents, mooncake_contents, redis_contents, traits
from lmcache_kserve.lmcache.count import resp
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
    contents = redis_contents(server, {"password": PASSWORD})
    assert contents.entries == 8
    assert contents.size_bytes > 8000


def test_a_pod_of_the_release_counts_a_server_with_its_own_credentials(server: str) -> None:
    program = [sys.executable, *count.command(resp, server)[1:]]
    environment = {"REMOTE_BACKEND_PASSWORD": PASSWORD}
    counted = subprocess.run(program, env=environment, capture_output=True, text=True, check=True).stdout.split()
    assert counted[0] == "8"
    assert int(counted[1]) > 8000


def test_a_server_with_tls_is_counted_with_the_certificates_of_the_release(server: str, tmp_path: Path) -> None:
    identity = Identity(tmp_path / "identity")
    files = {"ssl_ca_certs": identity.ca, "ssl_certfile": identity.client, "ssl_keyfile": identity.client_key}
    with relayed(identity.context, urlsplit(server).port or 0) as port:
        url = f"rediss://localhost:{port}/0?socket_timeout=2"
        options = urlencode({name: str(file) for name, file in files.items()})
        assert redis_contents(f"{url}&{options}", {"password": PASSWORD}).entries == 8
        with pytest.raises(HarnessError, match="cannot read the backend"):
            redis_contents(url, {"password": PASSWORD})


def test_a_backend_without_an_adapter_cannot_be_verified_in_mode_multiprocess() -> None:
    with pytest.raises(HarnessError, match=r"lmcache\.mode=multiprocess; the harness knows none, filesystem, redis"):
        traits("lmcache-server", "multiprocess")


def test_a_wrong_password_is_a_message(server: str) -> None:
    with pytest.raises(HarnessError, match="cannot read the backend"):
        redis_contents(server, {"password": "wrong"})


def test_a_server_that_is_not_there_is_named() -> None:
    with pytest.raises(HarnessError, match=r"127\.0\.0\.1:1"):
        redis_contents("redis://127.0.0.1:1/0", {})


def test_whole_chunks_in_a_shared_folder_are_counted(tmp_path: Path) -> None:
    for name in ("a.data", "b.data", "c.tmp"):
        (tmp_path / name).write_bytes(b"x" * 10)
    (tmp_path / ".tmp-predictor-0").mkdir()
    (tmp_path / ".tmp-predictor-0" / "d.data").write_bytes(b"x")
    contents = file_contents(tmp_path)
    assert (contents.entries, contents.size_bytes, contents.entries_per_chunk) == (2, 20, 1)


def test_a_shared_folder_that_nobody_made_is_named(tmp_path: Path) -> None:
    with pytest.raises(HarnessError, match=r"there is no folder .*/missing"):
        file_contents(tmp_path / "missing")


MASTER = """\
# TYPE master_key_count gauge
master_key_count 9
# TYPE master_allocated_bytes gauge
master_allocated_bytes 1049688
# TYPE segment_allocated_bytes gauge
segment_allocated_bytes{segment="10.0.0.7:12345"} 1049688
"""


@pytest.fixture
def master(request: pytest.FixtureRequest) -> Iterator[str]:
    """A page of metrics; the test's parameter is its text."""

    class Page(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(request.param.encode())

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with served(Page) as port:
        yield f"http://127.0.0.1:{port}/metrics"


@pytest.mark.parametrize("master", [MASTER], indirect=True)
def test_mooncakes_objects_are_what_its_master_counts(master: str) -> None:
    contents = mooncake_contents(master)
    assert (contents.entries, contents.size_bytes, contents.entries_per_chunk) == (9, 1049688, 1)


@pytest.mark.parametrize("master", ["up 1\n"], indirect=True)
def test_a_page_of_something_else_is_recognised(master: str) -> None:
    with pytest.raises(HarnessError, match="has no master_key_count"):
        mooncake_contents(master)


def test_a_master_that_is_not_there_is_named() -> None:
    with pytest.raises(HarnessError, match=r"cannot read http://127\.0\.0\.1:1/metrics"):
        mooncake_contents("http://127.0.0.1:1/metrics")


def test_an_unknown_type_lists_the_known_ones() -> None:
    with pytest.raises(HarnessError, match="none, custom, filesystem, infinistore, lmcache-server"):
        traits("memcached")
