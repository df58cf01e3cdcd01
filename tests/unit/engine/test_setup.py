"""Installing the engine, with shell scripts in the place of uv and pip, and the lock it is installed from."""

import platform
import re
import shutil
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from lmcache_kserve import resources
from lmcache_kserve.engine import setup
from lmcache_kserve.engine.catalog import pair
from lmcache_kserve.engine.find import parts_of
from lmcache_kserve.engine.setup import EnginePython, check_machine, install, python_for_engine
from lmcache_kserve.errors import HarnessError
from lmcache_kserve.lock import Exclusive

IMAGE = resources.image_path()
PARTS = parts_of(pair("kserve-0.20"))


class Told:
    """A progress callback that remembers what it was told."""

    def __init__(self) -> None:
        self.steps: list[tuple[str, int, int, str]] = []

    def __call__(self, stage: str, done: int, total: int, note: str = "") -> None:
        self.steps.append((stage, done, total, note))


def script(path: Path, body: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{body}\n", encoding="utf-8")
    path.chmod(0o755)
    return path


class Installers:
    """uv and the new environment's pip; each can be made to fail."""

    def __init__(self, folder: Path) -> None:
        self.home = folder / "engine"
        self.log = folder / "log"
        self.failures = folder / "failures"
        self.failures.mkdir()
        self.uv = script(folder / "uv", self._body("uv", f'if [ "$1" = venv ]; then {self._make_python()}; fi'))

    def fail(self, what: str, message: str) -> None:
        """Let each call whose arguments contain `what` fail."""
        (self.failures / what.replace("/", "_")).write_text(message, encoding="utf-8")

    @property
    def calls(self) -> list[str]:
        return self.log.read_text(encoding="utf-8").splitlines()

    def install(self, told: Told) -> None:
        with Exclusive(self.home, waiting=lambda: None) as lock:
            install(self.home, parts=PARTS, python=EnginePython("/some/python", "3.11"), lock=lock, progress=told)

    def _make_python(self) -> str:
        body = self._body("python", "")
        python = self.home / "bin" / "python"
        return f"mkdir -p {python.parent}; printf '%s' '#!/bin/sh\n{body}' > {python}; chmod +x {python}"

    def _body(self, name: str, then: str) -> str:
        return (
            f'echo "{name} $*" >> {self.log}\n'
            f"for failure in {self.failures}/*; do\n"
            '  what=$(basename "$failure")\n'
            '  case "$*" in *"$what"*) cat "$failure" >&2; exit 1;; esac\n'
            f"done\n{then}"
        )


@pytest.fixture
def installers(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Installers:
    fakes = Installers(tmp_path)
    monkeypatch.setattr(setup, "find_uv_bin", lambda: str(fakes.uv))
    return fakes


def test_the_engine_is_installed_from_the_lock_without_dependencies(installers: Installers) -> None:
    told = Told()

    installers.install(told)

    pip = "python -m pip install --no-deps --no-compile --quiet --disable-pip-version-check"
    into = f"uv pip install --no-progress --no-deps --python {installers.home}/bin/python"
    assert installers.calls == [
        f"uv venv --seed --python /some/python {installers.home}",
        f"{pip} torch==2.11.0+cpu",
        f"{into} --only-binary :all: --requirement {PARTS.packages.path}",
        f"{into} --no-build-isolation {installers.home}/connector",
    ]
    assert (installers.home / "connector" / "pyproject.toml").is_file()
    assert [(done, total) for _, done, total, _ in told.steps] == [(0, 4), (1, 4), (2, 4), (3, 4), (4, 4)]


def test_torch_comes_from_pytorchs_index_where_pip_knows_none(installers: Installers) -> None:
    installers.fail("--no-compile", "No matching distribution found for torch==2.11.0+cpu")

    installers.install(Told())

    assert any("--index https://download.pytorch.org/whl/cpu torch==2.11.0+cpu" in call for call in installers.calls)
    assert not any("locks/torch" in call for call in installers.calls)


def test_torch_for_cuda_serves_where_its_cpu_build_cannot_be_had(installers: Installers) -> None:
    installers.fail("--no-compile", "pip: no such torch")
    installers.fail("--index", "uv: no such torch")
    told = Told()

    installers.install(told)

    assert any(f"--only-binary :all: --requirement {PARTS.cuda_torch.path}" in call for call in installers.calls)
    assert any("build for CUDA comes: 3.8 GB" in note for _, _, _, note in told.steps)


def test_when_torch_comes_from_nowhere_every_installer_is_quoted(installers: Installers) -> None:
    installers.fail("--no-compile", "pip: no such torch")
    installers.fail("--index", "uv: no such torch")
    installers.fail("torch-2.11.0.txt", "uv: hash mismatch")

    with pytest.raises(HarnessError, match="'torch'") as raised:
        installers.install(Told())

    assert raised.value.__notes__ == ["uv: no such torch", "pip: no such torch", "uv: hash mismatch"]


def test_torch_for_cuda_is_not_tried_on_a_disk_without_room_for_it(
    monkeypatch: pytest.MonkeyPatch, installers: Installers
) -> None:
    installers.fail("--no-compile", "pip: no such torch")
    installers.fail("--index", "uv: no such torch")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=5e9))

    with pytest.raises(HarnessError) as raised:
        installers.install(Told())

    assert re.search(r"needs 7\.1 GB and .* has 5\.0 GB free", raised.value.__notes__[-1])


