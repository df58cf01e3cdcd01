"""A Kubernetes API server that is not one: the requests that the harness makes, over real HTTP and real websockets.

It keeps complete objects, lets replicas of `fake_release` stand for the containers, and does at once what Kubernetes'
controllers do in a while: a deleted predictor pod is replaced, a workload that is scaled loses or gets its pod. Given
the rules of a Role, it refuses what they do not allow, as RBAC does.
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
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from socketserver import StreamRequestHandler, ThreadingTCPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import yaml
from fake_release import FakeReplica, FakeTarget, with_no_error

from lmcache_kserve.chart.contract import (
    BACKEND_ANNOTATION,
    BACKEND_COMPONENT,
    CHART_LABEL,
    COMPONENT_LABEL,
    INSTANCE_LABEL,
    MODE_ANNOTATION,
    PREDICTOR_CONTAINER,
    predictor_labels,
)
from lmcache_kserve.target import LogLine

NAMESPACE = "llm"
RELEASE = "demo"
SERVICE = "demo-lmcache-kserve"
PASSWORD = "hunter2 secret"  # noqa: S105 - of a server that does not exist
BACKEND_LABELS = {INSTANCE_LABEL: RELEASE, COMPONENT_LABEL: BACKEND_COMPONENT}
PREDICTOR_LABELS = predictor_labels(SERVICE)
_GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_TICK_S = 0.01

Manifest = dict[str, Any]


def inference_service(**changes: Any) -> Manifest:
    """A ready InferenceService of the chart; `conditions` and `annotations` may be replaced."""
    return {
        "apiVersion": "serving.kserve.io/v1beta1",
        "kind": "InferenceService",
        "metadata": {
            "name": SERVICE,
            "namespace": NAMESPACE,
            "uid": "isvc-1",
            "generation": changes.get("generation", 1),
            "labels": {INSTANCE_LABEL: RELEASE, "app.kubernetes.io/version": "0.1.0"},
            "annotations": changes.get("annotations", {BACKEND_ANNOTATION: "redis", MODE_ANNOTATION: "in-process"}),
        },
        "spec": {"predictor": {"minReplicas": 2, "model": {"runtime": SERVICE}}},
        "status": {
            "observedGeneration": 1,
            "conditions": changes.get(
                "conditions", [{"type": "PredictorReady", "status": "True"}, {"type": "Ready", "status": "True"}]
            ),
        },
    }


def predictor_container() -> Manifest:
    """A container as KServe makes it from the chart's values for the CPU."""
    return {
        "name": PREDICTOR_CONTAINER,
        "image": "lmcache-kserve/vllm-cpu:0.1.0",
        "command": ["python3", "-m", "vllm.entrypoints.openai.api_server"],
        "args": ["--port=8080", "--served-model-name=tiny", "--max-model-len=10000"],
        "ports": [{"containerPort": 8080, "name": "http1", "protocol": "TCP"}],
        "env": [
            {"name": "PYTHONHASHSEED", "value": "0"},
            {"name": "LMCACHE_CONFIG_FILE", "value": "/etc/lmcache/lmcache_config.yaml"},
            {
                "name": "REMOTE_BACKEND_URL",
                "value": "redis://demo-lmcache-kserve-redis.llm.svc:6379/0?socket_timeout=2",
            },
            {
                "name": "REMOTE_BACKEND_PASSWORD",
                "valueFrom": {"secretKeyRef": {"name": "demo-lmcache-kserve-redis", "key": "password"}},
            },
            {"name": "NODE", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}},
        ],
        "volumeMounts": [{"name": "lmcache-config", "mountPath": "/etc/lmcache", "readOnly": True}],
    }


def pod(name: str, *, labels: Mapping[str, str], container: Manifest, **status: Any) -> Manifest:
    """A pod, ready unless `status` says otherwise."""
    ready: Manifest = {
        "phase": "Running",
        "conditions": [{"type": "PodScheduled", "status": "True"}, {"type": "Ready", "status": "True"}],
        "containerStatuses": [{"name": container["name"], "ready": True, "state": {"running": {}}, "restartCount": 0}],
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": NAMESPACE, "uid": f"uid-of-{name}", "labels": dict(labels)},
        "spec": {
            "containers": [container],
            "volumes": [{"name": "lmcache-config", "configMap": {"name": "demo-lmcache-kserve-lmcache"}}],
        },
        "status": ready | status,
    }


