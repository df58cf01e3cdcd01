import socket
import socketserver
import threading
import time
from collections.abc import Iterator

import pytest
from serving import served

from lmcache_kserve.local.link import Link


@pytest.fixture
def echo() -> Iterator[int]:
    """A server that sends back what it gets; its port."""

    class Echo(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            while data := self.request.recv(65536):
                self.request.sendall(data)

    with served(Echo) as port:
        yield port


@pytest.fixture
def link(echo: int) -> Iterator[Link]:
    with Link(echo) as link:
        yield link


def connected(link: Link, timeout: float = 5.0) -> socket.socket:
    return socket.create_connection(("127.0.0.1", link.port), timeout=timeout)


def received(connection: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size and (block := connection.recv(65536)):
        data += block
    return data


def test_everything_passes_unchanged_in_both_directions(link: Link) -> None:
    data = bytes(range(256)) * 4096
    with connected(link) as connection:
        sender = threading.Thread(target=connection.sendall, args=(data,))
        sender.start()
        assert received(connection, len(data)) == data
        sender.join()


def test_a_slow_network_holds_answers_back(link: Link) -> None:
    link.slow(0.3)
    with connected(link) as connection:
        begin = time.monotonic()
        connection.sendall(b"ping")
        assert received(connection, 4) == b"ping"
        assert time.monotonic() - begin >= 0.3


def test_a_slow_network_has_the_throughput_of_a_fast_one(link: Link) -> None:
    link.slow(0.3)
    data = bytes(4_000_000)
    with connected(link) as connection:
        begin = time.monotonic()
        sender = threading.Thread(target=connection.sendall, args=(data,))
        sender.start()
        assert received(connection, len(data)) == data
        sender.join()
        assert time.monotonic() - begin < 5


def test_over_a_cut_network_nothing_arrives_and_afterwards_it_does(link: Link) -> None:
    with connected(link, timeout=0.3) as connection:
        connection.sendall(b"one")
        assert received(connection, 3) == b"one"
        link.cut()
        # The relay's own thread has to see it first; what is on its way until then passes.
        time.sleep(0.1)
        connection.sendall(b"two")
        with pytest.raises(TimeoutError):
            connection.recv(3)
        link.mend()
        connection.settimeout(5)
        assert received(connection, 3) == b"two"


def test_a_connection_to_a_server_that_is_gone_is_closed() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        free = listener.getsockname()[1]
    with Link(free) as link, connected(link) as connection:
        assert connection.recv(1) == b""


def test_closing_ends_every_connection(echo: int) -> None:
    link = Link(echo)
    link.start()
    connection = connected(link)
    connection.sendall(b"x")
    assert received(connection, 1) == b"x"
    link.close()
    assert connection.recv(1) == b""
    connection.close()
    with pytest.raises(ConnectionRefusedError):
        connected(link)
