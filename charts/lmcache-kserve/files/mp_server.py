"""Run LMCache's multiprocess server, and supply what it lacks.

- Its RESP adapter connects once: it blocks for ever on a Redis that is not up yet, and never finds one again that was
  restarted. So `--l2-adapter` of type resp is kept from the server, attached to it while the backend answers, and
  detached when it does not. What the server holds in memory, and its engines, stay.
- An engine notices a server that was replaced only when a ping fails, and a new server knows none of the engines that
  do not register again. So a server does not listen before every engine has missed a ping.
- It takes memory that nobody has written for chunks; unwritten.py says when, and ends that.
- Its HTTP routes include the environment and the cache's administration. They stay on the loopback address; another
  port serves the metrics and nothing else.
- Whether a request was looked up is in none of its log lines above DEBUG: the few lines that say so are let through.

Usage:
    mp_server.py [--silence SECONDS] [--metrics-port PORT] [--log-requests] -- ARGUMENT ...
    mp_server.py --check PORT

The arguments after `--` are those of `lmcache server` (LMCache 0.5.0 to 0.5.6). `--check` asks the server's health on
the loopback address, for a probe. Its credentials for the backend come from LMCACHE_RESP_USERNAME and
LMCACHE_RESP_PASSWORD.

It exits with the server's code, or with 70 when a dead backend holds a request for ever: starting anew frees it.
"""

from __future__ import annotations

import argparse
import http.client
import json
import logging
import os
import signal
import socket
import sys
import threading
import time
from contextlib import closing
from typing import TYPE_CHECKING, Any

from unwritten import keep_out

if TYPE_CHECKING:
    from lmcache.v1.distributed.l2_adapters.config import L2AdapterConfigBase
    from lmcache.v1.distributed.storage_manager import StorageManager

STARTED = time.monotonic()
LOOPBACK = "127.0.0.1"
ADAPTER_OPTION = "--l2-adapter"
# Of the engine's lookups, stores and loads; the lines about allocated blocks come with every few tokens.
REQUEST_LOGGER = "lmcache.v1.mp_observability.subscribers.logging.mp_server"
REQUEST_LINES = ("MP lookup/prefetch end", "MP store end", "MP retrieve end")
HTTP_OK = 200
CHECK_S = 5.0
WATCH_S = 1.0
ANSWER_S = 5.0
DRAIN_S = 10.0
STUCK = 70


class Backend:
    """A connection to a Redis or Valkey server that does nothing but ask whether it is still the same one."""

    def __init__(self, host: str, port: int) -> None:
        self.socket = socket.create_connection((host, port), timeout=ANSWER_S)

    def answers(self) -> bool:
        """Whether it answers a PING; without a password it refuses, which is an answer too."""
        try:
            self.socket.sendall(b"PING\r\n")
            reply = self.socket.recv(1024)
        except OSError:
            return False
        # A server that still loads its contents refuses every command.
        return bool(reply) and not reply.startswith(b"-LOADING")

    def close(self) -> None:
        """Close the connection."""
        self.socket.close()


def split_adapters(arguments: list[str]) -> tuple[list[str], list[dict[str, Any]]]:
    """Take the adapters of type resp out of the server's arguments."""
    kept: list[str] = []
    taken: list[dict[str, Any]] = []
    rest = iter(arguments)
    for argument in rest:
        option, equals, value = argument.partition("=")
        if option != ADAPTER_OPTION:
            kept.append(argument)
            continue
        adapter = json.loads(value if equals else next(rest, "{}"))
        if adapter.get("type") == "resp":
            taken.append(adapter)
        else:
            kept += [ADAPTER_OPTION, json.dumps(adapter)]
    return kept, taken


def say(text: str) -> None:
    """Write a line of the container's log."""
    sys.stderr.write(f"mp_server: {text}\n")
    sys.stderr.flush()


def storage_manager() -> StorageManager:
    """Wait for the running server's storage manager."""
    from lmcache.v1.multiprocess import http_server  # noqa: PLC0415 - LMCache imports PyTorch for seconds, and the probe's `--check` must not wait for that

    while not hasattr(http_server.app.state, "engine"):
        time.sleep(WATCH_S)
    return http_server.app.state.engine.storage_manager


def configuration(adapter: dict[str, Any]) -> L2AdapterConfigBase:
    """Read an adapter as the server's own command line does."""
    from lmcache.v1.distributed.l2_adapters.config import (  # noqa: PLC0415 - LMCache imports PyTorch for seconds, and the probe's `--check` must not wait for that
        add_l2_adapters_args,
        parse_args_to_l2_adapters_config,
    )

    parser = add_l2_adapters_args(argparse.ArgumentParser())
    parsed = parser.parse_args([ADAPTER_OPTION, json.dumps(adapter)])
    return parse_args_to_l2_adapters_config(parsed).adapters[0]


