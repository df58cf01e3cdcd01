"""Links between the pages of this repository, for scripts that put a page where its relative links lead nowhere."""

import posixpath
import re
from collections.abc import Callable

LINK = re.compile(r"(?<=\]\()(?!https?:|mailto:)(?P<path>[^)#\s]+)(?=[)#])")
"""The target of a link or a picture in Markdown, where it is another file of the repository."""


def moved(text: str, page: str, target: Callable[[str], str]) -> str:
    """The text of a page with other targets in its links.

    Args:
        text: Markdown.
        page: path of the page from the repository's root, which its links are relative to.
        target: gives the new target of a path from the repository's root.
    """
    folder = posixpath.dirname(page)
    return LINK.sub(lambda link: target(posixpath.normpath(posixpath.join(folder, link["path"]))), text)


def address(repository: str, revision: str) -> Callable[[str], str]:
    """Where a file of a revision lies at the repository's host, for `moved`.

    Args:
        repository: address of the repository, for example `https://github.com/OWNER/NAME`.
        revision: a tag or a branch.
    """

    def at(path: str) -> str:
        # A browser gets a picture itself, and every other file on a page of the host.
        kind = "raw" if path.endswith((".svg", ".png")) else "blob"
        return f"{repository.rstrip('/')}/{kind}/{revision}/{path}"

    return at
