"""Counts the keys of a Redis or Valkey server; needs redis-py, which LMCache brings.

Usage: python3 resp.py URL
    URL is `redis://host:port/database` or `rediss://`, with redis-py's options for certificates. The chart gives
    LMCache the credentials in the environment: REMOTE_BACKEND_USERNAME and REMOTE_BACKEND_PASSWORD, in mode
    multiprocess LMCACHE_RESP_USERNAME and LMCACHE_RESP_PASSWORD.
"""

import os
import sys
from collections.abc import Mapping
from urllib.parse import parse_qsl, urlencode, urlsplit

import redis

_TIMEOUT_S = 5.0


def login(environment: Mapping[str, str]) -> dict[str, str]:
    """Username and password in a predictor's or a server's environment, as the chart's scripts read them.

    Files that an editor made end in a line break, which belongs to no credential.
    """
    found = {}
    for prefix in ("LMCACHE_RESP", "REMOTE_BACKEND"):
        for name in ("username", "password"):
            if value := environment.get(f"{prefix}_{name.upper()}", "").rstrip("\r\n"):
                found[name] = value
    return found


def count(url: str, credentials: Mapping[str, str]) -> tuple[int, int]:
    """Count the keys of a Redis or Valkey server and their bytes.

    Args:
        url: `redis://host:port/database` or `rediss://`. Of its options those of redis-py for TLS are used; the others
            are LMCache's.
        credentials: `username` and `password`, each where the server has one.

    Raises:
        redis.RedisError: the server cannot be reached or refuses the credentials.
    """
    with connected(url, credentials) as client:
        return int(client.dbsize()), int(client.info("memory")["used_memory_dataset"])


def connected(url: str, credentials: Mapping[str, str]) -> "redis.Redis":
    """A client of a Redis or Valkey server, with the arguments of `count`."""
    address = urlsplit(url)
    tls = [option for option in parse_qsl(address.query) if option[0].startswith("ssl_")]
    return redis.Redis.from_url(
        f"{address.scheme}://{address.netloc}{address.path}?{urlencode(tls)}",
        username=credentials.get("username"),
        password=credentials.get("password"),
        socket_timeout=_TIMEOUT_S,
        socket_connect_timeout=_TIMEOUT_S,
    )


def main() -> int:
    """Print what the server holds."""
    entries, size = count(sys.argv[1], login(os.environ))
    sys.stdout.write(f"{entries} {size}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
