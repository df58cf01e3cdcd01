"""When loading beats computing: the bandwidth, the length of a prompt, and the time to first token of hit and miss."""

from dataclasses import dataclass

from lmcache_kserve.plan.hardware import Engine
from lmcache_kserve.plan.prefill import Prefill

LONGEST = 2**20
"""Tokens up to which a break-even length is looked for, where nobody knows the model's context."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """What decides how long a prompt takes.

    Attributes:
        prefill: how long it computes.
        load_rate: bytes a second that a hit loads.
        token_bytes: bytes of a token in the cache.
        chunk: tokens of a chunk; LMCache loads whole chunks.
        engine: what the engine needs beside both.
    """

    prefill: Prefill
    load_rate: float
    token_bytes: float
    chunk: int
    engine: Engine

    def break_even_rate(self, tokens: int) -> float:
        """Bytes a second at which loading a prompt of `tokens` takes as long as computing it."""
        return self.token_bytes * self.prefill.rate(tokens)

    def miss_s(self, tokens: int) -> float:
        """TTFT in seconds of a prompt that nobody has."""
        return self._always(tokens) + self.prefill.seconds(tokens)

    def hit_s(self, tokens: int, found: int | None = None) -> float:
        """TTFT in seconds where LMCache has the first `found` tokens: all whole chunks, unless said otherwise."""
        loaded = self.chunks(tokens if found is None else min(found, tokens))
        if not loaded:
            return self.miss_s(tokens)
        rest = self.prefill.seconds(tokens) - self.prefill.seconds(loaded)
        return self._always(tokens) + rest + self.load_s(loaded)

    def own_hit_s(self, tokens: int) -> float:
        """TTFT in seconds where the engine itself has the prompt."""
        return self._always(tokens)

    def load_s(self, tokens: int) -> float:
        """Seconds of a hit that loads `tokens`."""
        return self.engine.per_hit_s + tokens * self.token_bytes / self.load_rate

    def chunks(self, tokens: int) -> int:
        """Tokens in whole chunks."""
        return tokens // self.chunk * self.chunk

    def break_even_tokens(self, longest: int = LONGEST) -> int | None:
        """The shortest prompt in whole chunks that loads sooner than it computes; None where none up to `longest` does.

        Computing grows at least as fast as the length, and loading as fast as the length after a fixed start. So a
        prompt longer than one that gains gains too, and the search may halve.
        """
        low, high = 0, longest // self.chunk
        if not self._gains(high):
            return None
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (low, middle) if self._gains(middle) else (middle, high)
        return high * self.chunk

    def _gains(self, chunks: int) -> bool:
        tokens = chunks * self.chunk
        return self.load_s(tokens) < self.prefill.seconds(tokens)

    def _always(self, tokens: int) -> float:
        return self.engine.base_s + tokens * self.engine.per_token_s