@pytest.mark.parametrize(
    ("output", "remedy"),
    [
        ("error: client error (Connect)\n  cause: dns error: failed to lookup address information", "UV_DEFAULT_INDEX"),
        ("error: invalid peer certificate: UnknownIssuer", "SSL_CERT_FILE"),
        ("error: hash mismatch for numpy", "own words are below"),
    ],
)
def test_a_failed_step_names_the_remedy_and_quotes_the_installer(
    installers: Installers, output: str, remedy: str
) -> None:
    installers.fail(PARTS.packages.path.name, output)

    with pytest.raises(HarnessError, match=f"'vLLM and LMCache'.*{remedy}") as raised:
        installers.install(Told())

    assert raised.value.__notes__ == [output]


def test_what_an_interrupted_installation_left_is_removed_first(installers: Installers) -> None:
    leftover = installers.home / "lib" / "half"
    leftover.mkdir(parents=True)

    installers.install(Told())

    assert not leftover.exists()


def test_an_installer_holds_the_lock_in_case_it_outlives_the_harness(tmp_path: Path, installers: Installers) -> None:
    script(installers.uv, f"readlink /proc/$$/fd/* >> {tmp_path}/open; exit 1")

    with pytest.raises(HarnessError):
        installers.install(Told())

    assert str(installers.home.with_suffix(".lock")) in (tmp_path / "open").read_text(encoding="utf-8").splitlines()


def test_installers_do_not_see_the_harness_environment(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, installers: Installers
) -> None:
    monkeypatch.setenv("VIRTUAL_ENV", "/harness")
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy")
    script(installers.uv, f"env >> {tmp_path}/env; pwd >> {tmp_path}/env; exit 1")

    with pytest.raises(HarnessError):
        installers.install(Told())

    seen = (tmp_path / "env").read_text(encoding="utf-8").splitlines()
    assert "HTTPS_PROXY=http://proxy" in seen
    assert not [line for line in seen if line.startswith("VIRTUAL_ENV=")]
    assert seen[-1] == str(tmp_path)


