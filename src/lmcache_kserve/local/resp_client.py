"""`redis-cli PING` and its like for a machine without redis-cli: the chart's probes run it.

Takes the options of redis-cli that a probe needs (-h, -p, -a, -n, --user, --no-auth-warning, environment REDISCLI_AUTH)
and a command, prints the reply, and exits with 1 where redis-cli would.
"""

import argparse
import os
import sys

import redis


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
        decode_responses=True,
    )
    try:
        reply = client.execute_command(*options.command)  # type: ignore[no-untyped-call] # redis-py leaves it untyped
    except redis.RedisError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    sys.stdout.write("PONG\n" if reply is True else f"{reply}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
