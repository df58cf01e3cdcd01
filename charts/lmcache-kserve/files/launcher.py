"""Start the model server with the remote backend's password, which stays out of its log, and with the chart's modules.

LMCache takes the credentials of Redis inside `remote_url` only, those of other backends among the settings of their
connectors, and prints both. So this launcher puts them together, hands them to the server as LMCACHE_REMOTE_URL and
LMCACHE_EXTRA_CONFIG, and replaces every secret in what the server prints. KServe refuses an InferenceService that sets
PYTHONPATH, so it is the launcher that lets the server import what lies beside it.

Usage: launcher.py -- COMMAND [ARGUMENT ...]

Environment:
    REMOTE_BACKEND_URL: URL of the backend without credentials.
    REMOTE_BACKEND_USERNAME, REMOTE_BACKEND_PASSWORD: its credentials; the server does not see these two.
    LMCACHE_EXTRA_CONFIG: settings of connectors, as JSON; a value `%REMOTE_BACKEND_PASSWORD%` or
        `%REMOTE_BACKEND_USERNAME%` is replaced by the credential, and then the URL gets none.
    LAUNCHER_REDACT: names of the variables whose values must not be printed, separated by commas.

Exits with the server's code, with 128 plus the number of the signal that ended it, or with 127 or 126 when it cannot
be started. It needs nothing but Python 3.9, because it runs in images that others build.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote, quote_plus

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from types import FrameType

MASK = b"***"
READ_BYTES = 65536
LONGEST_LINE_BYTES = 1 << 20
# A descendant of the server may hold its output open after the server has ended.
DRAIN_S = 10.0
FORWARDED = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2)
NOT_FOUND, NOT_EXECUTABLE, USAGE = 127, 126, 2
HERE = str(Path(__file__).absolute().parent)


def remote_url(url: str, username: str, password: str) -> str:
    """Put credentials into a URL, percent-encoded as redis-py decodes them."""
    scheme, separator, rest = url.partition("://")
    if not separator:
        raise ValueError("REMOTE_BACKEND_URL is no URL")
    return f"{scheme}://{encoded(username)}:{encoded(password)}@{rest}"


def extra_config(text: str, credentials: Mapping[str, str]) -> str:
    """Put credentials where settings ask for them; a text without such a place is returned as it is."""
    settings = json.loads(text)
    if not isinstance(settings, dict):
        return text
    places = {f"%{name}%": value for name, value in credentials.items()}
    filled = {key: places.get(value, value) if isinstance(value, str) else value for key, value in settings.items()}
    return text if filled == settings else json.dumps(filled)


def child_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the server's environment: the launcher's, with LMCACHE_REMOTE_URL instead of its parts, and PYTHONPATH."""
    child = dict(environment)
    child["PYTHONPATH"] = os.pathsep.join(filter(None, (HERE, environment.get("PYTHONPATH"))))
    username = child.pop("REMOTE_BACKEND_USERNAME", "")
    password = secret(child.pop("REMOTE_BACKEND_PASSWORD", ""))
    settings = child.get("LMCACHE_EXTRA_CONFIG", "{}")
    filled = extra_config(settings, {"REMOTE_BACKEND_USERNAME": username, "REMOTE_BACKEND_PASSWORD": password})
    if filled != settings:
        child["LMCACHE_EXTRA_CONFIG"] = filled
    if url := child.get("REMOTE_BACKEND_URL", ""):
        bare = filled != settings or not (username or password)
        child["LMCACHE_REMOTE_URL"] = url if bare else remote_url(url, username, password)
    return child


def encoded(value: str) -> str:
    """Percent-encode all that a URL gives a meaning to."""
    return quote(os.fsencode(value), safe="")


def secret(value: str) -> str:
    """Return a secret without the line break that files made with an editor end in."""
    return value.rstrip("\r\n")


