"""The API server of a fake cluster: the requests that the harness makes, over real HTTP and real websockets.

Given the rules of a Role, it refuses what they do not allow, as RBAC does.
"""

import base64
import hashlib
import json
import select
import socket
import struct
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

from fake_objects import NAMESPACE, Manifest
from fake_server import with_no_error

if TYPE_CHECKING:
    from fake_cluster import FakeCluster


_GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


_TICK_S = 0.01


class ApiServer(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, fake: "FakeCluster") -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.fake = fake

    def handle_error(self, request: object, client_address: object) -> None:
        """A client may leave in the middle of a log."""


@dataclass
class _Route:
    group: str
    resource: str
    name: str | None
    subresource: str | None
    query: Mapping[str, Sequence[str]]

    @property
    def full(self) -> str:
        return f"{self.resource}/{self.subresource}" if self.subresource else self.resource


def _parse(path: str) -> _Route | None:
    url = urlsplit(path)
    parts = url.path.strip("/").split("/")
    group = "" if parts[0] == "api" else parts[1] if len(parts) > 1 else ""
    rest = parts[2:] if parts[0] == "api" else parts[3:]
    if len(rest) < 3 or rest[:2] != ["namespaces", NAMESPACE]:
        return None
    name, subresource = ([*rest[3:], None, None])[:2]
    return _Route(group, rest[2], name, subresource, parse_qs(url.query))


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: ApiServer

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is the library's
        """Keep quiet."""

    def do_GET(self) -> None:
        if self.path == "/version":
            self._reply(200, {"gitVersion": "v1.34.4"})
            return
        route = _parse(self.path)
        channel = route is not None and route.subresource in {"portforward", "exec"}
        verb = "create" if channel else "get" if route and route.name else "list"
        if route is None or not self._allowed(verb, route):
            return
        if route.subresource == "log":
            self._log(route)
        elif route.subresource == "portforward":
            self._channel(route, lambda: self._forward(route))
        elif route.subresource == "exec":
            self._channel(route, self._exec)
        elif route.name:
            with self._found(route) as found:
                if found:
                    self._reply(200, found)
        else:
            self._list(route)

    def do_DELETE(self) -> None:
        body = self._body()
        route = _parse(self.path)
        if route is None or not self._allowed("delete", route):
            return
        with self._found(route) as found:
            if not found:
                return
            if body["preconditions"]["uid"] != found["metadata"]["uid"]:
                self._fail(409, "Conflict", "the UID in the precondition does not match")
                return
            self.server.fake.delete_pod(str(route.name))
            self._reply(200, found)

    def do_PATCH(self) -> None:
        body = self._body()
        route = _parse(self.path)
        if route is None or not self._allowed("patch", route):
            return
        with self._found(route) as found:
            if found:
                self.server.fake.scale(str(route.name), body["spec"]["replicas"])
                self._reply(200, {"spec": body["spec"]})

    def _body(self) -> Manifest:
        body: Manifest = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        return body

    def _allowed(self, verb: str, route: _Route) -> bool:
        self.server.fake.requests.append(f"{verb} {route.full} {route.name or ''}".strip())
        if self.server.fake.allows(verb, route.group, route.full, route.name):
            return True
        words = f'User "someone" cannot {verb} resource "{route.full}" in API group "{route.group}"'
        self._fail(403, "Forbidden", words)
        return False

    @contextmanager
    def _found(self, route: _Route) -> Iterator[Manifest | None]:
        with self.server.fake.lock:
            found = self.server.fake.objects.get(route.resource, {}).get(str(route.name))
            if found is None:
                self._fail(404, "NotFound", f'{route.resource} "{route.name}" not found')
            yield found

    def _list(self, route: _Route) -> None:
        if route.resource not in self.server.fake.objects:
            self._reply(404, None)
            return
        pairs = [pair.split("=") for pair in route.query.get("labelSelector", [""])[0].split(",") if pair]
        with self.server.fake.lock:
            items = [
                item
                for item in self.server.fake.objects[route.resource].values()
                if all(item["metadata"]["labels"].get(key) == value for key, value in pairs)
            ]
            self._reply(200, {"kind": "List", "metadata": {"resourceVersion": "1"}, "items": items})

    def _log(self, route: _Route) -> None:
        fake, name = self.server.fake, str(route.name)
        if name not in fake.objects["pods"]:
            self._fail(404, "NotFound", f'pods "{name}" not found')
            return
        since = datetime.fromisoformat(route.query["sinceTime"][0]) if "sinceTime" in route.query else None
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        sent = 0
        while True:
            gone = name not in fake.objects["pods"]
            lines = fake.log_of(name)
            for line in lines[sent:]:
                if since is None or line.time >= since:
                    stamp = line.time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f000Z")
                    self._chunk(f"{stamp} {line.text}\n".encode())
            sent = len(lines)
            if gone:
                break
            threading.Event().wait(_TICK_S)
        self._chunk(b"")

    def _channel(self, route: _Route, serve: Callable[[], None]) -> None:
        if route.name not in self.server.fake.objects["pods"]:
            self._fail(404, "NotFound", f'pods "{route.name}" not found')
            return
        key = self.headers["Sec-WebSocket-Key"] + _GUID
        self.send_response(101)
        self.send_header("Upgrade", "websocket")
        self.send_header("Connection", "Upgrade")
        digest = hashlib.sha1(key.encode(), usedforsecurity=False).digest()
        self.send_header("Sec-WebSocket-Accept", base64.b64encode(digest).decode())
        self.send_header("Sec-WebSocket-Protocol", "v4.channel.k8s.io")
        self.end_headers()
        self.close_connection = True
        with_no_error(serve)

    def _forward(self, route: _Route) -> None:
        port = int(route.query["ports"][0])
        for channel in (0, 1):
            self._frame(bytes([channel]) + struct.pack("<H", port))
        target = self.server.fake.port_of(str(route.name), port)
        if target is None:
            self._frame(b"\x01connection refused")
            return
        with socket.create_connection(("127.0.0.1", target)) as upstream:
            while True:
                ready = select.select([self.connection, upstream], [], [])[0]
                if upstream in ready:
                    data = upstream.recv(65536)
                    if not data:
                        return
                    self._frame(b"\x00" + data)
                if self.connection in ready:
                    message = self._message()
                    if message is None:
                        return
                    upstream.sendall(message[1:])

    def _exec(self) -> None:
        self.server.fake.executed.append(self.path)
        output = self.server.fake.exec_output
        if output is None:
            self._frame(b"\x02cat: not found\n")
            self._frame(b'\x03{"status":"Failure","message":"command terminated with non-zero exit code"}')
            return
        self._frame(b"\x01" + output.encode())
        self._frame(b'\x03{"status":"Success"}')

    def _frame(self, data: bytes) -> None:
        size = len(data)
        header = bytes([0x82, size]) if size < 126 else bytes([0x82, 126]) + struct.pack(">H", size)
        if size >= 65536:
            header = bytes([0x82, 127]) + struct.pack(">Q", size)
        self.connection.sendall(header + data)

    def _message(self) -> bytes | None:
        """One masked message of a client; None for its end."""
        head = self.connection.recv(2, socket.MSG_WAITALL)
        if len(head) < 2 or head[0] & 0x0F == 8:
            return None
        size = head[1] & 0x7F
        if size >= 126:
            width, code = (2, ">H") if size == 126 else (8, ">Q")
            size = struct.unpack(code, self.connection.recv(width, socket.MSG_WAITALL))[0]
        mask = self.connection.recv(4, socket.MSG_WAITALL)
        data = self.connection.recv(size, socket.MSG_WAITALL)
        return bytes(byte ^ mask[index % 4] for index, byte in enumerate(data))

    def _chunk(self, data: bytes) -> None:
        self.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")
        self.wfile.flush()

    def _fail(self, status: int, reason: str, message: str) -> None:
        self._reply(status, {"kind": "Status", "status": "Failure", "reason": reason, "message": message})

    def _reply(self, status: int, body: Manifest | None) -> None:
        data = json.dumps(body).encode() if body else b"404 page not found"
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)
