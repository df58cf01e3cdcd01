"""The pages for people are plain: short sentences, whatever else they say."""

from pathlib import Path
from types import ModuleType

import pytest
from loading import module_at

REPOSITORY = Path(__file__).resolve().parents[2]
PAGES = sorted(file for pattern in ("*.md", "docs/*.md", "images/*/README.md") for file in REPOSITORY.glob(pattern))
AVERAGE_WORDS = 18
LONGEST_WORDS = 36


@pytest.fixture(scope="module")
def readability() -> ModuleType:
    return module_at(REPOSITORY / "scripts" / "readability.py")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(REPOSITORY)))
def test_a_page_has_short_sentences(readability: ModuleType, page: Path) -> None:
    found = readability.sentences(page)
    assert found
    assert readability.average(found) <= AVERAGE_WORDS
    assert [one.text for one in found if one.words > LONGEST_WORDS] == []


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("a.md", "One two. Three four five.\n", [2, 3]),
        ("a.md", "One two three\nfour five. Six\n", [5, 1]),
        ("a.md", "# No heading\n\nOne two.\n\n![no picture](a.svg)\n\n<!-- no comment -->\n", [2]),
        ("a.md", "Before:\n\n```\nno code. No code.\n```\n\nAfter it.\n", [1, 2]),
        ("a.md", "Before:\n\n    no code\n    no code\n\nAfter it.\n", [1, 2]),
        ("a.md", "| no | table |\n|---|---|\n| no | cell |\n", []),
        ("a.md", "A [link](https://example.com/no/target) and `no code. No code`.\n", [4]),
        ("a.md", "- one\n- two three\n  four\n1. five\n", [1, 3, 1]),
        ("a.md", "**Bold.** One two. (Three four.) Five\n", [1, 2, 2, 1]),
        ("a.md", "Release 0.5.6 of values.yaml, e.g. this one.\n", [7]),
        ("a.yaml", "# One two.\na: 1  # no remark\n# @schema {minimum: 1}\n# -- (int) Three\n# four.\nb: 2\n", [2, 2]),
        ("a.py", '"""One two."""\n# no comment\ndef f():\n    """Three\n\n    Four five. Six."""\n', [2, 1, 2, 1]),
    ],
)
def test_prose_is_counted_and_nothing_else(
    readability: ModuleType, tmp_path: Path, name: str, text: str, words: list[int]
) -> None:
    file = tmp_path / name
    file.write_text(text, encoding="utf-8")
    assert [one.words for one in readability.sentences(file)] == words


def test_a_file_of_another_kind_is_refused_by_name(readability: ModuleType, tmp_path: Path) -> None:
    file = tmp_path / "notes.txt"
    file.touch()
    with pytest.raises(ValueError, match=r"notes\.txt: name a file that ends in \.md, \.yaml or \.py"):
        readability.sentences(file)
