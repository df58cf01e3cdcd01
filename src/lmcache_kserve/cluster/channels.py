"""Connections into a pod over a websocket: a port of it, or a command in it.

Source of the framing: Kubernetes, `v4.channel.k8s.io`. The first byte of a message names its channel. For a forwarded
port, channel 0 carries data and channel 1 errors, and the first message of each is the port's number. For a command,
1 is standard output, 2 standard error, and 3 a Status object at the end.
"""

import json
import ssl
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from lmcache_kserve.errors import HarnessError

if TYPE_CHECKING:
    from kubernetes.client import Configuration

_DATA, _ERROR = 0, 1
_STDOUT, _STDERR, _STATUS = 1, 2, 3
_PROTOCOL = "v4.channel.k8s.io"
_HANDSHAKE_TIMEOUT_S = 10.0


def _open(configuration: "Configuration", url: str, headers: Mapping[str, str]) -> Any:  # noqa: ANN401 - it returns a WebSocket, whose `shutdown` has no type hints: strict mypy refuses to call it
    """Open a websocket with the credentials and certificates of a client's configuration.

    The client's own `create_websocket` knows no timeout: a server that does not answer would be waited for without end.
    """
    from kubernetes.stream import ws_client  # noqa: PLC0415 - commands without a cluster should not wait for the import
    from websocket import create_connection  # noqa: PLC0415 - commands without a cluster need no websocket

    untyped: Any = ws_client
    login = [f"{name}: {value}" for name, value in headers.items() if name == "authorization"]
    options: dict[str, Any] = {"header": [*login, f"sec-websocket-protocol: {_PROTOCOL}"]}
    websocket = create_connection(
        untyped.get_websocket_url(url),
        timeout=_HANDSHAKE_TIMEOUT_S,
        sslopt=_tls(configuration),
        **untyped.websocket_proxycare(options, configuration, url, headers),
    )
    websocket.settimeout(None)
    return websocket


def _tls(configuration: "Configuration") -> dict[str, Any]:
    """The settings of a client's configuration for TLS, as `websocket` names them."""
    identity = {
        "certfile": configuration.cert_file,
        "keyfile": configuration.key_file,
        "server_hostname": configuration.tls_server_name,
    }
    trust = {"ca_certs": configuration.ssl_ca_cert, "check_hostname": configuration.assert_hostname}
    given = identity | trust if configuration.verify_ssl else identity
    required = ssl.CERT_REQUIRED if configuration.verify_ssl else ssl.CERT_NONE
    return {"cert_reqs": required} | {name: value for name, value in given.items() if value is not None}


class _Channels:
    """Messages of a websocket with their channel."""

    def __init__(self, websocket: Any) -> None:  # noqa: ANN401 - a WebSocket, whose `shutdown` has no type hints: strict mypy refuses to call it
        self._websocket = websocket

    open = staticmethod(_open)

    def _receive(self) -> tuple[int, bytes] | None:
        """The next message; None at the end, and channel -1 for what carries nothing."""
        from websocket import ABNF, WebSocketException  # noqa: PLC0415 - commands without a cluster should not wait for the import

        try:
            opcode, frame = self._websocket.recv_data_frame(control_frame=True)
        except (WebSocketException, OSError):
            return None
        if opcode == ABNF.OPCODE_CLOSE:
            return None
        if opcode not in {ABNF.OPCODE_BINARY, ABNF.OPCODE_TEXT} or not frame.data:
            return -1, b""
        return frame.data[0], frame.data[1:]

    def close(self) -> None:
        """Close the connection without waiting for the other side."""
        self._websocket.shutdown()


class Tunnel(_Channels):
    """A connection to a port of a pod."""

    def __init__(self, websocket: Any) -> None:  # noqa: ANN401 - a WebSocket, whose `shutdown` has no type hints: strict mypy refuses to call it
        super().__init__(websocket)
        self._begun: set[int] = set()

    def fileno(self) -> int:
        """The socket's descriptor, to wait on."""
        return int(self._websocket.sock.fileno())

    def pending(self) -> bool:
        """Whether data has been decrypted already: waiting on the descriptor would not see it."""
        return isinstance(self._websocket.sock, ssl.SSLSocket) and self._websocket.sock.pending() > 0

    def send(self, data: bytes) -> None:
        """Send data to the port.

        Raises:
            OSError: the connection is lost.
        """
        from websocket import WebSocketException  # noqa: PLC0415 - commands without a cluster should not wait for the import

        try:
            self._websocket.send_binary(bytes([_DATA]) + data)
        except WebSocketException as error:
            raise ConnectionError(str(error)) from error

    def receive(self) -> bytes | None:
        """The next data from the port, possibly none; None when the connection has ended.

        Raises:
            ConnectionError: the kubelet could not connect to the port, or lost it.
        """
        message = self._receive()
        if message is None:
            return None
        channel, data = message
        if channel not in {_DATA, _ERROR}:
            return b""
        if channel not in self._begun:
            self._begun.add(channel)
            return b""
        if channel == _ERROR:
            raise ConnectionError(data.decode(errors="replace"))
        return data


class Exec(_Channels):
    """A command in a container."""

    def output(self, *, what: str, timeout: float) -> str:
        """Wait for the end of the command and return its standard output.

        Args:
            what: the command, for messages.
            timeout: seconds until it is given up.

        Raises:
            HarnessError: the command failed or did not end.
        """
        streams: dict[int, bytes] = {}
        deadline = time.monotonic() + timeout
        try:
            while (left := deadline - time.monotonic()) > 0:
                self._websocket.settimeout(left)
                message = self._receive()
                if message is None:
                    break
                streams[message[0]] = streams.get(message[0], b"") + message[1]
        finally:
            self.close()
        if _succeeded(streams.get(_STATUS, b"")):
            return streams.get(_STDOUT, b"").decode(errors="replace")
        error = HarnessError(f"{what} failed")
        for stream in (_STDERR, _STATUS):
            if text := streams.get(stream, b"").decode(errors="replace").strip():
                error.add_note(text)
        raise error


def _succeeded(status: bytes) -> bool:
    try:
        return bool(json.loads(status)["status"] == "Success")
    except (ValueError, KeyError, TypeError):
        return False
