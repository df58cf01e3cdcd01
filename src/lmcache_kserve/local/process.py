"""One container's process: started in a session of its own, its log kept with times, ended with all its descendants."""

import contextlib
import hashlib
import os
import signal
import subprocess
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

import platformdirs
import psutil

from lmcache_kserve.errors import HarnessError
from lmcache_kserve.evidence.soak import Usage
from lmcache_kserve.target import LogLine

OWNER_VARIABLE = "LMCACHE_KSERVE_OWNER"
"""Set in every process of a run to `<pid>-<start time>` of its harness, so that leftovers of a killed one are known."""

_INTERRUPTIONS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_TEMPORARY_PREFIX = "lk-"
_OWNER_FILE = "owner"
_LONGEST_SOCKET = 107  # bytes in the path of an AF_UNIX socket: sockaddr_un of Linux
# engine_<36>_service_lookup_scheduler_lmcache_rpc_port_0: LMCache 0.4.2 to 0.5.6, lmcache/v1/rpc_utils.py
_LONGEST_SOCKET_NAME = 87
_TERMINATION_GRACE_S = 10.0
_LAST_WORDS_S = 3.0


class Log:
    """What a container wrote, across its restarts: lines in memory and in a file (`<RFC 3339 time> <line>`)."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lines: list[LogLine] = []
        self._lock = threading.Lock()

    def append(self, text: str) -> None:
        """Add a line that was written now."""
        line = LogLine(time=datetime.now(UTC), text=text)
        with self._lock:
            self._lines.append(line)
            with self.path.open("a", encoding="utf-8") as file:
                file.write(f"{line.time.isoformat()} {text}\n")

    def lines(self, *, since: datetime | None = None) -> list[LogLine]:
        """The lines written at or after `since`, oldest first."""
        with self._lock:
            return [line for line in self._lines if since is None or line.time >= since]

    def tail(self, count: int = 25) -> str:
        """The last `count` lines, for an error message."""
        return "\n".join(line.text for line in self.lines()[-count:])


class ContainerProcess:
    """A running container."""

    def __init__(
        self, name: str, command: Sequence[str], *, environment: Mapping[str, str], directory: Path, log: Log
    ) -> None:
        self.name = name
        self.log = log
        try:
            self._process = subprocess.Popen(
                command,
                env=environment,
                cwd=directory,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        except OSError as error:
            raise HarnessError(f"{name}: cannot start {command[0]}: {error.strerror}") from error
        self._root = psutil.Process(self._process.pid)
        assert self._process.stdout is not None  # noqa: S101 - PIPE was asked for above
        self._pump = threading.Thread(target=self._copy, args=(self._process.stdout,), name=f"log-{name}", daemon=True)
        self._pump.start()

    @property
    def exit_code(self) -> int | None:
        """The main process's exit code, or None while it runs; negative for a signal."""
        return self._process.poll()

    @property
    def pid(self) -> int:
        """Number of the main process, whether it runs or has ended."""
        return self._root.pid

    @property
    def pids(self) -> list[int]:
        """Numbers of the process and its descendants; none once it has ended."""
        try:
            return [process.pid for process in self._tree()]
        except psutil.NoSuchProcess:
            return []

    @property
    def resident_bytes(self) -> int:
        """Memory in use by the process and its descendants.

        Raises:
            HarnessError: the process has ended.
        """
        try:
            return sum(process.memory_info().rss for process in self._tree())
        except psutil.NoSuchProcess as error:
            raise HarnessError(f"{self.name} is not running") from error

    @property
    def usage(self) -> Usage:
        """What the process and its descendants hold; a descendant that ends meanwhile counts with nothing.

        Raises:
            HarnessError: the process has ended.
        """
        memory = descriptors = threads = connections = 0
        try:
            for process in self._tree():
                with (
                    contextlib.suppress(*(() if process == self._root else (psutil.NoSuchProcess,))),
                    process.oneshot(),
                ):
                    sockets = process.net_connections(kind="inet")
                    memory += process.memory_info().rss
                    descriptors += process.num_fds()
                    threads += process.num_threads()
                    connections += sum(socket.status != psutil.CONN_LISTEN for socket in sockets)
        except psutil.NoSuchProcess as error:
            raise HarnessError(f"{self.name} is not running") from error
        return Usage(resident_bytes=memory, descriptors=descriptors, threads=threads, connections=connections)

    def _tree(self) -> list[psutil.Process]:
        return [self._root, *self._root.children(recursive=True)]

    def wait(self, *, timeout: float) -> int:
        """Wait for the process to end by itself and return its exit code.

        Raises:
            HarnessError: it is still running after `timeout` seconds.
        """
        try:
            code = self._process.wait(timeout)
        except subprocess.TimeoutExpired as error:
            raise HarnessError(f"{self.name} did not finish within {timeout:.0f} s\n{self.log.tail()}") from error
        self._pump.join(_LAST_WORDS_S)
        return code

    def stop(self) -> None:
        """End it as the kubelet does: SIGTERM, a grace period, then SIGKILL for whatever is left."""
        members = self._members()
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGTERM)
        _, alive = psutil.wait_procs(members, timeout=_TERMINATION_GRACE_S)
        self._end(alive)

    def kill(self) -> None:
        """End it at once, without notice, as the loss of its node would."""
        self._end(self._members())

    def _members(self) -> list[psutil.Process]:
        try:
            descendants = self._root.children(recursive=True)
        except psutil.NoSuchProcess:
            descendants = []
        known = {process.pid for process in descendants}
        return [self._root, *descendants, *(p for p in _session(self._process.pid) if p.pid not in known)]

    def _end(self, members: Sequence[psutil.Process]) -> None:
        # Python's resource tracker removes the shared memory of the processes it outlives, so it goes last, by itself.
        trackers = [process for process in members if _is_resource_tracker(process)]
        for process in members:
            if process not in trackers:
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.kill()
        _, alive = psutil.wait_procs(trackers, timeout=_LAST_WORDS_S)
        for process in alive:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        self._process.wait()
        # The root is waited for above: waiting for it here too would take its exit code away.
        psutil.wait_procs([process for process in members if process != self._root], timeout=_LAST_WORDS_S)
        self._pump.join(_LAST_WORDS_S)

    def _copy(self, stream: IO[bytes]) -> None:
        with stream:
            for line in stream:
                self.log.append(line.decode("utf-8", errors="replace").rstrip("\r\n"))