@dataclass
class Rule:
    """One rule of a Role, and whether a request ever needed it."""

    groups: Sequence[str]
    resources: Sequence[str]
    verbs: Sequence[str]
    names: Sequence[str] | None
    used: set[tuple[str, str]] = field(default_factory=set)

    def allows(self, verb: str, group: str, resource: str, name: str | None) -> bool:
        allowed = group in self.groups and resource in self.resources and verb in self.verbs
        if not allowed or (self.names is not None and name not in self.names):
            return False
        self.used.add((resource, verb))
        return True


def read_role(path: Path) -> list[Rule]:
    """The rules of a Role."""
    rules = yaml.safe_load(path.read_text(encoding="utf-8"))["rules"]
    return [Rule(rule["apiGroups"], rule["resources"], rule["verbs"], rule.get("resourceNames")) for rule in rules]


class FakeCluster:
    """One namespace with one release of two replicas and a Redis."""

    def __init__(self, release: FakeTarget | None = None, *, rules: Sequence[Rule] | None = None) -> None:
        self.release = release or FakeTarget()
        self.rules = rules
        self.refused: set[str] = set()
        """Resources that the account may not touch, whatever the rules say: `pods/log`."""
        self.lock = threading.RLock()
        self.requests: list[str] = []
        self.objects: dict[str, dict[str, Manifest]] = {
            "inferenceservices": {SERVICE: inference_service()},
            "servingruntimes": {
                SERVICE: {"metadata": {"name": SERVICE, "labels": {CHART_LABEL: "lmcache-kserve-0.2.0"}}}
            },
            "pods": {},
            "configmaps": {
                "demo-lmcache-kserve-lmcache": {
                    "metadata": {"name": "demo-lmcache-kserve-lmcache", "labels": {}},
                    "data": {"lmcache_config.yaml": "chunk_size: 256\n"},
                }
            },
            "secrets": {
                "demo-lmcache-kserve-redis": {
                    "metadata": {"name": "demo-lmcache-kserve-redis", "labels": {}},
                    "data": {"password": base64.b64encode(PASSWORD.encode()).decode()},
                }
            },
            "deployments": {
                "demo-lmcache-kserve-redis": {
                    "metadata": {"name": "demo-lmcache-kserve-redis", "labels": BACKEND_LABELS},
                    "spec": {"replicas": 1},
                }
            },
            "statefulsets": {},
        }
        self.logs: dict[str, tuple[FakeReplica, int]] = {}
        """By pod: whose lines are its log, and from which on."""
        self.executed: list[str] = []
        """Paths of the requests to run something in a pod."""
        self.exec_output: str | None = "Name:\tlmcache_server\nVmRSS:\t    2048 kB\n"
        self.recreates = True
        self._count = 0
        self._redis = FakeRedis(self)
        self._server = _ApiServer(self)
        for replica in self.release.replicas:
            self.add_predictor(replica)
        self.add_redis()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def add_predictor(self, replica: FakeReplica) -> str:
        """A new predictor pod that `replica` is the container of."""
        self._count += 1
        name = f"{SERVICE}-predictor-{self._count}"
        self.logs[name] = (replica, len(replica.all_lines()) if self._count > len(self.release.replicas) else 0)
        self.objects["pods"][name] = pod(name, labels=PREDICTOR_LABELS, container=predictor_container())
        return name

    def add_redis(self) -> None:
        self._count += 1
        name = f"{SERVICE}-redis-{self._count}"
        container = {"name": "redis", "image": "redis:8.2.1", "ports": [{"containerPort": 6379}]}
        self.objects["pods"][name] = pod(name, labels=BACKEND_LABELS, container=container)

    def port_of(self, name: str, port: int) -> int | None:
        """The port of this machine that a pod's port is."""
        with self.lock:
            if name not in self.objects["pods"]:
                return None
            if name in self.logs:
                return self.logs[name][0].port if port == 8080 else None
            return self._redis.port if port == 6379 else None

    def log_of(self, name: str) -> list[LogLine]:
        replica, begin = self.logs[name]
        return replica.all_lines()[begin:]

    def delete_pod(self, name: str) -> None:
        """End a pod; the Deployment behind it makes another one."""
        with self.lock:
            del self.objects["pods"][name]
            if name in self.logs:
                replica = self.logs[name][0]
                replica.end()
                if self.recreates:
                    replica.start()
                    self.add_predictor(replica)
            elif self.objects["deployments"]["demo-lmcache-kserve-redis"]["spec"]["replicas"]:
                self.add_redis()

    def scale(self, name: str, replicas: int) -> None:
        """Scale the backend."""
        with self.lock:
            self.objects["deployments"][name]["spec"]["replicas"] = replicas
            backend = self.release.backend
            if replicas:
                self.add_redis()
                if backend:
                    backend.start()
            elif backend:
                backend.stop()

    def allows(self, verb: str, group: str, resource: str, name: str | None) -> bool:
        if resource in self.refused:
            return False
        return self.rules is None or any(rule.allows(verb, group, resource, name) for rule in self.rules)

    def start(self) -> None:
        for server in (self._server, self._redis.server):
            threading.Thread(target=lambda one=server: one.serve_forever(poll_interval=_TICK_S), daemon=True).start()

    def stop(self) -> None:
        for server in (self._server, self._redis.server):
            server.shutdown()
            server.server_close()
        for replica in self.release.replicas:
            replica.end()


