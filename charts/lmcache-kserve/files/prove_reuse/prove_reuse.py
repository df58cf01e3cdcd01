"""Prove, inside the cluster, that replicas reuse what another replica computed, and show what that saves.

`helm test` runs this script. A fresh prompt goes to one replica, which has to compute the prompt (cold). The same
prompt then goes to each of the other replicas, which have to find the prompt (warm). A headless Service resolves to the
addresses of all pods, so each replica is addressed alone. The counters of vLLM before and after a request tell what the
request found (vllm/v1/metrics/loggers.py, 0.32):

    vllm:prompt_tokens_total                a request adds the length of its prompt; more than that is other traffic
    vllm:external_prefix_cache_hits_total   tokens that LMCache supplied
    vllm:prefix_cache_hits_total            tokens that vLLM's own prefix cache supplied

LMCache stores chunks after the answer. When a prompt was not found, another fresh prompt follows, with a longer pause
before the warm request. The last line says PASSED or FAILED, and why; the exit code is 0 or 1. VLLM_API_KEY holds the
server's API key, where the server has one.

The script and the modules beside it need nothing but Python 3.9, because they run in images that others build.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
import time
from typing import TYPE_CHECKING

from proof import ReleaseTest
from settings import parse
from verdicts import Failure

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from clock import Clock


def addresses(host: str, port: int) -> list[tuple[str, int]]:
    """The addresses behind a name, in a steady order; empty while the name does not resolve."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError:
        return []
    return sorted({(str(entry[4][0]), port) for entry in found})


def say(text: str) -> None:
    """Write a line of the log at once."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def stop(number: int, _frame: object) -> None:
    """Say why the test ends: without a handler, process 1 of a container ignores the signal.

    Raises:
        Failure: always.
    """
    raise Failure(f"stopped from outside ({signal.Signals(number).name}) before it was done")


def main(
    arguments: Sequence[str],
    environment: Mapping[str, str],
    *,
    resolve: Callable[[str, int], list[tuple[str, int]]] = addresses,
    clock: Clock = time,
) -> int:
    """Run the test and return the exit code."""
    settings = parse(arguments, environment)
    try:
        say(f"PASSED: {ReleaseTest(settings, resolve=resolve, clock=clock, say=say).run()}")
    except Failure as failure:
        for hint in failure.hints:
            say(hint)
        say(f"FAILED: {failure}")
        return 1
    return 0


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, stop)
    sys.exit(main(sys.argv[1:], os.environ))
