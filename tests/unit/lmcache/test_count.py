"""Counting what a backend holds: a folder, and a bucket, with the signature of Amazon's own example."""

import http.server
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType
from urllib.parse import parse_qs, urlsplit

import pytest
from serving import served

from lmcache_kserve.errors import HarnessError
from lmcache_kserve.lmcache import count
from lmcache_kserve.lmcache.backends import bucket_contents
from lmcache_kserve.lmcache.count import bucket as bucket_program
from lmcache_kserve.lmcache.count import folder, resp
from lmcache_kserve.lmcache.count.bucket import signature_headers

# The example "GET Bucket (List Objects)" of the S3 API reference, Signature Version 4.
EXAMPLE = {
    "AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE",
    "AWS_SECRET_ACCESS_KEY": "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
}
PAGE = """<?xml version="1.0"?><ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">
{contents}<NextContinuationToken>{token}</NextContinuationToken></ListBucketResult>"""


def test_a_request_is_signed_as_in_amazons_example() -> None:
    headers = signature_headers(
        "https://examplebucket.s3.amazonaws.com",
        "max-keys=2&prefix=J",
        "us-east-1",
        EXAMPLE,
        now=datetime(2013, 5, 24, tzinfo=UTC),
    )
    expected = "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"
    assert headers["authorization"].endswith(f"Signature={expected}")


def test_a_temporary_credential_is_signed_with_its_token() -> None:
    headers = signature_headers(
        "https://a", "", "r", {**EXAMPLE, "AWS_SESSION_TOKEN": "t"}, now=datetime(2013, 5, 24, tzinfo=UTC)
    )
    assert headers["x-amz-security-token"] == "t"
    assert "x-amz-security-token" in headers["authorization"]


class Bucket(http.server.BaseHTTPRequestHandler):
    """Two pages of objects for whoever signs."""

    def do_GET(self) -> None:
        query = parse_qs(urlsplit(self.path).query)
        second = query.get("continuation-token") == ["a+b/c="]
        sizes = [30] if second else [10, 20]
        contents = "".join(f"<Contents><Size>{size}</Size></Contents>" for size in sizes)
        body = PAGE.format(contents=contents, token="" if second else "a+b/c=").encode()
        self.send_response(200 if "authorization" in self.headers else 403)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def bucket() -> Iterator[str]:
    with served(Bucket) as port:
        yield f"http://127.0.0.1:{port}"


def test_every_page_is_counted(bucket: str) -> None:
    assert bucket_program.count(bucket, "r", EXAMPLE) == (3, 60)
    contents = bucket_contents(bucket, "r", EXAMPLE)
    assert (contents.entries, contents.size_bytes, contents.entries_per_chunk) == (3, 60, 1)


def test_a_refusal_names_the_bucket(bucket: str) -> None:
    with pytest.raises(HarnessError, match=r"cannot list the bucket at http://127\.0\.0\.1:\d+: HTTP Error 403"):
        bucket_contents(bucket, "r", {})


def run(module: ModuleType, *arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    """Run the program as a pod of the release does, which has no harness."""
    program = [sys.executable, *count.command(module, *arguments)[1:]]
    return subprocess.run(program, env=environment, capture_output=True, text=True, check=False)


def test_the_program_counts_where_the_harness_is_not_installed(bucket: str, tmp_path: Path) -> None:
    (tmp_path / "a.data").write_bytes(b"x" * 10)
    assert run(folder, str(tmp_path)).stdout == "1 10\n"
    assert run(bucket_program, bucket, "r", **EXAMPLE).stdout == "3 60\n"


def test_the_program_fails_where_nothing_can_be_counted(tmp_path: Path) -> None:
    failed = run(folder, str(tmp_path / "missing"))
    assert (failed.returncode, failed.stdout) == (1, "")
    assert "there is no folder" in failed.stderr


@pytest.mark.parametrize("prefix", ["REMOTE_BACKEND", "LMCACHE_RESP"])
def test_the_login_is_read_as_the_charts_scripts_read_it(prefix: str) -> None:
    environment = {f"{prefix}_USERNAME": "cache", f"{prefix}_PASSWORD": "secret\n", "OTHER_PASSWORD": "x"}
    assert resp.login(environment) == {"username": "cache", "password": "secret"}
    assert resp.login({f"{prefix}_PASSWORD": ""}) == {}
