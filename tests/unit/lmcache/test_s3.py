"""Listing a bucket: the signature of Amazon's own example, and pages of a server that stands in for S3."""

import http.server
from collections.abc import Iterator
from datetime import UTC, datetime
from urllib.parse import parse_qs, urlsplit

import pytest
from serving import served

from lmcache_kserve.errors import HarnessError
from lmcache_kserve.lmcache.backends import bucket_contents
from lmcache_kserve.lmcache.s3 import count, signature_headers

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
    assert count(bucket, "r", EXAMPLE) == (3, 60)
    contents = bucket_contents(bucket, "r", EXAMPLE)
    assert (contents.entries, contents.size_bytes, contents.entries_per_chunk) == (3, 60, 1)


def test_a_refusal_names_the_bucket(bucket: str) -> None:
    with pytest.raises(HarnessError, match=r"cannot list the bucket at http://127\.0\.0\.1:\d+: HTTP Error 403"):
        bucket_contents(bucket, "r", {})
