"""Reads single fields of a model's configuration; one that is `null` counts as missing, and a wrong one is refused."""

import reprlib
from collections.abc import Mapping, Sequence
from typing import Any

from lmcache_kserve.errors import HarnessError
from lmcache_kserve.plan import reading

Fields = Mapping[str, Any]


def where(name: str) -> str:
    """How messages call a field."""
    return f"--model: {name}"


def given(fields: Fields, *names: str, least: int = 1, most: int = reading.MOST) -> int | None:
    """The whole number in the first of these fields that is there; None where none is.

    Raises:
        HarnessError: it is no whole number in that range.
    """
    name = next((name for name in names if fields.get(name) is not None), None)
    return None if name is None else reading.whole(fields[name], where(name), least=least, most=most)


def needed(fields: Fields, *names: str, default: int | None = None) -> int:
    """The positive whole number in the first of these fields that is there.

    Raises:
        HarnessError: none is there, and there is no default; or it is no positive whole number.
    """
    found = given(fields, *names)
    if found is None and default is None:
        raise HarnessError(f"--model: the configuration has no {names[0]}, so nobody can size its cache")
    return found or default or 0


def items(fields: Fields, name: str) -> Sequence[Any]:
    """The list in a field; empty where it is missing.

    Raises:
        HarnessError: it is no list.
    """
    value = fields.get(name)
    return () if value is None else reading.listed(value, where(name))


def numbers(fields: Fields, name: str, *, least: int = 0, most: int = reading.MOST) -> Sequence[int]:
    """The list of whole numbers in a field; empty where it is missing.

    Raises:
        HarnessError: it is no list of whole numbers in that range.
    """
    return [
        reading.whole(item, f"{where(name)}[{at}]", least=least, most=most)
        for at, item in enumerate(items(fields, name))
    ]


def section(fields: Fields, name: str) -> Fields:
    """The object in a field; empty where it is missing.

    Raises:
        HarnessError: it is no object.
    """
    value = fields.get(name)
    return {} if value is None else reading.section(value, where(name))


def flag(fields: Fields, name: str) -> bool | None:
    """Whether something is so; None where the configuration does not say.

    Raises:
        HarnessError: it is neither true nor false.
    """
    value = fields.get(name)
    if value is not None and not isinstance(value, bool):
        raise HarnessError(f"{where(name)} is {reprlib.repr(value)}, and has to be true or false")
    return value


def model_type(fields: Fields) -> str:
    """The name by which transformers knows the model's code; empty where the configuration does not say.

    Raises:
        HarnessError: it is no text.
    """
    value = fields.get("model_type")
    if value is not None and not isinstance(value, str):
        raise HarnessError(f"{where('model_type')} is {reprlib.repr(value)}, and has to be a text")
    return value or ""