def end_leftovers() -> int:
    """End processes whose harness was killed before it could; return how many there were."""
    leftovers = [process for process in psutil.process_iter() if _is_leftover(process)]
    for process in leftovers:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(leftovers, timeout=_TERMINATION_GRACE_S)
    return len(leftovers)


@contextlib.contextmanager
def uninterrupted() -> Iterator[None]:
    """Ignore Ctrl-C and termination inside, so that a clean-up is never left half done."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, signal.SIG_IGN) for number in _INTERRUPTIONS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def owner() -> str:
    """What marks the processes of this harness, and names its folder: its process id and start time."""
    return f"{os.getpid()}-{psutil.Process().create_time():.2f}"


def is_running(owner_mark: str) -> bool:
    """Whether the harness that `owner_mark` names is still there."""
    pid, _, started = owner_mark.partition("-")
    try:
        return f"{psutil.Process(int(pid)).create_time():.2f}" == started
    except (psutil.NoSuchProcess, ValueError):
        return False


def owner_of(process: psutil.Process) -> str | None:
    """The mark of the harness that started `process`, or None for a process of somebody else.

    The environment holds the mark. Redis overwrites its environment to show a title; then the working directory tells.
    """
    try:
        if mark := process.environ().get(OWNER_VARIABLE):
            return mark
        directory = Path(process.cwd())
    except (psutil.Error, OSError):
        return None
    runs = runs_folder()
    return directory.relative_to(runs).parts[0] if runs in directory.parents else None


def runs_folder() -> Path:
    """Where every run has a folder, named after its harness."""
    return platformdirs.user_state_path("lmcache-kserve") / "runs"


def temporary_folder() -> Path:
    """Where the processes of this run keep temporary files.

    LMCache makes sockets there, and releases before 0.5.6 do not shorten names that are too long. So the path is a
    hash of the owner's mark in the system's folder for temporary files, or in /tmp where that folder's path is long.
    """
    return _temporary_root() / f"{_TEMPORARY_PREFIX}{hashlib.sha256(owner().encode()).hexdigest()[:8]}"


def make_temporary_folder() -> None:
    """Make the temporary folder, with the owner's mark in it."""
    folder = temporary_folder()
    folder.mkdir(mode=0o700)
    (folder / _OWNER_FILE).write_text(owner(), encoding="ascii")


def temporary_folders() -> Iterator[tuple[str, Path]]:
    """The temporary folder of every run, with the mark of its harness."""
    for folder in _temporary_root().glob(f"{_TEMPORARY_PREFIX}*"):
        with contextlib.suppress(OSError, ValueError):
            yield (folder / _OWNER_FILE).read_text(encoding="ascii"), folder


def _temporary_root() -> Path:
    root = Path(tempfile.gettempdir())
    room = _LONGEST_SOCKET - _LONGEST_SOCKET_NAME - len(f"//{_TEMPORARY_PREFIX}01234567")
    return root if len(os.fsencode(root)) <= room else Path("/tmp")  # noqa: S108 - the folder in it is this run's own


def _is_leftover(process: psutil.Process) -> bool:
    mark = owner_of(process)
    return mark is not None and not is_running(mark)


def _is_resource_tracker(process: psutil.Process) -> bool:
    try:
        return any("resource_tracker" in argument for argument in process.cmdline())
    except psutil.Error:
        return False


def _session(leader: int) -> list[psutil.Process]:
    members = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, ProcessLookupError):
            if process.pid != leader and os.getsid(process.pid) == leader:
                members.append(process)
    return members
