"""Installs a CPU engine: what a machine must offer, which Python the engine gets, and the steps."""

import ctypes
import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol

from uv import find_uv_bin

from lmcache_kserve.engine.catalog import Lock
from lmcache_kserve.errors import HarnessError
from lmcache_kserve.lock import Exclusive
from lmcache_kserve.progress import Progress

PYTORCH_CPU_INDEX = "https://download.pytorch.org/whl/cpu"
STAGE = "engine"
"""What progress calls the installation."""

CPU_TORCH_MB = 740
"""Megabytes on disk of torch's CPU build, 2.13.0."""

_OLDEST_PYTHON = (3, 11)  # of every lock
_OLDEST_GLIBC = (2, 31)  # of llguidance, which vLLM needs; Debian 11, Ubuntu 20.04
_SPARE_MB = 1900  # bytecode, and what the installers hold while they unpack
_WHEELS = ("--only-binary", ":all:")  # every locked package has them; a compiler's errors would help nobody
_TAIL_LINES = 15
_NO_NETWORK = re.compile(
    r"dns error|failed to lookup|name resolution|unreachable|connection refused|timed out|certificate|tunnel",
    re.IGNORECASE,
)
# They would lead an installer or an interpreter into another environment.
_FOREIGN_VARIABLES = frozenset({"PYTHONHOME", "PYTHONPATH", "VIRTUAL_ENV"})


@dataclass(frozen=True, slots=True)
class Parts:
    """What a CPU engine is installed from.

    Attributes:
        torch: torch's CPU build, as a requirement.
        cuda_torch: torch's build for CUDA, which serves where the CPU build cannot be had.
        packages: every other package.
        connector: the folder of the CPU connector's sources.
        machines: processors for which the packages have wheels.
        newest_python: major and minor of the newest Python that the packages serve.
    """

    torch: str
    cuda_torch: Lock
    packages: Lock
    connector: Path
    machines: tuple[str, ...]
    newest_python: tuple[int, int]

    @property
    def installed_mb(self) -> int:
        """Megabytes on disk with torch's CPU build."""
        return self.packages.installed_mb + CPU_TORCH_MB

    @property
    def installed_mb_with_cuda(self) -> int:
        """Megabytes on disk with torch's build for CUDA."""
        return self.packages.installed_mb + self.cuda_torch.installed_mb


@dataclass(frozen=True, slots=True)
class EnginePython:
    """The Python that the engine runs on.

    Attributes:
        request: what uv is asked for: an interpreter's path, or a range of versions.
        tag: part of the environment's identity, as other Pythons need other files.
    """

    request: str
    tag: str


def python_for_engine(newest: tuple[int, int]) -> EnginePython:
    """This process's own Python where the engine's packages serve that Python, else one that uv finds or downloads.

    Args:
        newest: major and minor of the newest Python that the packages serve.
    """
    version = sys.version_info[:2]
    if platform.python_implementation() == "CPython" and _OLDEST_PYTHON <= version <= newest:
        return EnginePython(request=sys.executable, tag=f"{version[0]}.{version[1]}-{platform.machine()}")
    oldest, (major, minor) = ".".join(map(str, _OLDEST_PYTHON)), newest
    return EnginePython(request=f"cpython>={oldest},<{major}.{minor + 1}", tag=f"any-{platform.machine()}")


def check_machine(folder: Path, parts: Parts) -> None:
    """Refuse a machine on which a CPU engine cannot be installed or would not run.

    Args:
        folder: where the engine is to be installed.
        parts: what is to be installed.

    Raises:
        HarnessError: names everything that is missing.
    """
    problems = []
    system, machine = platform.system(), platform.machine()
    if system != "Linux" or machine not in parts.machines or _glibc() < _OLDEST_GLIBC:
        libc = " ".join(part for part in platform.libc_ver() if part) or "another C library"
        oldest = ".".join(map(str, _OLDEST_GLIBC))
        problems.append(
            f"the engine runs on Linux on {' or '.join(parts.machines)} with glibc {oldest} or newer and this is "
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
    if problem := _lack_of_room(folder, parts.installed_mb):
        problems.append(problem)
    if problems:
        raise HarnessError(f"The CPU engine cannot run here: {'; '.join(problems)}.")


def install(home: Path, *, parts: Parts, python: EnginePython, lock: Exclusive, progress: Progress) -> None:
    """Make the environment `home` anew.

    uv keeps its downloads, so repeating an interrupted installation takes seconds. The installers hold the lock too: if
    this process is killed, the next installation waits for an installer that still runs.

    Raises:
        HarnessError: a step failed; its notes hold the end of the installer's output.
    """
    shutil.rmtree(home, ignore_errors=True)
    run = partial(_run, keep=lock.descriptor)
    packages = ("--requirement", str(parts.packages.path))

    def cuda_torch_instead() -> None:
        size = f"{parts.cuda_torch.installed_mb / 1000:.1f} GB"
        progress(STAGE, 1, len(steps), f"torch's CPU build cannot be had, so its build for CUDA comes: {size}")

    steps = (
        ("Python environment", partial(_make_environment, run, home, python)),
        ("torch", partial(_install_torch, run, home, parts, cuda_torch_instead)),
        ("vLLM and LMCache", partial(_install, run, home, *_WHEELS, *packages)),
        ("CPU connector", partial(_install_connector, run, home, parts.connector)),
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


def _install_torch(run: _Run, home: Path, parts: Parts, cuda_torch_instead: Callable[[], None]) -> None:
    """Install torch's CPU build, which is not on PyPI, or else torch's build for CUDA, which is.

    First with pip, which reads the user's pip configuration (a mirror, a folder of wheels) as uv does not; then from
    PyTorch's own index; then from the lock of the build for CUDA.

    Args:
        run: runs the installers.
        home: the environment.
        parts: both builds.
        cuda_torch_instead: called before the build for CUDA is installed.
    """
    pip = [str(home / "bin" / "python"), "-m", "pip", "install", "--no-deps", "--no-compile", "--quiet"]
    try:
        return run([*pip, "--disable-pip-version-check", parts.torch], cwd=home)
    except _InstallerError as error:
        by_pip = error.outputs
    try:
        return _install(run, home, "--index", PYTORCH_CPU_INDEX, parts.torch)
    except _InstallerError as error:
        by_uv = error.outputs
    if problem := _lack_of_room(home, parts.installed_mb_with_cuda):
        raise _InstallerError(*by_uv, *by_pip, problem)
    cuda_torch_instead()
    try:
        return _install(run, home, *_WHEELS, "--requirement", str(parts.cuda_torch.path))
    except _InstallerError as error:
        raise _InstallerError(*by_uv, *by_pip, *error.outputs) from None


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


def _lack_of_room(folder: Path, installed_mb: int) -> str | None:
    """What is wrong where an engine of so many megabytes does not fit."""
    needed_mb, free_mb = installed_mb + _SPARE_MB, shutil.disk_usage(folder).free / 1e6
    if free_mb >= needed_mb:
        return None
    return (
        f"the engine needs {needed_mb / 1000:.1f} GB and {folder} has {free_mb / 1000:.1f} GB free: make room, or let "
        "XDG_CACHE_HOME name a folder on a larger disk"
    )


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
