"""The time that the test has."""

from __future__ import annotations

from typing import Protocol


class Clock(Protocol):
    """The part of `time` that waits."""

    def monotonic(self) -> float:
        """Seconds since some moment."""

    def sleep(self, seconds: float) -> None:
        """Wait."""


class Deadline:
    """The moment at which the whole test has to be over; `seconds` from now on."""

    def __init__(self, clock: Clock, seconds: float) -> None:
        self._clock = clock
        self._end = clock.monotonic() + seconds

    def left(self) -> float:
        """Seconds that are left; zero or less when the time is over."""
        return self._end - self._clock.monotonic()
