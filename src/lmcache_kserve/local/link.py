"""A network between the replicas and their backend that can be slow or cut: a TCP relay on loopback."""

import asyncio
import socket
import threading
from collections.abc import Coroutine
from typing import Any, Self

from lmcache_kserve.target import LOOPBACK

_BLOCK_BYTES = 65536
_HELD_BLOCKS = 1024
_END_TIMEOUT_S = 5.0


class Link:
    """Relays every connection to a port of this machine, byte for byte.

    Attributes:
        port: where it listens on loopback.
    """

    def __init__(self, target_port: int) -> None:
        """Listen at once, so that the port is taken; nothing is relayed before `start`."""
        self._target_port = target_port
        self._listener = socket.create_server((LOOPBACK, 0))
        self.port: int = self._listener.getsockname()[1]
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name=f"link-{self.port}", daemon=True)
        self._open = asyncio.Event()
        self._open.set()
        self._delay_s = 0.0
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    def start(self) -> None:
        """Begin to relay."""
        self._thread.start()
        self._server = self._call(asyncio.start_server(self._relay, sock=self._listener))

    def slow(self, seconds: float) -> None:
        """Let every answer arrive `seconds` later, at the same throughput; 0 ends that."""
        self._delay_s = seconds

    def cut(self) -> None:
        """Let nothing pass any more, without closing a connection: what a broken network looks like to both sides."""
        self._loop.call_soon_threadsafe(self._open.clear)

    def mend(self) -> None:
        """Let everything pass again; what was held back arrives late."""
        self._loop.call_soon_threadsafe(self._open.set)

    def close(self) -> None:
        """Close every connection and listen no more."""
        if not self._thread.is_alive():
            self._listener.close()
            return
        self._call(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_END_TIMEOUT_S)
        self._loop.close()

    def __enter__(self) -> Self:
        """Begin to relay."""
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self.close()

    def _call(self, work: Coroutine[Any, Any, Any]) -> Any:  # noqa: ANN401 - what `work` returns
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(_END_TIMEOUT_S)

    async def _end(self) -> None:
        if self._server:
            self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _relay(self, near: asyncio.StreamReader, near_writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task:
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        far_writer: asyncio.StreamWriter | None = None
        try:
            await self._open.wait()
            far, far_writer = await asyncio.open_connection(LOOPBACK, self._target_port)
            await asyncio.gather(
                self._copy(near, far_writer, answers=False), self._copy(far, near_writer, answers=True)
            )
        except (OSError, ExceptionGroup):
            pass  # either side went away: the other one is told by the close below
        finally:
            for writer in (near_writer, far_writer):
                if writer:
                    writer.close()

    async def _copy(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, *, answers: bool) -> None:
        """Pass on what `source` sends; a delay is latency, so blocks that follow each other wait at the same time."""
        held: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(_HELD_BLOCKS)
        async with asyncio.TaskGroup() as copies:
            copies.create_task(self._read(source, held, answers=answers))
            copies.create_task(self._write(held, sink))

    async def _read(
        self, source: asyncio.StreamReader, held: "asyncio.Queue[tuple[float, bytes]]", *, answers: bool
    ) -> None:
        while block := await source.read(_BLOCK_BYTES):
            await held.put((self._loop.time() + (self._delay_s if answers else 0.0), block))
        await held.put((self._loop.time(), b""))

    async def _write(self, held: "asyncio.Queue[tuple[float, bytes]]", sink: asyncio.StreamWriter) -> None:
        while True:
            due, block = await held.get()
            await asyncio.sleep(due - self._loop.time())
            await self._open.wait()
            if not block:
                break
            sink.write(block)
            await sink.drain()
        sink.close()
