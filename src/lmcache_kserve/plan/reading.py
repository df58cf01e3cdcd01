"""Checks what others wrote: a number in a model's configuration, in a report or in a trace, or one of the options."""

import reprlib
from collections.abc import Mapping, Sequence
from typing import Any

from lmcache_kserve.errors import HarnessError

MOST = 2**31 - 1
"""No count here is larger: layers, elements, tokens of a prompt."""


def whole(value: object, where: str, *, least: int = 1, most: int = MOST) -> int:
    """A whole number; `true` is none.

    Args:
        value: what somebody wrote.
        where: the option, and the key in what it names, for the message.
        least: the smallest that makes sense.
        most: the largest that makes sense.

    Raises:
        HarnessError: it is another thing, or out of range; the message starts with `where`.
    """
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise HarnessError(f"{where} is {reprlib.repr(value)}, and has to be a whole number from {least} to {most}")
    return value


def number(value: object, where: str, *, least: float, most: float) -> float:
    """A finite number.

    Args:
        value: what somebody wrote.
        where: the option, and the key in what it names, for the message.
        least: the smallest that makes sense.
        most: the largest that makes sense.

    Raises:
        HarnessError: it is another thing, or out of range; the message starts with `where`.
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most:
        raise HarnessError(f"{where} is {reprlib.repr(value)}, and has to be a number from {least:g} to {most:g}")
    return float(value)


def listed(value: object, where: str) -> Sequence[Any]:
    """A list.

    Raises:
        HarnessError: it is another thing; the message starts with `where`.
    """
    if not isinstance(value, list | tuple):
        raise HarnessError(f"{where} is {reprlib.repr(value)}, and has to be a list")
    return value


def section(value: object, where: str) -> Mapping[str, Any]:
    """An object with fields.

    Raises:
        HarnessError: it is another thing; the message starts with `where`.
    """
    if not isinstance(value, Mapping):
        raise HarnessError(f"{where} is {reprlib.repr(value)}, and has to be an object")
    return value
