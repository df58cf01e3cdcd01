"""The environment of an engine's parsers: its vLLM and LMCache with what they import, without torch."""

import hashlib
import json
import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import platformdirs
from rendering import REPOSITORY
from uv import find_uv_bin

from lmcache_kserve.engine.catalog import Pair
from lmcache_kserve.engine.setup import foreign_free_environment, python_for_engine
from lmcache_kserve.lock import Exclusive

FOLDER = REPOSITORY / "tests" / "parsers"
ASK = FOLDER / "inside" / "ask.py"
IMPORTED = FOLDER / "packages.txt"
"""Packages that the parsers import; of a lock that has them, their pinned releases are installed."""

KSERVE = FOLDER / "kserve.txt"
"""A release of the package kserve for each release of KServe."""

_MARKER = "complete"
_TIMEOUT_S = 300


def ask(pair: Pair, server: str, releases: Mapping[str, Any]) -> dict[str, list[str]]:
    """What the parsers of an engine do not know of rendered releases, by the name of the release.

    Args:
        pair: the engine; its parsers are installed on first use.
        server: value of `runtime.server`.
        releases: what `rendered.release` says of each.

    Raises:
        AssertionError: the parsers could not be imported; the text holds their output.
    """
    question = {"torch": pair.torch, "server": server, "releases": releases}
    done = subprocess.run(
        [_python(pair), str(ASK)],
        input=json.dumps(question),
        env={
            **foreign_free_environment(),
            "HF_HUB_OFFLINE": "1",
            "LMCACHE_DISABLE_BANNER": "1",
            "VLLM_LOGGING_LEVEL": "ERROR",
        },
        capture_output=True,
        text=True,
        timeout=_TIMEOUT_S,
        check=False,
    )
    assert done.returncode == 0, f"the parsers of {pair.name}:\n{done.stdout}\n{done.stderr}"
    answers: dict[str, list[str]] = json.loads(done.stdout.splitlines()[-1])
    return answers


def _python(pair: Pair) -> str:
    """The interpreter that has the parsers of an engine; installed on first use."""
    requirements = subset(pair)
    request = python_for_engine(pair.newest_python)
    digest = hashlib.sha256(f"{request.tag}\n{requirements}".encode()).hexdigest()[:12]
    home = platformdirs.user_cache_path("lmcache-kserve") / "parsers" / digest
    python = home / "bin" / "python"
    with Exclusive(home):
        if not ((home / _MARKER).exists() and python.exists()):
            shutil.rmtree(home, ignore_errors=True)
            _uv("venv", "--quiet", "--python", request.request, str(home))
            wanted = home / "requirements.txt"
            wanted.write_text(requirements, encoding="utf-8")
            # Without dependencies: the list names what the parsers import, and torch is not among it.
            _uv("pip", "install", "--quiet", "--no-deps", "--python", str(python), "--requirement", str(wanted))
            (home / _MARKER).touch()
    return str(python)


def subset(pair: Pair) -> str:
    """The requirements of an engine's parsers, with their hashes: a part of its lock, and the KServe of its image."""
    assert pair.lock is not None
    wanted = set(IMPORTED.read_text(encoding="utf-8").split())
    blocks = [block for block in _blocks(pair.lock.path) if block.partition("==")[0] in wanted]
    if pair.kserve:
        blocks += [block for block in _blocks(KSERVE) if block.startswith(f"kserve=={pair.kserve}.")]
    return "".join(f"{block.rstrip()}\n" for block in blocks)


def _blocks(lock: Path) -> list[str]:
    """The packages of a lock, each with its hashes."""
    found = re.split(r"\n(?=\S)", lock.read_text(encoding="utf-8"))
    return [block for block in found if not block.startswith("#")]


def _uv(*arguments: str) -> None:
    subprocess.run([find_uv_bin(), *arguments], env=foreign_free_environment(), check=True)
