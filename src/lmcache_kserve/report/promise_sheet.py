"""The promise sheet: what a release is promised to do, the last value of each promise, and how old the value is."""

from collections.abc import Sequence
from dataclasses import dataclass

STALE = "not measured on this chart"
NO_NUMBER = "no number"
"""Of what is measured and not promised."""

_NO_VALUE = "none"
_COLUMNS = """\
| of what | promised | last value | kept | on the chart of today | command |
|---|---|---|---|---|---|"""
_HEAD = """\
# What is promised

Each line is a promise with a number. Its last value comes from a committed report, and the command measures it again. A
command fails where it misses a promise. `scripts/promises.py` writes this page.

**{current} of {all} promises were measured on the chart of today: {missed} of them were missed.** {older} of the older
values miss their promise. A value counts for the chart of today only where the chart still renders the same objects and
scripts, for the same engine. Every other line says *{stale}*, whether it has an older value or none.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Promise:
    """One line of the sheet.

    Attributes:
        what: what is promised, or of what.
        number: the promised number.
        command: what measures it.
        last: the last value; None where there is none.
        kept: whether the last value keeps the promise; None without a value, or without a number.
        current: whether the last value was measured on the chart of today.
    """

    what: str
    number: str
    command: str
    last: str | None = None
    kept: bool | None = None
    current: bool = False

    @property
    def line(self) -> str:
        """The line of the table."""
        mark = {True: "✓", False: "✗", None: ""}[self.kept]
        today = "yes" if self.current else STALE
        cells = (self.what, self.number, self.last or _NO_VALUE, mark, today, f"`{self.command}`")
        return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


@dataclass(frozen=True, slots=True)
class Section:
    """Promises of one kind, with a sentence about them."""

    title: str
    text: str
    lines: Sequence[Promise]


def markdown(sections: Sequence[Section]) -> str:
    """The page for people."""
    promised = [one for section in sections for one in section.lines if one.number != NO_NUMBER]
    current = [one for one in promised if one.current]
    missed = sum(one.kept is False for one in current)
    older = sum(one.kept is False for one in promised) - missed
    counts = {"all": len(promised), "current": len(current), "missed": missed, "older": older}
    parts = [_HEAD.format(**counts, stale=STALE)]
    for section in sections:
        table = "\n".join(one.line for one in section.lines)
        parts.append(f"\n## {section.title}\n\n{section.text}\n\n{_COLUMNS}\n{table}\n")
    return "".join(parts)
