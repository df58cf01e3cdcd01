"""The engine of a local run: a Python environment with vLLM and LMCache, found on this machine or installed once.

Where CUDA's vLLM and LMCache are installed, those are used. Everywhere else a CPU engine goes into the user's cache
folder: by default the one of the image (images/vllm-cpu), or the engine of a name (engines/engines.yaml). Each has a
folder of its own.
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Literal

import platformdirs

from lmcache_kserve import resources
from lmcache_kserve.engine import catalog
from lmcache_kserve.engine.catalog import Pair
from lmcache_kserve.engine.setup import (
    STAGE,
    Parts,
    check_machine,
    foreign_free_environment,
    install,
    python_for_engine,
)
from lmcache_kserve.errors import HarnessError
from lmcache_kserve.lock import Exclusive
from lmcache_kserve.progress import Progress

ENGINE_VARIABLE = "LMCACHE_KSERVE_ENGINE"
"""Environment variable that names the Python (or its environment's folder) in which vLLM and LMCache are installed."""

DEFAULT_ENGINE = "cpu-image"
"""The engine that is installed where none is named."""

_WAITING = "another process is making it, waiting"
_MARKER = "lmcache-kserve-engine.json"  # written last: an environment without it is an interrupted installation
_DESCRIBE_TIMEOUT_S = 120
_MODEL_TIMEOUT_S = 600

# Imports torch only where all of the engine is there: it takes seconds.
_DESCRIBE = """
import importlib.metadata, json
versions = {}
for name in ("vllm", "vllm-cpu", "lmcache", "torch", "lmcache-cpu-connector"):
    try:
        versions[name] = importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        pass
device = None
if {"lmcache", "torch"} <= versions.keys() and ({"vllm", "vllm-cpu"} & versions.keys()):
    import torch
    device = "cuda" if torch.cuda.is_available() else "cpu"
print(json.dumps({"versions": versions, "device": device}))
"""


@dataclass(frozen=True, slots=True)
class Engine:
    """A Python environment that serves models.

    Attributes:
        python: its interpreter.
        bin_dir: the folder of its programs.
        device: what its vLLM computes on.
        versions: of vllm, lmcache, torch and, on a CPU, connector.
    """

    python: Path
    bin_dir: Path
    device: Literal["cpu", "cuda"]
    versions: Mapping[str, str]

    @property
    def compiled(self) -> Path:
        """The folder of the user's cache in which runs keep what this engine compiles when it starts."""
        identity = json.dumps([str(self.python), dict(self.versions)], sort_keys=True)
        return _cache() / "compiled" / hashlib.sha256(identity.encode()).hexdigest()[:12]


def ensure_engine(progress: Progress, name: str | None = None) -> Engine:
    """Find the engine, or install a CPU one.

    With a name: that engine in the user's cache folder, installed on first use. Without a name, in this order: the
    environment that `LMCACHE_KSERVE_ENGINE` names; CUDA's vLLM and LMCache in the Python that runs this or in `python3`
    on PATH; the default CPU engine.

    Args:
        progress: told how far the installation is.
        name: key of an engine in engines.yaml.

    Raises:
        HarnessError: the named environment has no engine, or none can be installed here.
    """
    if name is not None:
        return _cpu_engine(named_pair(name), progress)
    if named := os.environ.get(ENGINE_VARIABLE):
        return _engine_of_variable(Path(named))
    for python in _pythons_of_this_machine():
        found = _describe(python)
        if isinstance(found, Engine) and found.device == "cuda":
            return found
    return _cpu_engine(catalog.pair(DEFAULT_ENGINE), progress)


def named_pair(name: str) -> Pair:
    """What a user's engine name stands for.

    Raises:
        HarnessError: there is no such engine, the engine cannot be installed, or the environment names another one.
    """
    if os.environ.get(ENGINE_VARIABLE):
        raise HarnessError(
            f"{ENGINE_VARIABLE} and --engine={name} both name an engine: unset the variable or leave out the option."
        )
    pair = catalog.pair(name)
    parts_of(pair)
    return pair


def parts_of(pair: Pair) -> Parts:
    """What the engine of a pair is installed from.

    Raises:
        HarnessError: the engine cannot be installed; the text says why for each mode.
    """
    if pair.lock is None or pair.cuda_torch is None:
        reasons = " ".join(f"In mode {mode}: {outlook.reason}" for mode, outlook in pair.modes.items())
        raise HarnessError(f"Engine {pair.name} cannot be installed. {reasons} Give --engine another name.")
    return Parts(
        torch=pair.torch_requirement,
        cuda_torch=pair.cuda_torch,
        packages=pair.lock,
        connector=resources.image_path() / "connector",
        machines=pair.machines,
        newest_python=pair.newest_python,
    )


def is_installed(pair: Pair) -> bool:
    """Whether the engine of a pair is in the user's cache folder."""
    return pair.lock is not None and _installed(_home(parts_of(pair))) is not None


def make_test_model(engine: Engine, progress: Progress) -> Path:
    """The folder of the small random-weight model that local runs serve by default, made on first use.

    Raises:
        HarnessError: the engine could not make it.
    """
    script = resources.image_path() / "make_model.py"
    target = _cache() / "models" / f"tiny-{_digest([script])}"
    stage = "test model"
    with Exclusive(target, waiting=lambda: progress(stage, 0, 1, _WAITING)) as lock:
        if target.is_dir():
            progress(stage, 1, 1, "made earlier")
            return target
        progress(stage, 0, 1, "made by the engine, in seconds")
        staged = target.with_suffix(".new")
        shutil.rmtree(staged, ignore_errors=True)
        done = _run_python(engine.python, [str(script), str(staged)], timeout_s=_MODEL_TIMEOUT_S, keep=lock.descriptor)
        if done.returncode != 0:
            raise _with_output(HarnessError(f"The test model could not be made with {engine.python}."), done)
        staged.rename(target)
    progress(stage, 1, 1, "made")
    return target


def _cpu_engine(pair: Pair, progress: Progress) -> Engine:
    """The CPU engine of a pair, in the user's cache folder."""
    parts = parts_of(pair)
    home = _home(parts)
    with Exclusive(home, waiting=lambda: progress(STAGE, 0, 1, _WAITING)) as lock:
        if (engine := _installed(home)) is not None:
            return engine
        check_machine(home.parent, parts)
        for other in _outdated(home.parent):
            progress(STAGE, 0, 1, f"{other} holds another version's engine and can be deleted")
        size = f"{parts.installed_mb / 1000:.1f} GB on disk"
        progress(STAGE, 0, 1, f"{pair.name}: vLLM {pair.vllm} with LMCache {pair.lmcache} will take {size}")
        python = python_for_engine(parts.newest_python)
        install(home, parts=parts, python=python, lock=lock, progress=progress)
        found = _describe(home / "bin" / "python")
        if not isinstance(found, Engine):
            raise HarnessError(f"The engine was installed in {home}, but {found}. Delete that folder and try again.")
        staged = home / f"{_MARKER}.new"
        staged.write_text(json.dumps(dict(found.versions)), encoding="utf-8")
        staged.rename(home / _MARKER)
        # vLLM's CPU build computes on the CPU, even where torch's build for CUDA finds a GPU.
        return replace(found, device="cpu")


def digest_of(parts: Parts) -> str:
    """Twelve hexadecimal digits that change with what an engine is installed from."""
    return _digest(_files(parts), salt=parts.torch)


def _files(parts: Parts) -> list[Path]:
    code = sorted((parts.connector / "src").rglob("*.py"))
    return [parts.packages.path, parts.cuda_torch.path, parts.connector / "pyproject.toml", *code]


def _home(parts: Parts) -> Path:
    """Where the engine of these parts is or will be."""
    salt = parts.torch + python_for_engine(parts.newest_python).tag
    return _cache() / "engine" / _digest(_files(parts), salt=salt)


def _outdated(folder: Path) -> list[Path]:
    """The installed engines that no name of today has."""
    homes = {_home(parts_of(pair)) for pair in catalog.pairs().values() if pair.lock}
    return [marker.parent for marker in sorted(folder.glob(f"*/{_MARKER}")) if marker.parent not in homes]


def _installed(home: Path) -> Engine | None:
    """The engine whose installation came to its end, or None."""
    python = home / "bin" / "python"
    try:
        versions = json.loads((home / _MARKER).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    # It links to the Python that it was made with, which may be gone by now.
    if not python.exists():
        return None
    return Engine(python, python.parent, "cpu", MappingProxyType(versions))


def _engine_of_variable(named: Path) -> Engine:
    """The engine that the environment names, on whatever device it computes."""
    python = named / "bin" / "python" if named.is_dir() else named
    found = _describe(python)
    if not isinstance(found, Engine):
        raise HarnessError(
            f"{ENGINE_VARIABLE} names {named}, but {found}. Name a Python in which vLLM and LMCache are installed, or "
            "leave it unset to have the CPU engine installed."
        )
    if found.device == "cpu" and "connector" not in found.versions:
        raise HarnessError(
            f"{ENGINE_VARIABLE} names {named}, whose LMCache has no connector for CPUs. Install the connector there: "
            f"pip install --no-deps {resources.image_path() / 'connector'}"
        )
    return found


def _pythons_of_this_machine() -> Iterator[Path]:
    """Interpreters beside which somebody may have installed vLLM, one of each environment."""
    pythons = [Path(python) for python in (sys.executable, shutil.which("python3")) if python]
    yield from {python.parent: python for python in pythons}.values()


def _describe(python: Path) -> Engine | str:
    """The engine that an interpreter runs, or what keeps it from being one, as the end of a sentence."""
    try:
        done = _run_python(python, ["-c", _DESCRIBE], timeout_s=_DESCRIBE_TIMEOUT_S)
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"{python} does not run ({error})"
    if done.returncode != 0:
        return f"its torch does not load ({done.stderr.strip().rpartition(os.linesep)[2]})"
    found = json.loads(done.stdout)
    if found["device"] is None:
        missing = {"lmcache", "torch", "vllm"} - {name.removesuffix("-cpu") for name in found["versions"]}
        return f"it lacks {' and '.join(sorted(missing))}"
    names = {"vllm-cpu": "vllm", "lmcache-cpu-connector": "connector"}
    versions = {names.get(name, name): version for name, version in found["versions"].items()}
    return Engine(python, python.parent, found["device"], MappingProxyType(versions))


def _run_python(
    python: Path, arguments: list[str], *, timeout_s: float, keep: int | None = None
) -> "subprocess.CompletedProcess[str]":
    """Run an interpreter apart from this one's environment; it inherits the file descriptor `keep`."""
    return subprocess.run(
        [str(python), *arguments],
        env=foreign_free_environment(),
        pass_fds=() if keep is None else (keep,),
        timeout=timeout_s,
        capture_output=True,
        text=True,
        check=False,
    )


def _with_output(error: HarnessError, done: "subprocess.CompletedProcess[str]") -> HarnessError:
    error.add_note("\n".join((done.stdout + done.stderr).strip().splitlines()[-20:]))
    return error


def _cache() -> Path:
    return platformdirs.user_cache_path("lmcache-kserve")


def _digest(files: list[Path], *, salt: str = "") -> str:
    """Twelve hexadecimal digits that change with the content of the files."""
    digest = hashlib.sha256(salt.encode())
    for file in files:
        digest.update(file.name.encode() + b"\0" + file.read_bytes() + b"\0")
    return digest.hexdigest()[:12]
