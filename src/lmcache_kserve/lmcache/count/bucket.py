"""Lists a bucket of S3 with the standard library alone.

Usage: python3 bucket.py URL REGION
    URL is `https://bucket.host[:port]`. The credentials are in AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and, where they
    are temporary, AWS_SESSION_TOKEN.

Source of the protocol: Amazon S3 API reference, ListObjectsV2 and "Authenticating Requests (AWS Signature Version 4)".
"""

import hashlib
import hmac
import os
import sys
import urllib.request
import xml.etree.ElementTree as ET
from collections.abc import Iterator, Mapping
from datetime import datetime, timezone
from urllib.parse import quote, urlsplit

_TIMEOUT_S = 30.0
_NO_BODY = hashlib.sha256(b"").hexdigest()


def count(url: str, region: str, environment: Mapping[str, str]) -> tuple[int, int]:
    """Count the objects of a bucket and their bytes.

    Args:
        url: `https://bucket.host[:port]` or `http://`.
        region: the region that signatures name.
        environment: holds the credentials; without any the requests are not signed.

    Raises:
        OSError: the bucket cannot be listed.
    """
    sizes = list(_sizes(url, region, environment))
    return len(sizes), sum(sizes)


def signature_headers(
    url: str, query: str, region: str, environment: Mapping[str, str], *, now: datetime
) -> dict[str, str]:
    """Sign a GET of the bucket's root.

    Args:
        url: the bucket's address.
        query: the query string, its parameters sorted and encoded.
        region: the region that the signature names.
        environment: holds the credentials.
        now: the time that the signature names, in UTC.
    """
    time, day = now.strftime("%Y%m%dT%H%M%SZ"), now.strftime("%Y%m%d")
    headers = {"host": urlsplit(url).netloc, "x-amz-content-sha256": _NO_BODY, "x-amz-date": time}
    if token := environment.get("AWS_SESSION_TOKEN"):
        headers["x-amz-security-token"] = token
    names = ";".join(sorted(headers))
    canonical = "".join(f"{name}:{headers[name]}\n" for name in sorted(headers))
    request = f"GET\n/\n{query}\n{canonical}\n{names}\n{_NO_BODY}"
    scope = f"{day}/{region}/s3/aws4_request"
    signed = "\n".join(["AWS4-HMAC-SHA256", time, scope, hashlib.sha256(request.encode()).hexdigest()])
    key = f"AWS4{environment['AWS_SECRET_ACCESS_KEY']}".encode()
    for part in (day, region, "s3", "aws4_request"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    signature = hmac.new(key, signed.encode(), hashlib.sha256).hexdigest()
    credential = f"{environment['AWS_ACCESS_KEY_ID']}/{scope}"
    headers["authorization"] = f"AWS4-HMAC-SHA256 Credential={credential},SignedHeaders={names},Signature={signature}"
    return headers


def _sizes(url: str, region: str, environment: Mapping[str, str]) -> Iterator[int]:
    token: str | None = None
    while True:
        parameters = {"list-type": "2"} | ({"continuation-token": token} if token else {})
        query = "&".join(f"{name}={quote(value, safe='')}" for name, value in sorted(parameters.items()))
        headers = {}
        if "AWS_SECRET_ACCESS_KEY" in environment:
            # `timezone.utc`: this file also runs with the Python of other people's images.
            now = datetime.now(tz=timezone.utc)  # noqa: UP017 - Python 3.10 has no datetime.UTC
            headers = signature_headers(url, query, region, environment, now=now)
        request = urllib.request.Request(f"{url}/?{query}", headers=headers)  # noqa: S310 - the user's own address
        with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as response:  # noqa: S310 - the address is the user's own bucket
            page = ET.fromstring(response.read())  # noqa: S314 - from the user's own store
        yield from (int(entry.findtext("{*}Size", "0")) for entry in page.iterfind("{*}Contents"))
        token = page.findtext("{*}NextContinuationToken")
        if not token:
            return


def main() -> int:
    """Print what the bucket holds."""
    entries, size = count(sys.argv[1], sys.argv[2], os.environ)
    sys.stdout.write(f"{entries} {size}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
