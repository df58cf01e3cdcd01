"""A port of this machine that leads to a port of a pod; another pod may take its place.

Each connection gets its own tunnel. When a pod is replaced, its connections end, and the next connection leads to the
new pod.
"""

import contextlib
import select
import socket
import socketserver
import threading
from collections.abc import Callable, Sequence
from typing import Any

from lmcache_kserve.cluster.api import Api
from lmcache_kserve.cluster.channels import Tunnel
from lmcache_kserve.errors import HarnessError
from lmcache_kserve.target import LOOPBACK

_BUFFER_BYTES = 65536
_POLL_S = 0.1


class Forward:
    """One forwarded port; closed at the end of a `with` block or by `close`."""

    def __init__(self, api: Api, *, pod: Callable[[], str | None], port: int) -> None:
        """Listen on a free port.

        Args:
            api: the namespace of the pods.
            pod: called for each new connection; returns the pod's name, or None while no pod is ready.
            port: the pod's port.
        """
        self._api = api
        self._pod = pod
        self._port = port
        self._server = _Server(self._serve)
        threading.Thread(
            target=lambda: self._server.serve_forever(poll_interval=_POLL_S), name="port-forward", daemon=True
        ).start()

    @property
    def local_port(self) -> int:
        """The port of this machine."""
        return int(self._server.server_address[1])

    @property
    def url(self) -> str:
        """The pod's address, without a path."""
        return f"http://{LOOPBACK}:{self.local_port}"

    def check(self) -> None:
        """Try a connection to the pod, so that a refusal is met before anything is measured.

        Raises:
            HarnessError: the cluster refuses it.
        """
        if name := self._pod():
            self._api.tunnel(name, self._port).close()

    def close(self) -> None:
        """Accept no more connections."""
        self._server.shutdown()
        self._server.server_close()

    def _serve(self, local: socket.socket) -> None:
        name = self._pod()
        if name is None:
            return
        # The client sees a closed connection, as at the address of a pod that cannot be reached.
        with contextlib.suppress(HarnessError, OSError):
            tunnel = self._api.tunnel(name, self._port)
            try:
                _pump(local, tunnel)
            finally:
                tunnel.close()


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, serve: Callable[[socket.socket], None]) -> None:
        self.serve = serve
        super().__init__((LOOPBACK, 0), _Handler)


class _Handler(socketserver.BaseRequestHandler):
    server: _Server

    def handle(self) -> None:
        self.request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.server.serve(self.request)


def _pump(local: socket.socket, tunnel: Tunnel) -> None:
    """Copy both ways until either side ends.

    In one thread, because a TLS connection must not be read and written by two at the same time.
    """
    sides: list[Any] = [local, tunnel]
    while True:
        ready: Sequence[object] = [tunnel] if tunnel.pending() else select.select(sides, [], [])[0]
        if tunnel in ready:
            data = tunnel.receive()
            if data is None:
                return
            local.sendall(data)
        if local in ready:
            data = local.recv(_BUFFER_BYTES)
            if not data:
                return
            tunnel.send(data)