def keep_attached(adapter: dict[str, Any]) -> None:
    """Attach the backend whenever it answers, and detach it when it does not."""
    manager = storage_manager()
    where = f"{adapter['host']}:{adapter['port']}"
    missing = False
    while True:
        try:
            backend = Backend(adapter["host"], adapter["port"])
        except OSError as error:
            if not missing:
                say(f"{where} is not there ({error.strerror or error}): serving without it")
            missing = True
            time.sleep(WATCH_S)
            continue
        with closing(backend):
            if backend.answers():
                missing = False
                hold(manager, adapter, backend, where)
        time.sleep(WATCH_S)


def hold(manager: StorageManager, adapter: dict[str, Any], backend: Backend, where: str) -> None:
    """Keep a backend attached as long as it answers."""
    number = manager.add_l2_adapter(configuration(adapter))
    say(f"{where} is attached")
    while backend.answers():
        time.sleep(WATCH_S)
    say(f"{where} was lost: serving without it")
    try:
        manager.delete_l2_adapter(number, timeout=DRAIN_S)
    except TimeoutError as error:
        say(f"requests wait for {where} for ever ({error}): starting anew")
        os._exit(STUCK)


def watch(adapter: dict[str, Any]) -> None:
    """Run `keep_attached`; a server that could not keep its backend must not look healthy."""
    try:
        keep_attached(adapter)
    except Exception as error:  # noqa: BLE001 - an error that only ended this thread would leave a server that looks healthy
        say(f"cannot keep the backend attached: {error!r}")
        os._exit(STUCK)


def log_requests() -> None:
    """Let the lines through that say what was found, stored and loaded for a request."""
    from lmcache.v1.mp_observability.subscribers.logging import mp_server as _  # noqa: F401, PLC0415 - imported because it sets the logger's level, here because LMCache imports PyTorch for seconds

    logger = logging.getLogger(REQUEST_LOGGER)
    logger.addFilter(lambda record: str(record.msg).startswith(REQUEST_LINES))
    for adjustable in (logger, *logger.handlers):
        adjustable.setLevel(logging.DEBUG)


def healthy(port: int) -> bool:
    """Whether the server on the loopback address says that it is healthy."""
    connection = http.client.HTTPConnection(LOOPBACK, port, timeout=CHECK_S)
    try:
        connection.request("GET", "/healthcheck")
        return connection.getresponse().status == HTTP_OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def serve(options: argparse.Namespace, arguments: list[str]) -> None:
    """Run the server until it ends."""
    arguments, adapters = split_adapters(arguments)
    for variable in ("LMCACHE_RESP_USERNAME", "LMCACHE_RESP_PASSWORD"):
        # Files made with an editor end in a line break, and so do Secrets made of them.
        if variable in os.environ:
            os.environ[variable] = os.environ[variable].rstrip("\r\n")
    from lmcache.cli.main import main as lmcache  # noqa: PLC0415 - LMCache imports PyTorch for seconds, and the probe's `--check` must not wait for that

    keep_out()
    # A line for each probe would bury the others.
    logging.getLogger("uvicorn.access").addFilter(lambda record: "/healthcheck" not in record.getMessage())
    if options.log_requests:
        log_requests()
    if options.metrics_port:
        from prometheus_client import start_http_server  # noqa: PLC0415 - LMCache's dependency, needed with --metrics-port only, and `--check` must start at once

        start_http_server(options.metrics_port)
    for adapter in adapters:
        threading.Thread(target=watch, args=(adapter,), name="l2-watch", daemon=True).start()
    time.sleep(max(0.0, STARTED + options.silence - time.monotonic()))
    # LMCache's entry point takes arguments from 0.5.6 on, and reads sys.argv in every release.
    sys.argv = ["lmcache", "server", *arguments]
    lmcache()


def main() -> int:
    """Parse the command line and run."""
    parser = argparse.ArgumentParser(allow_abbrev=False)
    parser.add_argument("--check", type=int)
    parser.add_argument("--silence", type=float, default=0.0)
    parser.add_argument("--metrics-port", type=int)
    parser.add_argument("--log-requests", action="store_true")
    own = sys.argv[1:]
    end = own.index("--") if "--" in own else len(own)
    options = parser.parse_args(own[:end])
    if options.check is not None:
        return 0 if healthy(options.check) else 1
    # Process 1 of a container ignores signals that it does not handle; the server handles them itself once it runs.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    serve(options, own[end + 1 :])
    return 0


if __name__ == "__main__":
    sys.exit(main())
