"""An S3 server with one bucket, for runs of `demo` with remoteBackend.type=s3.

    python bucket_server.py PORT BUCKET

LMCache addresses a bucket by host name alone, and few machines resolve `bucket.localhost`. So the bucket is called 127
and the endpoint 0.0.1:PORT. Together they are 127.0.0.1, and whatever is asked for there is in the bucket.
"""

import sys
from collections.abc import Callable, Iterable
from typing import Any

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import run_simple

App = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


def in_bucket(app: App, bucket: str) -> App:
    """Put the bucket into the path, where moto looks for it on a host without a name."""

    def called(environment: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        for key in ("PATH_INFO", "RAW_URI", "REQUEST_URI"):
            if key in environment:
                environment[key] = f"/{bucket}{environment[key]}"
        return app(environment, start)

    return called


def main() -> None:
    """Serve until the process ends."""
    port, bucket = int(sys.argv[1]), sys.argv[2]
    app = DomainDispatcherApplication(create_backend_app)
    run_simple("127.0.0.1", port, in_bucket(app, bucket), threaded=True)


if __name__ == "__main__":
    main()
