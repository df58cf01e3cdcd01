"""A model server that is not one: the routes of vLLM over real HTTP, with whatever answers a test wants."""

import json
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

MODEL = "tiny"


CONTEXT = 10_000


def frames(text: str, prompt_tokens: int) -> list[str]:
    """The stream of a healthy answer: an empty first frame, one frame a word, usage, and the end."""
    words = [word + " " for word in text.split()]
    bodies: list[dict[str, Any]] = [{"choices": [{"text": ""}]}, *({"choices": [{"text": word}]} for word in words)]
    bodies.append({"choices": [], "usage": {"prompt_tokens": prompt_tokens}})
    return [f"data: {json.dumps(body)}" for body in bodies] + ["data: [DONE]"]


def whole(lines: Sequence[str]) -> bytes:
    """The answer of a stream that is not streamed."""
    bodies = [json.loads(line.removeprefix("data: ")) for line in lines[:-1]]
    text = "".join(choice["text"] for body in bodies for choice in body["choices"])
    return json.dumps({"choices": [{"text": text}], "usage": bodies[-1]["usage"]}).encode()


Behaviour = Callable[["Handler", dict[str, Any]], None]


Page = Callable[["Handler"], None]


def list_models(handler: "Handler") -> None:
    """What every page is, unless a server has others."""
    cards = [{"id": handler.server.model, "max_model_len": handler.server.context}]
    handler.reply(200, json.dumps({"data": cards}).encode())


class Handler(BaseHTTPRequestHandler):
    """Routes of a vLLM server; what POST does is the server's `behaviour`, what GET does its `page`."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: "Server"

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is the library's
        """Keep quiet."""

    def do_GET(self) -> None:
        self.server.page(self)

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.behaviour(self, body)

    def reply(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def stream(self, lines: Sequence[str]) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for line in lines:
            self.chunk(f"{line}\n\n".encode())
        self.chunk(b"")

    def chunk(self, data: bytes) -> None:
        self.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")
        self.wfile.flush()


class Server(ThreadingHTTPServer):
    """One server on a free port of this machine."""

    daemon_threads = True
    block_on_close = False

    def __init__(
        self,
        behaviour: Behaviour,
        *,
        model: str = MODEL,
        context: int | None = CONTEXT,
        page: Page = list_models,
    ) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.behaviour = behaviour
        self.page = page
        self.model = model
        self.context = context
        self._open: list[Any] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/v1"

    def process_request(self, request: Any, client_address: Any) -> None:
        self._open.append(request)
        super().process_request(request, client_address)

    def handle_error(self, request: object, client_address: object) -> None:
        """A client or a kill may cut a connection: that is what is tested."""

    def cut(self) -> None:
        """Close every connection as a killed process does."""
        for request in self._open:
            with_no_error(partial(request.shutdown, socket.SHUT_RDWR))
        self.shutdown()
        self.server_close()


def with_no_error(action: Callable[[], object]) -> None:
    try:
        action()
    except OSError:
        return


@contextmanager
def serving(behaviour: Behaviour, **options: Any) -> Iterator[Server]:
    """A server for the time of a `with` block."""
    server = Server(behaviour, **options)
    threading.Thread(target=lambda: server.serve_forever(poll_interval=0.01), daemon=True).start()
    try:
        yield server
    finally:
        with_no_error(server.cut)
