"""The one way to wait: poll a condition on a monotonic clock, until a deadline, and say what was seen last."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, TypeVar

from lmcache_kserve.errors import HarnessError

T = TypeVar("T")


class Clock(Protocol):
    """Time as a wait sees it; tests pass one whose `sleep` only advances it."""

    def monotonic(self) -> float:
        """Seconds since an arbitrary moment; never goes back."""

    def sleep(self, seconds: float) -> None:
        """Let `seconds` pass."""


class SystemClock:
    """The machine's clock."""

    def monotonic(self) -> float:
        """Seconds since an arbitrary moment; never goes back."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Let `seconds` pass."""
        time.sleep(seconds)


@dataclass(frozen=True, slots=True)
class Pending:
    """What `ready` returns to say "not yet" together with the state it saw; false in a condition."""

    state: str

    def __bool__(self) -> bool:
        return False


class WaitTimeoutError(HarnessError):
    """What was waited for did not come before the deadline; its note holds the last state seen."""


class WaitFailedError(HarnessError):
    """What was waited for can no longer come."""


def wait_for(  # noqa: PLR0913 - one waiter for every wait, its options by name
    ready: Callable[[], T | Pending | None],
    *,
    failed: Callable[[], str | None] | None = None,
    timeout: float,
    delay: float = 1.0,
    describe: str,
    clock: Clock | None = None,
) -> T:
    """Poll until `ready` returns something true, and return that.

    Args:
        ready: what to poll; a false value or `Pending` means "not yet".
        failed: polled after each "not yet"; a text ends the wait at once with that reason.
        timeout: seconds until the wait is given up; the condition is tried at least once.
        delay: seconds between two polls.
        describe: what is waited for, to complete the sentence "waited 30 s for ...".
        clock: the clock to wait on; the machine's own by default.

    Raises:
        WaitFailedError: `failed` gave a reason.
        WaitTimeoutError: the deadline passed.
    """
    clock = clock or SystemClock()
    deadline = clock.monotonic() + timeout
    while True:
        seen = ready()
        if seen and not isinstance(seen, Pending):
            return seen
        state = seen.state if isinstance(seen, Pending) else repr(seen)
        reason = failed() if failed else None
        if reason:
            error: HarnessError = WaitFailedError(f"{describe}: {reason}")
            error.add_note(f"last state: {state}")
            raise error
        left = deadline - clock.monotonic()
        if left <= 0:
            error = WaitTimeoutError(f"waited {timeout:g} s for {describe}")
            error.add_note(f"last state: {state}")
            raise error
        clock.sleep(min(delay, left))
