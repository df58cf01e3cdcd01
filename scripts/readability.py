#!/usr/bin/env python3
"""Print how long the sentences of prose are: in Markdown, in the comments of YAML and in the docstrings of Python.

    uv run scripts/readability.py README.md docs/*.md

Paragraphs and list items count. Code, tables, headings, HTML, images and the targets of links do not. A text in
backquotes is one word. A sentence ends at a full stop, question mark or exclamation mark before a new sentence, and at
the end of its paragraph.
"""

import argparse
import ast
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

_FENCED = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
_INDENTED = re.compile(r"(?<=\n\n)(?:(?: {4}|\t).*\n+)+")
_NO_PROSE = re.compile(r"\s*(?:\||#|<|!\[)")
_ITEM = re.compile(r"^\s*(?:[-*]|\d+\.)\s+", re.MULTILINE)
_TARGET = re.compile(r"\]\([^)]*\)")
_CODE = re.compile(r"`[^`]*`")
_END = re.compile(r"(?<=[.!?])[*_\"')\]]*\s+(?=[*_\"'(\[]*[A-Z])")
_WORD = re.compile(r"[A-Za-z0-9][\w'/.,-]*")
_DOCUMENTED = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True, slots=True)
class Sentence:
    """One sentence of prose, its markup removed, and its length in words."""

    text: str
    words: int


def sentences(file: Path) -> list[Sentence]:
    """The sentences of a file, by the kind of file that its name tells.

    Raises:
        ValueError: the name ends in none of `.md`, `.yaml` and `.py`.
    """
    text = file.read_text(encoding="utf-8")
    paragraphs = [" ".join(_CODE.sub("X", block).split()) for block in re.split(r"\n\s*\n", _prose(file, text))]
    found = [Sentence(one, len(_WORD.findall(one))) for block in paragraphs for one in _END.split(block)]
    return [one for one in found if one.words]


def average(found: Sequence[Sentence]) -> float:
    """Words a sentence; 0 where there is no prose."""
    return sum(one.words for one in found) / len(found) if found else 0.0


def _prose(file: Path, text: str) -> str:
    """Paragraphs and list items, separated by empty lines."""
    if file.suffix == ".md":
        return _markdown(text)
    if file.suffix == ".yaml":
        return "\n".join(_comments(text))
    if file.suffix == ".py":
        documented = (node for node in ast.walk(ast.parse(text)) if isinstance(node, _DOCUMENTED))
        return "\n\n".join(filter(None, map(ast.get_docstring, documented)))
    raise ValueError(f"{file}: name a file that ends in .md, .yaml or .py")


def _markdown(text: str) -> str:
    text = _INDENTED.sub("\n", _FENCED.sub("\n", text))
    kept = ("" if _NO_PROSE.match(line) else line for line in text.splitlines())
    return _TARGET.sub("]", _ITEM.sub("\n", "\n".join(kept)))


def _comments(text: str) -> Iterator[str]:
    """The comments line by line; `# --` begins the documentation of a value, `# @schema` is for a program."""
    for line in text.splitlines():
        comment = re.match(r"\s*# ?(?!\s*@schema)(.*)", line)
        yield re.sub(r"^--\s*(\(\w+\)\s*)?", "\n", comment[1]) if comment else ""


def main() -> int:
    """Print one line for each file and one for all together; returns the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE", help="a file in .md, .yaml or .py")
    everything: list[Sentence] = []
    for file in parser.parse_args().files:
        try:
            found = sentences(file)
        except (OSError, ValueError, SyntaxError) as error:
            sys.stderr.write(f"readability.py: {error}\n")
            return 2
        everything += found
        longest = max(found, key=lambda one: one.words, default=Sentence("", 0))
        sys.stdout.write(
            f"{file}: {average(found):.1f} words a sentence in {len(found)} sentences; "
            f"longest {longest.words}: {longest.text[:80]}\n"
        )
    sys.stdout.write(f"all: {average(everything):.1f} words a sentence in {len(everything)} sentences\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
