#!/usr/bin/env python3
"""Write the releases in known images into the chart's files/compatibility.yaml, from engines/engines.yaml.

uv run scripts/compatibility.py            write them
uv run scripts/compatibility.py --check    fail when the file is not what engines.yaml says

The section `tags` of the file says how to read an image's tag. An image whose repository is not there is left out.
"""

import argparse
import re
import sys
from collections.abc import Iterable
from pathlib import Path

import yaml

from lmcache_kserve.engine import catalog
from lmcache_kserve.engine.catalog import Pair

FILE = Path(__file__).resolve().parent.parent / "charts" / "lmcache-kserve" / "files" / "compatibility.yaml"
BEGIN, END = "  # scripts/compatibility.py: begin\n", "  # scripts/compatibility.py: end\n"


class CompatibilityError(Exception):
    """The file or the engines do not say what the section needs."""


def page(text: str, pairs: Iterable[Pair]) -> str:
    """The text of the file with its section as the engines say.

    Args:
        text: the file today.
        pairs: the engines.

    Raises:
        CompatibilityError: the file lacks one of the two marks, a tag tells no release, or two engines claim one tag.
    """
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise CompatibilityError(f"{FILE.name} lacks {BEGIN.strip()} or {END.strip()}")
    known = releases(yaml.safe_load(text)["tags"], pairs)
    lines = []
    for repository, found in known.items():
        lines.append(f"  {repository}:")
        lines += [
            f'    "{release}": {{lmcache: {lmcache}, vllm: {vllm}}}'
            for release, (lmcache, vllm) in sorted(found.items(), key=lambda item: _numbers(item[0]))
        ]
    return before + begin + "".join(f"{line}\n" for line in lines) + end + after


def releases(tags: dict[str, dict[str, str]], pairs: Iterable[Pair]) -> dict[str, dict[str, tuple[str, str]]]:
    """The releases of LMCache and vLLM, by repository and by what a tag tells.

    Args:
        tags: how to read the tags of each repository: the section `tags` of the file.
        pairs: the engines.

    Raises:
        CompatibilityError: see `page`.
    """
    known: dict[str, dict[str, tuple[str, str]]] = {repository: {} for repository in tags}
    for pair in pairs:
        for image in pair.images:
            name, _, tag = image.partition("/")[2].partition(":")
            if name not in tags:
                continue
            told = re.match(tags[name]["release"], tag.removeprefix("v"))
            if told is None or not tag.endswith(tags[name].get("suffix", "")):
                raise CompatibilityError(f"engine {pair.name}: the tag of {image} tells no release")
            found = (pair.lmcache, pair.vllm)
            if known[name].setdefault(told[0], found) != found:
                raise CompatibilityError(f"engine {pair.name}: {image} has other releases than another {told[0]}")
    return known


def _numbers(release: str) -> list[int]:
    return [int(part) for part in release.split(".")]


def main() -> int:
    """Write or check; returns the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="fail when the file is not up to date")
    check = parser.parse_args().check
    text = FILE.read_text(encoding="utf-8")
    try:
        wanted = page(text, catalog.pairs().values())
    except CompatibilityError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    if check:
        if text != wanted:
            sys.stderr.write(f"{FILE.name} is not what engines.yaml says: run scripts/compatibility.py\n")
        return int(text != wanted)
    FILE.write_text(wanted, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
