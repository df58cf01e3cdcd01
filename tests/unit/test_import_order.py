"""Every folder of the package is a step of the path, and a step imports earlier steps only."""

import ast
from pathlib import Path

import pytest

import lmcache_kserve

PACKAGE = Path(lmcache_kserve.__file__).parent
REPOSITORY = Path(__file__).resolve().parents[2]
STEPS = (
    ("__init__", "errors", "waiting", "concurrency", "lock", "progress", "secrets", "resources"),
    ("target",),
    ("lmcache",),
    ("evidence",),
    ("chart",),
    ("engine",),
    ("local", "cluster"),
    ("experiment",),
    ("verdict",),
    ("plan",),
    ("report",),
    ("commands",),
    ("cli",),
    ("__main__",),
)
"""Folders and modules from the inside to the outside; those of one step do not import each other, but for the first."""

RANK = {name: rank for rank, names in enumerate(STEPS) for name in names}
FILES = sorted(file for file in PACKAGE.rglob("*.py") if "data" not in file.relative_to(PACKAGE).parts)


def _imported(file: Path) -> set[str]:
    """The folders and top modules of the package that `file` imports anywhere, in a function's body too."""
    names = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module == PACKAGE.name:
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom | ast.Import):
            modules = [node.module] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names]
            names |= {module.split(".")[1] for module in modules if module and module.startswith(f"{PACKAGE.name}.")}
    return names


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(PACKAGE)))
def test_a_step_imports_earlier_steps_only(file: Path) -> None:
    own = file.relative_to(PACKAGE).with_suffix("").parts[0]
    wrong = {name for name in _imported(file) - {own} if RANK[name] > RANK[own] or RANK[name] == RANK[own] > 0}
    assert not wrong, f"{own} imports {', '.join(sorted(wrong))}, which a later step or its own neighbour is"


def test_every_folder_and_module_has_its_step() -> None:
    assert {file.relative_to(PACKAGE).with_suffix("").parts[0] for file in FILES} == set(RANK)


@pytest.mark.parametrize("folder", ["src", "tests", "scripts", "images", "charts/lmcache-kserve/files"])
def test_no_module_is_longer_than_a_reader_keeps_in_mind(folder: str) -> None:
    files = [file for file in (REPOSITORY / folder).rglob("*.py") if "data" not in file.parts]
    assert files
    assert {file.name: lines for file in files if (lines := file.read_text(encoding="utf-8").count("\n")) > 400} == {}
