"""How many tokens a cache of some size finds again: from a recorded trace, or from a stated working set.

LMCache has a simulator of its own (`lmcache tool cache-simulator`, in `lmcache.tools.cache_simulator`, LMCache 0.5.6).
Where LMCache is installed beside this program, its simulator counts. Where it is not, the count here follows the same
rules: the least recently used block goes first, a hit ends at the first block that is missing, and tokens that fill no
block are always missing. Both give the same shares for the same trace.
"""

import importlib
from bisect import bisect_right
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

from lmcache_kserve.plan.trace import Request

_SIMULATOR = "lmcache.tools.cache_simulator.simulator"


@dataclass(frozen=True, slots=True, kw_only=True)
class HitShare:
    """How many tokens are found.

    Attributes:
        shared: share of all tokens that a cache of so many tokens finds, when it sees every request.
        single: the same for the cache of one replica among `replicas`, which sees its own requests only.
        source: where that is from.
        error: how wrong it may be, in words.
    """

    shared: Callable[[float], float]
    single: Callable[[float], float]
    source: str
    error: str


def of_working_set(tokens: int) -> HitShare:
    """Requests that take each part of a working set of `tokens` with the same probability, once the cache is warm."""

    def share(capacity: float) -> float:
        return min(1.0, capacity / tokens)

    return HitShare(
        shared=share,
        single=share,
        source=f"--working-set of {tokens:,} tokens, each as likely as the others",
        error="down to 0, if requests go round in a larger working set; up, if some parts are asked for more often",
    )


def of_trace(requests: Sequence[Request], replicas: int) -> HitShare:
    """The share in a recorded trace, with requests sent to replicas in turn."""
    whole = _shares(requests)
    parts = [(_shares(part), sum(one.tokens for one in part)) for part in _dealt(requests, replicas)]
    total = sum(weight for _, weight in parts)
    counted = "LMCache's cache simulator" if simulator() else "LRU"
    return HitShare(
        shared=whole,
        single=lambda capacity: sum(share(capacity) * weight for share, weight in parts) / total,
        source=f"--trace of {len(requests):,} requests, {counted}",
        error=f"{_block(requests) - 1} tokens a request, which fill no block; other traffic is not in the trace",
    )


def simulator() -> Callable[..., Mapping[str, Any]] | None:
    """LMCache's own `simulate`; None where LMCache is not installed beside this program."""
    try:
        found: Callable[..., Mapping[str, Any]] = importlib.import_module(_SIMULATOR).simulate
    except ImportError:
        return None
    return found


def _dealt(requests: Sequence[Request], replicas: int) -> list[Sequence[Request]]:
    return [part for number in range(replicas) if (part := requests[number::replicas])]


def _block(requests: Sequence[Request]) -> int:
    return requests[0].block_tokens


def _shares(requests: Sequence[Request]) -> Callable[[float], float]:
    return _simulated(requests, simulate) if (simulate := simulator()) else Reuse(requests).share


def _simulated(requests: Sequence[Request], simulate: Callable[..., Mapping[str, Any]]) -> Callable[[float], float]:
    """Shares as LMCache's simulator counts them, with one byte for a token."""
    block = _block(requests)
    events = [
        {"chunk_hashes": list(one.blocks), "seq_len": one.tokens, "chunk_size": block, "timestamp": one.at_s}
        for one in requests
    ]

    def share(capacity: float) -> float:
        if capacity < block:
            return 0.0
        found = simulate(events, cache_capacity_bytes=int(capacity), kv_bytes_per_chunk=block, fast=True)
        return float(found["token_hit_rate"])

    return share


class Reuse:
    """The shares of a trace at every size of an LRU cache, counted in one pass.

    A block is found where no more than `capacity` other blocks were used since (Mattson's stack distance). Within a
    request the first missing block ends the hit, so a block counts with the largest distance before it.
    """

    __slots__ = ("_block", "_found", "_needed", "_total")

    def __init__(self, requests: Sequence[Request]) -> None:
        self._block = _block(requests)
        self._total = sum(one.tokens for one in requests)
        stack = _Stack(sum(len(one.blocks) for one in requests))
        needed: list[int] = []
        for one in requests:
            deepest = 0
            for name in one.blocks:
                depth = stack.depth(name)
                if depth is None:
                    break
                deepest = max(deepest, depth)
                needed.append(deepest)
            for name in one.blocks:
                stack.use(name)
        self._needed = sorted(needed)
        self._found = [0, *accumulate(self._block for _ in self._needed)]

    def share(self, capacity: float) -> float:
        """Share of all tokens that a cache of `capacity` tokens finds."""
        blocks = int(capacity // self._block)
        return self._found[bisect_right(self._needed, blocks)] / self._total if self._total else 0.0


class _Stack:
    """Blocks from the most to the least recently used, with their depth in logarithmic time (a Fenwick tree)."""

    __slots__ = ("_last", "_now", "_tree")

    def __init__(self, uses: int) -> None:
        self._tree = [0] * (uses + 1)
        self._last: dict[Hashable, int] = {}
        self._now = 0

    def depth(self, name: Hashable) -> int | None:
        """1 for the block that was used last; None for a block that nobody used."""
        last = self._last.get(name)
        return None if last is None else len(self._last) - self._before(last) + 1

    def use(self, name: Hashable) -> None:
        """Put a block on top."""
        if (last := self._last.get(name)) is not None:
            self._add(last, -1)
        self._now += 1
        self._last[name] = self._now
        self._add(self._now, 1)

    def _before(self, slot: int) -> int:
        """Blocks whose last use is at `slot` or earlier."""
        found = 0
        while slot:
            found += self._tree[slot]
            slot &= slot - 1
        return found

    def _add(self, slot: int, change: int) -> None:
        while slot < len(self._tree):
            self._tree[slot] += change
            slot += slot & -slot
