"""Numbers of the plan for people."""

GIB = 2**30
_STEPS = (("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10))
_MINUTE_S = 60


def size(number: float) -> str:
    """Bytes in the largest unit that leaves a whole part."""
    unit, step = next(((unit, step) for unit, step in _STEPS if number >= step), ("bytes", 1))
    return f"{number / step:,.4g} {unit}"


def rate(number: float) -> str:
    """Bytes a second in GB (10^9 bytes) a second."""
    return f"{number / 1e9:,.3g} GB/s"


def seconds(number: float) -> str:
    """A duration in milliseconds or seconds."""
    return f"{number * 1000:,.0f} ms" if number < 1 else f"{number:,.2f} s"


def tokens(number: float) -> str:
    """A number of tokens."""
    return f"{number:,.0f} tokens"


def share(number: float) -> str:
    """A share in percent."""
    return f"{number * 100:.1f} %"
