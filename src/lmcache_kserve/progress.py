"""How a long piece of work tells how far it is."""

from typing import Protocol


class Progress(Protocol):
    """Told how far a piece of work is."""

    def __call__(self, stage: str, done: int, total: int, note: str = "") -> None:
        """Show that `done` of `total` steps of `stage` are behind us.

        `note` says what happens now, or what has just ended.
        """


def untold(stage: str, done: int, total: int, note: str = "") -> None:
    """The progress of work that nobody watches."""
