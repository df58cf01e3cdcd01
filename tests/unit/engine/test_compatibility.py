"""The chart's table of known images is what the engines say."""

import importlib.util
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest
import yaml

from lmcache_kserve import resources
from lmcache_kserve.engine.catalog import Pair, pair, pairs

SCRIPT = Path(__file__).resolve().parents[3] / "scripts" / "compatibility.py"
TEXT = (resources.chart_path() / "files" / "compatibility.yaml").read_text(encoding="utf-8")
DATA = yaml.safe_load(TEXT)


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("compatibility", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def with_image(name: str, image: str) -> Pair:
    return replace(pair(name), images=(image,))


def test_the_table_is_what_the_engines_say(script: ModuleType) -> None:
    assert script.page(TEXT, pairs().values()) == TEXT, "run scripts/compatibility.py"


def test_the_check_passes_on_the_committed_file() -> None:
    done = subprocess.run([sys.executable, SCRIPT, "--check"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_every_image_of_a_known_repository_is_in_the_table() -> None:
    for one in pairs().values():
        for image in one.images:
            repository, _, tag = image.removeprefix("docker.io/").partition(":")
            if repository not in DATA["tags"]:
                assert image == "lmcache-kserve/vllm-cpu"
                continue
            parts = tag.removeprefix("v").partition("-")[0].split(".")
            release = ".".join(parts[:2] if repository.startswith("kserve/") else parts)
            assert DATA["images"][repository][release] == {"lmcache": one.lmcache, "vllm": one.vllm}


def test_an_engine_that_changes_changes_the_table(script: ModuleType) -> None:
    newer = [replace(one, lmcache="0.5.2") if one.name.startswith("kserve-0.2") else one for one in pairs().values()]
    changed = yaml.safe_load(script.page(TEXT, newer))["images"]["kserve/huggingfaceserver"]
    assert changed["0.21"] == {"lmcache": "0.5.2", "vllm": "0.24.0"}


def test_releases_stand_in_their_order(script: ModuleType) -> None:
    releases = {"lmcache-0.5.6": "0.10.0", "lmcache-0.4.7": "0.9.0", "lmcache-0.5.0": "0.5.0"}
    engines = [with_image(name, f"docker.io/lmcache/vllm-openai:v{release}") for name, release in releases.items()]
    table = yaml.safe_load(script.page(TEXT, engines))["images"]["lmcache/vllm-openai"]
    assert list(table) == ["0.5.0", "0.9.0", "0.10.0"]


@pytest.mark.parametrize(
    ("image", "complaint"),
    [
        ("docker.io/kserve/huggingfaceserver:v0.20.0", "tells no release"),
        ("docker.io/kserve/huggingfaceserver:latest-gpu", "tells no release"),
        ("docker.io/kserve/huggingfaceserver:v0.18.9-gpu", "other releases than another 0.18"),
    ],
)
def test_an_image_that_the_chart_could_not_tell_is_named(script: ModuleType, image: str, complaint: str) -> None:
    with pytest.raises(script.CompatibilityError, match=complaint):
        script.page(TEXT, [*pairs().values(), with_image("kserve-0.20", image)])


@pytest.mark.parametrize("mark", ["begin", "end"])
def test_a_file_without_its_marks_is_refused(script: ModuleType, mark: str) -> None:
    with pytest.raises(script.CompatibilityError, match=mark):
        script.page(TEXT.replace(f"compatibility.py: {mark}", ""), pairs().values())


def test_an_image_is_broken_only_where_the_table_knows_it() -> None:
    for repository, releases in DATA["broken"].items():
        assert set(releases) <= set(DATA["images"][repository])
        for broken in releases.values():
            works = {image.rpartition(":")[2] for one in pairs().values() for image in one.images}
            assert broken["works"] in works
