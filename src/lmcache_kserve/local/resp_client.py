"""`redis-cli PING` and its like for a machine without redis-cli: the chart's probes and scripts run it.

Knows the options that the chart uses: -h, -p, -a, -n, --user, --no-auth-warning, and REDISCLI_AUTH in the environment.
Prints the reply as redis-cli does into a pipe: the elements of a list stand on lines of their own. Exits with 1 where
redis-cli would.
"""

import argparse
import os
import sys
from collections.abc import Iterator

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry


def main() -> int:
    """Send one command and print its reply."""
    parser = argparse.ArgumentParser(prog="redis-cli", add_help=False)
    parser.add_argument("-h", dest="host", default="127.0.0.1")
    parser.add_argument("-p", dest="port", type=int, default=6379)
    parser.add_argument("-a", dest="password", default=os.environ.get("REDISCLI_AUTH"))
    parser.add_argument("-n", dest="database", type=int, default=0)
    parser.add_argument("--user", dest="username")
    parser.add_argument("--no-auth-warning", action="store_true")
    parser.add_argument("command", nargs="+")
    options = parser.parse_args()
    client = redis.Redis(
        host=options.host,
        port=options.port,
        db=options.database,
        username=options.username,
        password=options.password,
        socket_timeout=5,
        # As redis-cli: who is not there is asked once. The library would try again for seconds.
        retry=Retry(NoBackoff(), 0),
        decode_responses=True,
        protocol=2,
    )
    # The reply as the server sent it, not as the library understands it.
    client.response_callbacks.clear()
    try:
        reply = client.execute_command(*options.command)  # type: ignore[no-untyped-call] # redis-py leaves it untyped
    except redis.RedisError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    sys.stdout.write("".join(f"{element}\n" for element in _elements(reply)))
    return 0


def _elements(reply: object) -> Iterator[object]:
    if isinstance(reply, list):
        for element in reply:
            yield from _elements(element)
    else:
        yield "" if reply is None else reply


if __name__ == "__main__":
    sys.exit(main())