@contextmanager
def cluster(release: FakeTarget | None = None, **options: Any) -> Iterator[FakeCluster]:
    """A cluster for the time of a `with` block."""
    fake = FakeCluster(release, **options)
    fake.start()
    try:
        yield fake
    finally:
        fake.stop()


def write_kubeconfig(path: Path, fake: FakeCluster) -> Path:
    """A kubeconfig for the fake."""
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "fake",
        "clusters": [{"name": "fake", "cluster": {"server": fake.url}}],
        "users": [{"name": "someone", "user": {"token": "t"}}],
        "contexts": [{"name": "fake", "context": {"cluster": "fake", "user": "someone"}}],
    }
    path.write_text(yaml.safe_dump(config), encoding="utf-8")
    return path


class _ApiServer(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, fake: FakeCluster) -> None:
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
    server: _ApiServer

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


class FakeRedis:
    """Enough of a Redis server to count what the fake release stored."""

    def __init__(self, fake: FakeCluster) -> None:
        self._fake = fake
        self.server = _RedisServer(self.reply)

    @property
    def port(self) -> int:
        return int(self.server.server_address[1])

    def reply(self, command: Sequence[str]) -> bytes:
        name = command[0].upper()
        entries = 2 * len(self._fake.release.store.keys)
        if name in {"AUTH", "HELLO"}:
            welcome = b"+OK\r\n" if name == "AUTH" else b"%1\r\n+proto\r\n:3\r\n"
            return welcome if PASSWORD in command else b"-WRONGPASS invalid password\r\n"
        if name == "DBSIZE":
            return f":{entries}\r\n".encode()
        if name == "INFO":
            text = f"# Memory\r\nused_memory_dataset:{entries * 1000}\r\n"
            return f"${len(text)}\r\n{text}\r\n".encode()
        if name in {"CLIENT", "SELECT", "PING"}:
            return b"+OK\r\n"
        return b"-ERR unknown command\r\n"


class _RedisServer(ThreadingTCPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, reply: Callable[[Sequence[str]], bytes]) -> None:
        super().__init__(("127.0.0.1", 0), _RedisHandler)
        self.reply = reply

    def handle_error(self, request: object, client_address: object) -> None:
        """A client may leave at any time."""


class _RedisHandler(StreamRequestHandler):
    server: _RedisServer

    def handle(self) -> None:
        while head := self.rfile.readline():
            words = []
            for _ in range(int(head[1:])):
                size = int(self.rfile.readline()[1:])
                words.append(self.rfile.read(size + 2)[:-2].decode())
            self.wfile.write(self.server.reply(words))