@pytest.mark.parametrize(
    ("version", "implementation", "newest", "request_starts"),
    [
        ((3, 11, 7), "CPython", (3, 13), "/"),
        ((3, 13, 0), "CPython", (3, 13), "/"),
        ((3, 13, 0), "CPython", (3, 12), "cpython>=3.11,<3.13"),
        ((3, 14, 1), "CPython", (3, 13), "cpython>=3.11,<3.14"),
        ((3, 11, 7), "PyPy", (3, 13), "cpython>=3.11,<3.14"),
    ],
)
def test_the_engine_gets_this_python_where_wheels_exist_for_it(
    monkeypatch: pytest.MonkeyPatch,
    version: tuple[int, ...],
    implementation: str,
    newest: tuple[int, int],
    request_starts: str,
) -> None:
    monkeypatch.setattr(sys, "version_info", version)
    monkeypatch.setattr(platform, "python_implementation", lambda: implementation)

    assert python_for_engine(newest).request.startswith(request_starts)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (
            {"system": "Darwin", "machine": "arm64"},
            "this is Darwin on arm64 with .* on macOS and Windows use a Linux virtual",
        ),
        ({"machine": "ppc64le"}, "this is Linux on ppc64le"),
        ({"machine": "aarch64"}, "runs on Linux on x86_64 with .* this is Linux on aarch64"),
        ({"libc_ver": ("", "")}, "with another C library"),
        ({"libc_ver": ("glibc", "2.28")}, r"glibc 2\.31 or newer .* with glibc 2\.28"),
        ({"flags": {"sse4_2"}}, "a processor with AVX2"),
        ({"libnuma": False}, "install libnuma1"),
        ({"free": 2e9}, r"needs 4\.1 GB and .* has 2\.0 GB free: make room, or let XDG_CACHE_HOME"),
        ({"free": 1, "libnuma": False}, "libnuma1.*XDG_CACHE_HOME"),
    ],
)
def test_a_machine_that_cannot_run_the_engine_is_told_why(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, change: dict[str, Any], problem: str
) -> None:
    describe_machine(monkeypatch, **change)

    with pytest.raises(HarnessError, match=problem):
        check_machine(tmp_path, PARTS)


@pytest.mark.parametrize("change", [{}, {"machine": "aarch64", "flags": set()}])
def test_a_machine_that_can_run_the_engine_passes(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, change: dict[str, Any]
) -> None:
    describe_machine(monkeypatch, **change)

    check_machine(tmp_path, parts_of(pair("cpu-image")))


def describe_machine(monkeypatch: pytest.MonkeyPatch, **change: Any) -> None:
    machine: dict[str, Any] = {"system": "Linux", "machine": "x86_64", "libc_ver": ("glibc", "2.36"), "flags": {"avx2"}}
    machine |= {"libnuma": True, "free": 100 * 1024**3} | change

    def answer(name: str) -> Callable[..., Any]:
        return lambda *_: machine[name]

    for name in ("system", "machine", "libc_ver"):
        monkeypatch.setattr(platform, name, answer(name))
    monkeypatch.setattr(setup, "_cpu_flags", answer("flags"))
    monkeypatch.setattr(setup, "_loads", answer("libnuma"))
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=machine["free"]))


def pins(lines: Sequence[str]) -> dict[str, set[str]]:
    """Package name to the versions that a requirements file pins."""
    found: dict[str, set[str]] = {}
    for line in lines:
        if pin := re.match(r"([a-z0-9-]+)==([^ ;]+)", line):
            found.setdefault(pin[1], set()).add(pin[2])
    return found


LOCK = (IMAGE / "requirements.txt").read_text(encoding="utf-8")
LOCKED = pins(LOCK.splitlines())


def test_the_lock_holds_every_requirement_at_its_pinned_version() -> None:
    requirements = (IMAGE / "requirements.in").read_text(encoding="utf-8").splitlines()
    names = {match[0] for line in requirements if (match := re.match(r"[a-z0-9-]+", line))}

    assert names
    assert names <= LOCKED.keys()
    for name, versions in pins(requirements).items():
        assert LOCKED[name] == versions


def test_the_lock_holds_nothing_that_needs_cuda() -> None:
    for package in LOCKED:
        assert not re.match(r"triton|cupy|cuda|cufile|nvtx|nvidia|torch", package), package


def test_every_locked_package_has_a_hash() -> None:
    entries = re.split(r"\n(?=\S)", LOCK.strip())

    assert [entry.partition(" ")[0] for entry in entries if "--hash=sha256:" not in entry] == []


def test_torch_is_pinned_to_its_cpu_build() -> None:
    assert [*pins((IMAGE / "torch.txt").read_text(encoding="utf-8").splitlines())] == ["torch"]
    assert "+cpu" in (IMAGE / "torch.txt").read_text(encoding="utf-8")
