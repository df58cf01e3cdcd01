"""A number of the plan, with its source and with how wrong it may be."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """A number.

    Attributes:
        id: its name for programs, such as `kv_bytes_per_token`.
        title: its name for people.
        value: the number in its base unit.
        unit: that unit: bytes, bytes/s, tokens, tokens/s, s, requests/h, share, or money.
        text: the number for people.
        source: where it is from.
        error: how wrong it may be, in words.
    """

    id: str
    title: str
    value: float
    unit: str
    text: str
    source: str
    error: str
