"""The whole proof with a bucket of an S3 server, in both modes."""

import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
import yaml
from running import ALL, LONG_PROMPTS, SERVER, Demo

from lmcache_kserve.waiting import wait_for

pytestmark = [pytest.mark.local, pytest.mark.long]

BUCKET = "127"
KEYS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")


@pytest.fixture(scope="module")
def bucket(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A values file for a bucket that a server has."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    folder = tmp_path_factory.mktemp("bucket")
    program = Path(__file__).parent / "bucket_server.py"
    with (folder / "server.log").open("w") as log:
        server = subprocess.Popen([sys.executable, program, str(port), BUCKET], stdout=log, stderr=log)

    def created() -> bool:
        assert server.poll() is None, (folder / "server.log").read_text()
        try:
            return httpx2.put(f"http://127.0.0.1:{port}/").is_success
        except httpx2.TransportError:
            return False

    try:
        wait_for(created, timeout=60, delay=0.2, describe="the S3 server to have a bucket")
        external = {"endpoint": f"0.0.1:{port}", "tls": {"enabled": False}}
        values = {"type": "s3", "s3": {"bucket": BUCKET, "external": external, "auth": {"existingSecret": "keys"}}}
        file = folder / "values.yaml"
        file.write_text(yaml.safe_dump({"remoteBackend": values}), encoding="utf-8")
        yield file
    finally:
        server.kill()
        server.wait()


@pytest.mark.parametrize(
    ("mode", "checks"),
    [
        pytest.param(mode, checks, id=mode, marks=pytest.mark.proves("local", "s3", mode))
        for mode, checks in (("in-process", ALL), ("multiprocess", ALL | SERVER))
    ],
)
def test_every_check_passes(
    demo: Demo, bucket: Path, monkeypatch: pytest.MonkeyPatch, mode: str, checks: frozenset[str]
) -> None:
    for key in KEYS:
        monkeypatch.setenv(key, f"of-{mode}")
    secrets = [word for key in KEYS for word in ("--secret", f"keys/{key}")]
    words = ("--values", str(bucket), "--set", f"lmcache.mode={mode}", *secrets)
    outcome = demo("--pairs", "3", "--no-baseline", *LONG_PROMPTS, *words)  # the bucket's server needs a core, too
    assert outcome.code == 0, outcome.output
    assert outcome.passed == checks - {"backend-outage"}  # the release does not run it
