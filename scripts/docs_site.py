#!/usr/bin/env python3
"""Lay out the pages of this repository for the documentation site: copies, with links that lead somewhere on the site.

    uv run scripts/docs_site.py out/docs/pages https://github.com/OWNER/NAME

A link to a page stays on the site. A link to any other file leads to the repository's host. mkdocs.yml says which page
stands where in the navigation, and `make docs` builds the site from the copies.
"""

import argparse
import posixpath
import shutil
import sys
from pathlib import Path

import links

from lmcache_kserve.errors import HarnessError

REPOSITORY = Path(__file__).resolve().parent.parent
ELSEWHERE = {
    "README.md": "index.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "SECURITY.md": "security.md",
    "UPGRADING.md": "upgrading.md",
    "charts/lmcache-kserve/README.md": "values.md",
    "images/kserve-backends/README.md": "image-kserve-backends.md",
    "images/vllm-cpu/README.md": "image-vllm-cpu.md",
}
"""Pages outside docs/, by their path in the repository, and what they are called on the site."""


class SiteError(HarnessError):
    """The pages do not make a site."""


def layout(repository: Path) -> dict[str, str]:
    """Every file of the site: its path in the repository, and its path on the site."""
    files = (*(repository / "docs").glob("*.md"), *(repository / "docs" / "images").iterdir())
    inside = {str(file.relative_to(repository)): str(file.relative_to(repository / "docs")) for file in files}
    return {**ELSEWHERE, **inside}


def lay_out(repository: Path, folder: Path, address: str) -> None:
    """Write the files of the site into a folder, which is made anew.

    Args:
        repository: root of the checkout.
        folder: what MkDocs takes as its docs_dir.
        address: address of the repository at its host.

    Raises:
        SiteError: a page links to a file that does not exist.
    """
    shutil.rmtree(folder, ignore_errors=True)
    files = layout(repository)
    for source, place in files.items():
        target = folder / place
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.endswith(".md"):
            text = (repository / source).read_text(encoding="utf-8")
            target.write_text(with_links(text, source, repository, address), encoding="utf-8")
        else:
            shutil.copyfile(repository / source, target)


def with_links(text: str, page: str, repository: Path, address: str) -> str:
    """The text of a page with links for the site.

    Args:
        text: Markdown.
        page: path of the page in the repository.
        repository: root of the checkout.
        address: address of the repository at its host.

    Raises:
        SiteError: the page links to a file that does not exist.
    """
    files = layout(repository)
    outside = links.address(address, "main")

    def target(path: str) -> str:
        if path in files:
            return posixpath.relpath(files[path], posixpath.dirname(files[page]) or ".")
        if not (repository / path).exists():
            raise SiteError(f"{page} links to {path}, which does not exist")
        return outside(path)

    return links.moved(text, page, target)


def main() -> int:
    """Lay out the pages; returns the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("folder", type=Path, help="the folder to write, which is made anew")
    parser.add_argument("address", help="address of the repository")
    options = parser.parse_args()
    try:
        lay_out(REPOSITORY, options.folder, options.address)
    except SiteError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
