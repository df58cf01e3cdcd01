"""Whether offloading pays, by how much, and why not."""

from dataclasses import dataclass

from lmcache_kserve.plan import words
from lmcache_kserve.plan.basis import Basis

VISIBLE = 0.05
"""The smallest gain in mean TTFT that counts: measurements of one engine against itself differ by as much."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shares:
    """How many tokens are found.

    Attributes:
        engine: by the engine's own prefix cache.
        both: by it and LMCache.
    """

    engine: float
    both: float

    @property
    def added(self) -> float:
        """What LMCache adds."""
        return max(0.0, self.both - self.engine)


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """Whether offloading pays.

    Attributes:
        pays: whether it does.
        reason: why, as a sentence.
        shares: how many tokens are found; None where nothing says what the traffic is.
        without_s: mean TTFT in seconds without LMCache; None without shares.
        with_s: mean TTFT in seconds with LMCache; None without shares.
    """

    pays: bool
    reason: str
    shares: Shares | None = None
    without_s: float | None = None
    with_s: float | None = None

    @property
    def saved_s(self) -> float:
        """Seconds that a request gains on average."""
        return self.without_s - self.with_s if self.without_s is not None and self.with_s is not None else 0.0


def verdict(basis: Basis) -> Verdict:
    """Whether offloading pays for prompts of the asked length."""
    if basis.layout.recurrent_layers:
        layers = f"{basis.layout.recurrent_layers} layers of Mamba or linear attention"
        return Verdict(pays=False, reason=f"The model has {layers}, with which LMCache is off (docs/correctness.md)")
    timing, tokens = basis.timing, basis.prompt_tokens
    miss, hit = timing.miss_s(tokens), timing.hit_s(tokens)
    shares = shares_of(basis)
    if shares is None:
        return Verdict(pays=hit < miss, reason=_of_a_hit(basis, miss, hit))
    own = shares.engine * timing.own_hit_s(tokens)
    without = own + (1 - shares.engine) * miss
    loaded = own + shares.added * hit + (1 - shares.engine - shares.added) * miss
    gain = (without - loaded) / without if without else 0.0
    pays = gain >= VISIBLE
    return Verdict(
        pays=pays,
        reason=_why(basis, shares, gain, hit < miss),
        shares=shares,
        without_s=without,
        with_s=loaded,
    )


def shares_of(basis: Basis) -> Shares | None:
    """How many tokens are found; None where nothing says what the traffic is."""
    if basis.share is None:
        return None
    engine = basis.share.single(basis.engine_tokens) if basis.engine_tokens is not None else 0.0
    if basis.inputs.backend == "none":
        both = basis.share.single(basis.cache_tokens)
    else:
        both = basis.share.shared(basis.cache_tokens)
    return Shares(engine=engine, both=max(engine, both))


def _of_a_hit(basis: Basis, miss: float, hit: float) -> str:
    times = f"a hit takes {words.seconds(hit)}, a miss {words.seconds(miss)}"
    if hit < miss:
        return f"A hit of {basis.prompt_tokens:,} tokens pays: {times}. Give --working-set or --trace for the rest"
    return f"A hit of {basis.prompt_tokens:,} tokens does not pay: {times}. {_needed(basis)}"


def _why(basis: Basis, shares: Shares, gain: float, hit_pays: bool) -> str:  # noqa: FBT001 - one of two facts
    engine = f"{basis.engine_tokens:,.0f} tokens" if basis.engine_tokens is not None else "nothing"
    if shares.added == 0 and shares.engine:
        found = words.share(shares.engine)
        return (
            f"The engine's own prefix cache holds {engine} and finds {found} of all tokens. LMCache finds no more, "
            "except for replicas that restart or are new"
        )
    if shares.added == 0:
        return "The cache would find nothing again"
    if not hit_pays:
        return f"Hits load slower than the same tokens compute. {_needed(basis)}"
    added = (
        f"LMCache adds {words.share(shares.added)} of all tokens to the {words.share(shares.engine)} that engines have"
    )
    if gain < VISIBLE:
        return f"{added}, so mean TTFT falls by {words.share(gain)}: less than anybody could measure"
    return f"{added}, so mean TTFT falls by {words.share(gain)}"


def _needed(basis: Basis) -> str:
    needed = words.rate(basis.timing.break_even_rate(basis.prompt_tokens))
    slowest = basis.way.slowest
    return f"Computing is beaten above {needed}; {slowest.name} gives {words.rate(slowest.rate)}"
