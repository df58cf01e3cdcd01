"""Wait until the remote cache backend accepts connections, but not for ever: serving matters more than caching.

Usage: wait_for_backend.py HOST:PORT SECONDS
"""

import socket
import sys
import time

ATTEMPT_S = 2.0
PAUSE_S = 1.0


def accepts(host: str, port: int) -> bool:
    """Whether something listens there."""
    try:
        with socket.create_connection((host, port), timeout=ATTEMPT_S):
            return True
    except OSError:
        return False


def say(text: str) -> None:
    """Write a line of the container's log."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def main() -> int:
    """Return 0 in any case."""
    endpoint, seconds = sys.argv[1], float(sys.argv[2])
    host, _, port = endpoint.rpartition(":")
    deadline = time.monotonic() + seconds
    while not accepts(host.strip("[]"), int(port)):
        if time.monotonic() >= deadline:
            say(f"{endpoint} does not accept connections after {seconds:g} s: starting without it")
            return 0
        time.sleep(PAUSE_S)
    say(f"{endpoint} accepts connections")
    return 0


if __name__ == "__main__":
    sys.exit(main())
