"""LMCache's connector for Mooncake, for which a master that is away is a cache that is away.

Mooncake's client answers with a negative number when it cannot reach its master. LMCache 0.5.6 takes every number but 0
for a chunk that is found, and does not look at what `setup` returns (`mooncakestore_connector.py`): a replica that
starts without the master waits for it for a minute and a half, goes on with a client that has none, and crashes in it
at the first lookup. This connector cannot be created without the master, so that LMCache goes on without it and its
health monitor tries again (`remote_backend_check.py`); and it finds nothing while the master is away. Neither does
LMCache look at what `put_parts` returns: a chunk for which there was no room is missing later, and no log says why.

LMCache loads it by `remote_storage_plugins`; launcher.py puts it on the module path. It runs in images that others
build, with LMCache 0.4.7 and later.
"""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from typing import TYPE_CHECKING, Any

from lmcache.logging import init_logger
from lmcache.v1.storage_backend.connector.mooncakestore_connector import MooncakestoreConnector

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lmcache.utils import CacheEngineKey
    from lmcache.v1.config import LMCacheEngineConfig
    from lmcache.v1.storage_backend.local_cpu_backend import LocalCPUBackend

MASTER = "mooncake_master_server_addr"
"""Key of `extra_config` with the master's host:port."""
# Mooncake's own call takes more than four seconds to say that the master is away, and each request makes one.
CONNECT_S = 1.0
FOUND = 1
"""What `is_exist` returns; 0 is a chunk that is not there, a negative number an error (Mooncake 0.3.13)."""
WARNING_S = 60.0
"""From one warning about lost chunks to the next; the first comes at once."""

logger = init_logger(__name__)


class CheckedMooncakeConnector(MooncakestoreConnector):
    """One worker's connection."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, local_cpu_backend: LocalCPUBackend, config: LMCacheEngineConfig
    ) -> None:
        """Connect.

        Raises:
            ConnectionError: there is no master, or it does not take this client.
        """
        host, _, port = config.extra_config[MASTER].rpartition(":")
        self._master = (host.strip("[]"), int(port))
        self._away = False
        if not self._master_accepts():
            raise ConnectionError(f"no Mooncake master at {config.extra_config[MASTER]}")
        super().__init__(loop, local_cpu_backend, config)

    @property
    def store(self) -> _CheckedClient:
        """Mooncake's client, which the connector creates and sets up."""
        return self._store

    @store.setter
    def store(self, client: Any) -> None:  # noqa: ANN401 - Mooncake's client is an extension module without type hints
        self._store = _CheckedClient(client)

    def exists_sync(self, key: CacheEngineKey) -> bool:
        """Whether the chunk is there; not, while the master is away."""
        if self._away and not self._master_accepts():
            return False
        answer = self.store.is_exist(key.to_string())
        self._away = answer < 0
        return bool(answer == FOUND)

    async def exists(self, key: CacheEngineKey) -> bool:
        """Do the same, and let the connector's other work go on meanwhile."""
        return await asyncio.to_thread(self.exists_sync, key)

    async def batched_async_contains(self, lookup_id: str, keys: Sequence[CacheEngineKey], pin: bool = False) -> int:  # noqa: ARG002, FBT001, FBT002 - LMCache passes these two by position, and its own connector ignores them too
        """How many chunks are there, from the first on without a gap."""
        for number, key in enumerate(keys):
            if not await self.exists(key):
                return number
        return len(keys)

    def _master_accepts(self) -> bool:
        """Whether something listens at the master's address."""
        try:
            with socket.create_connection(self._master, timeout=CONNECT_S):
                return True
        except OSError:
            return False


class _CheckedClient:
    """Mooncake's client; its failed `setup` is an error, and chunks that it does not store are in the log."""

    def __init__(self, client: Any) -> None:  # noqa: ANN401 - Mooncake's client is an extension module without type hints
        self._client = client
        self._lock = threading.Lock()  # LMCache stores from several threads
        self._lost = 0
        self._next_warning = float("-inf")

    def setup(self, *arguments: object) -> None:
        if code := self._client.setup(*arguments):
            raise ConnectionError(f"Mooncake cannot be set up: it returned {code}")

    def put_parts(self, key: str, *parts: bytes) -> int:
        code: int = self._client.put_parts(key, *parts)
        if code:
            self._warn(code)
        return code

    def _warn(self, code: int) -> None:
        """Say how many chunks were lost since it was said last."""
        with self._lock:
            self._lost += 1
            now = time.monotonic()
            if now < self._next_warning:
                return
            lost, self._lost = self._lost, 0
            self._next_warning = now + WARNING_S
        logger.warning("Chunks that Mooncake did not store: %d. Its last error: %d", lost, code)

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - stands for every attribute of an extension module without type hints
        return getattr(self._client, name)
