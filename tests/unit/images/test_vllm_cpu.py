"""The CPU image's Dockerfile against the lock, the harness and the chart, which rely on what it promises."""

import re
import runpy
import tomllib

import pytest
import yaml

from lmcache_kserve import resources
from lmcache_kserve.engine import setup

IMAGE = resources.image_path()
DOCKERFILE = (IMAGE / "Dockerfile").read_text(encoding="utf-8")
INSTRUCTIONS = [line.split() for line in re.sub(r"\\\n", " ", DOCKERFILE).splitlines() if line[:1].isalpha()]


def instructions(name: str) -> list[list[str]]:
    """The words after each instruction of that name."""
    return [words for instruction, *words in INSTRUCTIONS if instruction == name]


def argument(name: str) -> str:
    """The default of a build argument."""
    (default,) = {word.partition("=")[2] for (word,) in instructions("ARG") if word.startswith(f"{name}=")}
    return default


def test_torch_comes_from_the_index_that_a_local_run_takes_it_from() -> None:
    assert argument("TORCH_INDEX") == setup.PYTORCH_CPU_INDEX


def test_the_base_image_has_a_python_for_which_the_lock_was_made() -> None:
    lowest = tomllib.loads((IMAGE / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["uv"]["pip"][
        "python-version"
    ]

    assert argument("BASE_IMAGE").startswith(f"python:{lowest}-")


def test_packages_are_installed_as_the_lock_names_them_and_nothing_else_is() -> None:
    torch, lock, connector = [words for words in instructions("RUN") if "uv pip install" in " ".join(words)]

    assert all("--no-deps" in words for words in (torch, lock, connector))
    assert {"--require-hashes", "requirements.txt"} <= set(lock)


def test_each_file_that_the_build_copies_is_in_the_folder_and_let_through() -> None:
    copied = [source for *sources, _ in instructions("COPY") if "--from" not in sources[0] for source in sources]
    let_through = re.findall(r"^!([^/\n]+)", (IMAGE / ".dockerignore").read_text(encoding="utf-8"), re.MULTILINE)

    assert copied == ["torch.txt", "wheel[s]", "requirements.txt", "connector", "make_model.py"]
    assert set(let_through) == {*copied, "wheels"} - {"wheel[s]"}
    assert all((IMAGE / source).exists() for source in copied if source != "wheel[s]")


def test_the_images_user_and_home_are_those_of_the_predictor() -> None:
    values = yaml.safe_load((resources.chart_path() / "values.yaml").read_text(encoding="utf-8"))
    user = values["predictor"]["securityContext"]

    assert instructions("USER") == [[f"{user['runAsUser']}:{user['runAsGroup']}"]]
    assert [values["runtime"]["home"]["path"]] in instructions("WORKDIR")


def test_a_container_starts_the_command_that_the_chart_names() -> None:
    assert not instructions("ENTRYPOINT")
    assert not instructions("CMD")


@pytest.mark.parametrize("target", ["server", "tiny"])
def test_the_targets_that_make_image_builds_exist(target: str) -> None:
    assert any(words[-2:] == ["AS", target] for words in instructions("FROM"))


def test_the_smoke_test_refuses_every_package_that_the_lock_leaves_out() -> None:
    settings = tomllib.loads((IMAGE / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["uv"]
    left_out = {requirement.split(" ;")[0] for requirement in settings["override-dependencies"]} - {"torch"}

    unwanted = runpy.run_path(str(IMAGE / "smoke.py"))["UNWANTED_PACKAGES"]

    assert left_out
    assert {package for package in left_out if not package.startswith(unwanted)} == set()
