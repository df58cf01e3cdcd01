"""The two ways in which an attempt ends without a proof: for good, or for now."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


class Failure(Exception):  # noqa: N818 - it is a verdict of the test, not an error of this program
    """The release does not do what it should; `hints` are lines to show before the reason."""

    def __init__(self, reason: str, hints: Sequence[str] = ()) -> None:
        super().__init__(" ".join(reason.split()))
        self.hints = hints


class Unproven(Exception):  # noqa: N818 - it is a verdict of the test, not an error of this program
    """An attempt that proved nothing; the next one may. `cause` explains the problem when every attempt has it."""

    def __init__(self, problem: str, *, cause: str = "", hints: Sequence[str] = ()) -> None:
        super().__init__(" ".join(problem.split()))
        self.cause = cause
        self.hints = hints
