"""Run mp_server.py with the server's memory in /dev/shm, where an engine without GPUs copies its chunks itself.

LMCache creates that memory under a name that must be free, and a server that was killed leaves its own behind. So this
script chooses the name and removes what is left. It takes all of the memory when the server starts: an engine that
writes to a page that is not there would die.

Usage and exit codes are those of mp_server.py. It needs LMCache 0.5.0 or later.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from pathlib import Path

import mp_server

SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 - where POSIX keeps shared memory, which is no file of ours
SEGMENT = "lmcache_l1_pool_chart_"
"""LMCache's own start of such names, the chart's, and then the number of the server's process."""
SERVER = "lmcache.v1.multiprocess.http_server"
"""The last module that the server's own thread imports, and the one that mp_server.storage_manager looks into."""
POLL_S = 0.1


def free_name() -> str:
    """A name for the memory of this server; what servers left that were killed is removed."""
    for segment in SHARED_MEMORY.glob(f"{SEGMENT}*"):
        number = int(segment.name[len(SEGMENT) :])
        # In a container every server is process 1.
        if number == os.getpid() or not alive(number):
            segment.unlink(missing_ok=True)
    return f"{SEGMENT}{os.getpid()}"


def alive(process: int) -> bool:
    """Whether a process with this number runs."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def claim(name: str) -> None:
    """Take all of the memory for this container, as soon as the server has created it."""
    # Two threads that import LMCache at the same time may see half of it, and the server's own would end.
    while SERVER not in sys.modules:
        time.sleep(POLL_S)
    mp_server.storage_manager()
    try:
        with (SHARED_MEMORY / name).open("r+b") as segment:
            os.posix_fallocate(segment.fileno(), 0, os.fstat(segment.fileno()).st_size)
    except FileNotFoundError:
        mp_server.say(f"{SHARED_MEMORY} has no room for the server's memory: engine and server send each other chunks")
    except OSError as error:
        mp_server.say(f"{SHARED_MEMORY} cannot hold the server's memory ({error.strerror}): starting anew")
        os._exit(mp_server.STUCK)


def main() -> int:
    """Run the server until it ends."""
    name = free_name()
    sys.argv += ["--shm-name", name]
    threading.Thread(target=claim, args=(name,), name="shared-memory", daemon=True).start()
    return mp_server.main()


if __name__ == "__main__":
    sys.exit(main())