def secrets_to_hide(environment: Mapping[str, str]) -> list[bytes]:
    """Return every spelling in which a secret may be printed, longest first, so that none is left half hidden."""
    names = [name.strip() for name in environment.get("LAUNCHER_REDACT", "").split(",")]
    values = {secret(environment.get(name, "")) for name in names if name}
    spellings = set(values)
    for value in values:
        raw = os.fsencode(value)
        spellings |= {encoded(value), quote(raw), quote_plus(raw)}
        # As it stands inside quotes: in the repr of a configuration or an exception, and in JSON.
        spellings |= {repr(value)[1:-1], json.dumps(value)[1:-1]}
    return sorted((os.fsencode(spelling) for spelling in spellings if spelling), key=len, reverse=True)


def redact(data: bytes, hidden: Sequence[bytes]) -> bytes:
    """Replace every secret in `data`."""
    for value in hidden:
        data = data.replace(value, MASK)
    return data


def write_all(descriptor: int, data: bytes) -> None:
    """Write `data`; a reader that has gone away is no reason to stop the server."""
    with contextlib.suppress(OSError):
        while data:
            data = data[os.write(descriptor, data) :]


def pump(source: int, target: int, hidden: Sequence[bytes]) -> None:
    """Copy what the server writes, by whole lines, so that a secret written in pieces is still found."""
    held = b""
    longest_secret = max(map(len, hidden), default=1)
    while data := os.read(source, READ_BYTES):
        held += data
        # Progress bars end their lines with a carriage return only.
        end = max(held.rfind(b"\n"), held.rfind(b"\r")) + 1
        if end:
            write_all(target, redact(held[:end], hidden))
            held = held[end:]
        elif len(held) > LONGEST_LINE_BYTES:
            held = redact(held, hidden)
            write_all(target, held[:-longest_secret])
            held = held[-longest_secret:]
    write_all(target, redact(held, hidden))


def send(child: subprocess.Popen[bytes], number: int) -> None:
    """Send a signal. Popen.send_signal would also collect the child, behind the back of `wait_for`."""
    if child.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(child.pid, number)


def wait_for(child: subprocess.Popen[bytes]) -> int:
    """Wait for the server's end and return its exit code.

    Process 1 of a container inherits every orphan, and collects them here meanwhile.
    """
    while True:
        pid, status = os.wait()
        if pid == child.pid:
            child.returncode = code = os.waitstatus_to_exitcode(status)
            return code if code >= 0 else 128 - code


def run(command: Sequence[str], environment: Mapping[str, str]) -> int:
    """Run the server and return its exit code."""
    hidden = secrets_to_hide(environment)
    child: subprocess.Popen[bytes] | None = None
    early: list[int] = []

    def forward(number: int, _frame: FrameType | None) -> None:
        if child is None:
            early.append(number)
        else:
            send(child, number)

    for forwarded in FORWARDED:
        signal.signal(forwarded, forward)
    child = subprocess.Popen(
        command, env=child_environment(environment), stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0
    )
    for number in early:
        send(child, number)
    pumps = [
        threading.Thread(target=pump, args=(pipe.fileno(), target, hidden), daemon=True)
        for pipe, target in ((child.stdout, sys.stdout.fileno()), (child.stderr, sys.stderr.fileno()))
        if pipe
    ]
    for thread in pumps:
        thread.start()
    code = wait_for(child)
    deadline = time.monotonic() + DRAIN_S
    for thread in pumps:
        thread.join(max(0.0, deadline - time.monotonic()))
    return code


def main() -> int:
    """Parse the command line and run."""
    separator, command = sys.argv[1:2], sys.argv[2:]
    if separator != ["--"] or not command:
        sys.stderr.write("usage: launcher.py -- COMMAND [ARGUMENT ...]\n")
        return USAGE
    try:
        return run(command, dict(os.environ))
    except OSError as error:
        sys.stderr.write(f"launcher: cannot start {command[0]}: {error.strerror}\n")
        return NOT_FOUND if isinstance(error, FileNotFoundError) else NOT_EXECUTABLE
    except ValueError as error:
        sys.stderr.write(f"launcher: {error}\n")
        return USAGE


if __name__ == "__main__":
    # Threads that still wait for a descendant's output must not hold up the end.
    exit_code = main()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(exit_code)
