"""What this machine can do at best: copies in memory, and plain sockets over the loopback address.

Usage: bare.py PLAN
    PLAN is JSON: {"chunk_bytes": [...], "in_flight": [...], "cell_bytes": N}.

It prints a line of JSON for each cell: how ("memcpy" or "socket"), operation ("put" or "get"), chunk_bytes, in_flight,
bytes, seconds, client_cpu_s, server_cpu_s. A copy has neither connections nor a server. The sockets use as many
connections as there are chunks in flight; a chunk goes straight from or into one buffer of each connection.
"""

from __future__ import annotations

import json
import multiprocessing
import socket
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

LEAST_ROUNDS = 2
PASSES = 4
"""client.py loads each chunk as often."""
PUT, GET, END = b"P", b"G", b"E"
LOOPBACK = "127.0.0.1"


def copies(chunk_bytes: int, rounds: int) -> dict[str, Any]:
    """Copy a chunk from one buffer to another."""
    source, target = memoryview(bytearray(b"\1" * chunk_bytes)), memoryview(bytearray(chunk_bytes))
    target[:] = source  # the memory's pages come with the first use
    before, spent = time.perf_counter(), time.process_time()
    for _ in range(rounds):
        target[:] = source
    return {
        "bytes": rounds * chunk_bytes,
        "seconds": time.perf_counter() - before,
        "client_cpu_s": time.process_time() - spent,
        "server_cpu_s": 0.0,
    }


def serve(listener: socket.socket, chunk_bytes: int) -> None:
    """Answer connections until one asks for the end; that one is told the processor seconds of this process."""
    while True:
        connection, _ = listener.accept()
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        threading.Thread(target=_answer, args=(connection, bytearray(chunk_bytes)), daemon=True).start()


def _answer(connection: socket.socket, buffer: bytearray) -> None:
    with connection:
        while command := connection.recv(1):
            if command == PUT:
                receive(connection, buffer)
                connection.sendall(b"1")
            elif command == GET:
                connection.sendall(buffer)
            else:
                connection.sendall(json.dumps(time.process_time()).encode())
                return


def receive(connection: socket.socket, buffer: bytearray) -> None:
    """Fill a buffer.

    Raises:
        ConnectionError: the other side has gone away.
    """
    view, filled = memoryview(buffer), 0
    while filled < len(buffer):
        if not (count := connection.recv_into(view[filled:])):
            raise ConnectionError("the other side has gone away")
        filled += count


def sockets(chunk_bytes: int, connections: int, rounds: int) -> Iterator[dict[str, Any]]:
    """Send chunks to another process, and get as many back."""
    with socket.create_server((LOOPBACK, 0)) as listener:
        server = multiprocessing.Process(target=serve, args=(listener, chunk_bytes), daemon=True)
        server.start()
        address = listener.getsockname()
        try:
            ends = [(connected(address), bytearray(chunk_bytes)) for _ in range(connections)]
            with ThreadPoolExecutor(connections) as pool:
                for name, exchange in (("put", _put), ("get", _get)):
                    list(pool.map(exchange, ends))  # the first exchange widens the windows
                    server_spent, spent, before = _server_spent(address), time.process_time(), time.perf_counter()
                    for _ in range(rounds):
                        list(pool.map(exchange, ends))
                    yield {
                        "operation": name,
                        "bytes": rounds * connections * chunk_bytes,
                        "seconds": time.perf_counter() - before,
                        "client_cpu_s": time.process_time() - spent,
                        "server_cpu_s": _server_spent(address) - server_spent,
                    }
            for connection, _ in ends:
                connection.close()
        finally:
            server.kill()
            server.join()


def connected(address: tuple[str, int]) -> socket.socket:
    """A connection that sends a command at once."""
    connection = socket.create_connection(address)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def _put(end: tuple[socket.socket, bytearray]) -> None:
    connection, buffer = end
    connection.sendall(PUT)
    connection.sendall(buffer)
    connection.recv(1)


def _get(end: tuple[socket.socket, bytearray]) -> None:
    connection, buffer = end
    connection.sendall(GET)
    receive(connection, buffer)


def _server_spent(address: tuple[str, int]) -> float:
    with socket.create_connection(address) as connection:
        connection.sendall(END)
        return float(json.loads(connection.recv(100)))


def main() -> int:
    """Measure every cell of the plan."""
    plan = json.loads(sys.argv[1])
    for chunk_bytes in plan["chunk_bytes"]:
        copied = copies(chunk_bytes, max(LEAST_ROUNDS, plan["cell_bytes"] // chunk_bytes))
        cell = {"chunk_bytes": chunk_bytes, "in_flight": 1, "how": "memcpy", "operation": "get", **copied}
        sys.stdout.write(json.dumps(cell) + "\n")
        for in_flight in plan["in_flight"]:
            rounds = PASSES * max(LEAST_ROUNDS, plan["cell_bytes"] // (in_flight * chunk_bytes))
            for moved in sockets(chunk_bytes, in_flight, rounds):
                cell = {"chunk_bytes": chunk_bytes, "in_flight": in_flight, "how": "socket", **moved}
                sys.stdout.write(json.dumps(cell) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
