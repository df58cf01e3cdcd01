"""Things that run side by side and fail together."""

from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, wait


def first_failure(futures: Sequence[Future[None]], *, then: Callable[[], object]) -> None:
    """Wait until all are done or one fails; at the first failure or interruption call `then`, which ends the rest.

    Raises:
        Exception: what the first one failed with.
    """
    try:
        done, _ = wait(futures, return_when=FIRST_EXCEPTION)
        for future in done:
            future.result()
    except BaseException:
        then()
        raise
