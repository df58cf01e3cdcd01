"""Keep memory that nobody has written from being taken for a chunk. mp_server.py runs this in LMCache's server.

The server reserves its memory for a chunk before the chunk arrives. When the chunk does not arrive, LMCache 0.5.0 to
0.5.5 ends the reservation as if it had: the memory can be read for a moment, and is stored in the backend under the
chunk's key (LMCache/LMCache#5032). Requests with a common beginning that ask at the same time are enough: the one that
comes second reserves chunks that it then does not load. LMCache 0.5.6 gives up such reservations
(`L1Manager.finish_write_and_delete`), but for those of an engine that died in the middle of a store.

Here a reservation is given up in one step, without a word to those who store what was written. One that runs out of
time stays unreadable; the server's eviction removes it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from lmcache.v1.distributed.api import ObjectKey
    from lmcache.v1.distributed.l1_manager import L1Manager
    from lmcache.v1.distributed.storage_manager import StorageManager


class Reservations:
    """The server's memory as its loads from the backend see it: the end of a reservation without a load gives it up.

    These loads end a write in this way only when there was none, or for a prefetch that nobody waits for
    (`PrefetchMode.WARM`). What such a prefetch loads is given up too, and stays in the backend.
    """

    def __init__(self, manager: L1Manager) -> None:
        self._manager = manager

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - stands for every attribute of LMCache's manager
        """Whatever else the manager has."""
        return getattr(self._manager, name)

    def finish_write(self, keys: list[ObjectKey]) -> None:
        """Give up what was reserved for these keys; the `delete` that follows finds nothing."""
        give_up(self._manager, keys)


class WriteLock:
    """A lock that knows whether the write that took it has ended; LMCache's own lock forgets it after a while."""

    def __init__(self, lock: Any) -> None:  # noqa: ANN401 - LMCache's TTLLock is an extension type without type hints
        self._lock = lock
        self.taken = False

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - stands for every attribute of LMCache's lock
        """Whatever else the lock has."""
        return getattr(self._lock, name)

    def lock(self) -> None:
        """Begin a write."""
        self.taken = True
        self._lock.lock()

    def unlock(self) -> None:
        """End a write."""
        self._lock.unlock()
        self.taken = False


def give_up(manager: L1Manager, keys: Iterable[ObjectKey]) -> None:
    """Free what is reserved for these keys and was not written, before anyone can read it."""
    with manager._lock:  # noqa: SLF001 - LMCache 0.5.0 to 0.5.5 has no public call that does both in one step
        objects = manager._objects  # noqa: SLF001 - what is reserved is listed nowhere else
        unwritten = [key for key in keys if key in objects and objects[key].write_lock.taken]
        manager._memory_manager.free([objects.pop(key).memory_obj for key in unwritten])  # noqa: SLF001 - LMCache frees memory by this alone
        for listener in manager._registered_listeners:  # noqa: SLF001 - no public call tells the listeners that a key is gone
            listener.on_l1_keys_deleted_by_manager(unwritten)


def forget_stores(storage: StorageManager, keys: list[ObjectKey]) -> None:
    """Give up what stores have reserved and not written."""
    manager = storage._l1_manager  # noqa: SLF001 - LMCache has no public name for it
    if hasattr(manager, "finish_write_and_delete"):
        from lmcache.v1.distributed.storage_manager import _L1_WRITE_TAG  # noqa: PLC0415 - LMCache before 0.5.6 has no such name, and does not get here

        manager.finish_write_and_delete(keys, tag=_L1_WRITE_TAG)
    else:
        give_up(manager, keys)


def released(release: Callable[..., None]) -> Callable[..., None]:
    """What LMCache does for an engine that is gone, after its unfinished stores into shared memory are given up."""

    def release_without_stores(self: Any, instance: int, entry: Any) -> None:  # noqa: ANN401 - LMCache's own types, which differ between its releases
        with self._pending_shm_lock:
            pending = [key for key in self._pending_shm_writes if key[0] == instance]
            stores = [self._pending_shm_writes.pop(key) for key in pending]
        for keys in stores:
            forget_stores(self._ctx.storage_manager, keys)
        release(self, instance, entry)

    return release_without_stores


def keep_out() -> None:
    """Change LMCache's server in this process; call this before the server starts."""
    from lmcache.v1.distributed import l1_manager, storage_manager  # noqa: PLC0415 - LMCache imports PyTorch for seconds, and the probe, which imports this file, must not wait
    from lmcache.v1.multiprocess.modules import engine_driven_transfer  # noqa: PLC0415 - it imports PyTorch too, for which the probe must not wait

    transfer = engine_driven_transfer.EngineDrivenTransferModule
    transfer._release_entry = released(transfer._release_entry)  # noqa: SLF001 - LMCache has no public name for it
    if hasattr(l1_manager.L1Manager, "finish_write_and_delete"):
        return
    state, loads = l1_manager.L1ObjectState, storage_manager.PrefetchController

    class State(state):
        """A chunk in the server's memory, which nobody reads before it was written."""

        def __init__(self, memory_obj: Any, write_lock: Any, *others: Any, **named: Any) -> None:  # noqa: ANN401 - passed on to LMCache, whose releases have different fields
            super().__init__(memory_obj, WriteLock(write_lock), *others, **named)

        def available_for_read(self) -> bool:
            """Whether the chunk was written."""
            return not self.write_lock.taken

    class Loads(loads):
        """Loads from the backend that give up what they reserved in vain."""

        def __init__(self, l1_manager: L1Manager, *others: Any, **named: Any) -> None:  # noqa: ANN401 - passed on to LMCache, whose releases have different arguments
            super().__init__(Reservations(l1_manager), *others, **named)

    l1_manager.L1ObjectState = State
    storage_manager.PrefetchController = Loads
