"""The numbers of a plan, each with its source and with how wrong it may be."""

from collections.abc import Iterator

from lmcache_kserve.plan import words
from lmcache_kserve.plan.basis import Basis
from lmcache_kserve.plan.break_even import LONGEST
from lmcache_kserve.plan.cost import Cost
from lmcache_kserve.plan.figure import Figure
from lmcache_kserve.plan.hardware import GIB, working_memory
from lmcache_kserve.plan.layers import Kind
from lmcache_kserve.plan.trace import requests_per_hour
from lmcache_kserve.plan.verdict import Verdict

_EXACT = "exact; scales of quantized caches and padding are left out"


def figures(basis: Basis, verdict: Verdict, cost: Cost | None) -> Iterator[Figure]:
    """Every number of the plan, in the order in which they follow from each other."""
    yield from _sizes(basis)
    yield from _engine(basis)
    yield from _speeds(basis)
    yield from _times(basis)
    yield from _traffic(basis, verdict)
    if cost is not None:
        yield from _money(basis, cost)


def _sizes(basis: Basis) -> Iterator[Figure]:
    sizing = basis.sizing
    yield _size("kv_bytes_per_token", "KV cache of a token", sizing.token_bytes, _layers(basis), _EXACT)
    source = f"--chunk-size {sizing.chunk} x the KV cache of a token"
    yield _size("chunk_bytes", "chunk", sizing.chunk_bytes, source, _EXACT)
    yield Figure(
        id="tokens_per_gib",
        title="a GiB holds",
        value=sizing.tokens(1),
        unit="tokens",
        text=words.tokens(sizing.tokens(1)),
        source="GiB / chunk, in every tier",
        error="a few percent less for keys and descriptions",
    )


def _layers(basis: Basis) -> str:
    parts = []
    for group in basis.layout.groups:
        kind = f"{group.layers} layers" if group.kind is Kind.FULL else f"{group.layers} layers with a window"
        heads = (
            f"{group.elements} elements" if basis.layout.latent else f"{group.kv_heads} heads of {group.elements // 2}"
        )
        parts.append(f"{kind} of {heads}")
    return f"{basis.config.source}: {basis.layout.attention}, {', '.join(parts)}, {basis.kv}"


def _engine(basis: Basis) -> Iterator[Figure]:
    if basis.gpu is None or basis.weight_bytes is None or basis.engine_tokens is None:
        return
    source = f"{basis.config.source}: parameters in {basis.weights}"
    yield _size("weight_bytes", "weights", basis.weight_bytes, source, "2 %; scales add up to 6 %")
    memory = f"{basis.inputs.gpus} x {basis.gpu.memory_bytes / GIB:.0f} GiB x {basis.inputs.gpu_memory_utilization:g}"
    working = f"{working_memory()[0] / GIB:g} GiB of working memory each"
    yield Figure(
        id="engine_tokens",
        title="the engine's own cache",
        value=basis.engine_tokens,
        unit="tokens",
        text=words.tokens(basis.engine_tokens),
        source=f"{memory} less weights and {working} ({working_memory()[1]})",
        error="a tenth; a third less with experts. vLLM's log says it: GPU KV cache size",
    )


def _speeds(basis: Basis) -> Iterator[Figure]:
    tokens, timing = basis.prompt_tokens, basis.timing
    rate = timing.prefill.rate(tokens)
    yield Figure(
        id="prefill_rate",
        title=f"computes {tokens:,} tokens at",
        value=rate,
        unit="tokens/s",
        text=f"{rate:,.0f} tokens/s",
        source=timing.prefill.source,
        error=timing.prefill.error,
    )
    needed = timing.break_even_rate(tokens)
    source = "KV cache of a token x tokens computed a second"
    yield _rate("break_even_rate", "loading wins above", needed, source, timing.prefill.error)
    for stage in basis.way.stages:
        name = stage.name.replace(" ", "_").replace("-", "_").lower()
        yield _rate(f"rate_{name}", stage.name, stage.rate, stage.source, stage.error)


def _times(basis: Basis) -> Iterator[Figure]:
    tokens, timing = basis.prompt_tokens, basis.timing
    start = f"{words.seconds(timing.own_hit_s(tokens))} of the engine ({timing.engine.source})"
    prefill = timing.prefill.error
    yield _seconds(
        "miss_s", f"TTFT of a miss, {tokens:,} tokens", timing.miss_s(tokens), f"computing, and {start}", prefill
    )
    slowest = f"{basis.way.slowest.name}, {words.seconds(timing.engine.per_hit_s)} for the hit, and the engine"
    yield _seconds("hit_s", f"TTFT of a hit, {tokens:,} tokens", timing.hit_s(tokens), slowest, basis.way.slowest.error)
    length = timing.break_even_tokens(basis.context or LONGEST)
    yield Figure(
        id="break_even_tokens",
        title="a hit wins from",
        value=float(length or 0),
        unit="tokens",
        text=words.tokens(length) if length else "no length up to the model's context",
        source="the shortest prompt in whole chunks that loads sooner than it computes",
        error=f"computing: {prefill}; loading: {basis.way.slowest.error}",
    )


def _traffic(basis: Basis, verdict: Verdict) -> Iterator[Figure]:
    yield _size("cache_bytes", "cache", basis.cache.gib * GIB, basis.cache.source, "exact")
    yield Figure(
        id="cache_tokens",
        title="cache holds",
        value=basis.cache_tokens,
        unit="tokens",
        text=words.tokens(basis.cache_tokens),
        source="cache / chunk",
        error="a few percent less for keys and descriptions",
    )
    if basis.share is None or verdict.shares is None:
        return
    for name, title, number in (
        ("engine_share", "the engine's own cache finds", verdict.shares.engine),
        ("added_share", "LMCache finds beside", verdict.shares.added),
    ):
        yield Figure(
            id=name,
            title=title,
            value=number,
            unit="share",
            text=words.share(number),
            source=basis.share.source,
            error=basis.share.error,
        )
    if verdict.without_s is None or verdict.with_s is None:
        return
    source = "shares x TTFT of hit and miss, one request at a time"
    error = "more of both under load, because requests wait for each other"
    yield _seconds("without_s", "mean TTFT without LMCache", verdict.without_s, source, error)
    yield _seconds("with_s", "mean TTFT with LMCache", verdict.with_s, source, error)


def _money(basis: Basis, cost: Cost) -> Iterator[Figure]:
    rows = [
        ("cache_cost", "cache costs an hour", cost.cache_hour, "--price-gib-month x cache / 730 h", "as the price"),
        (
            "saved_cost",
            "1,000 requests save",
            cost.saved_per_thousand,
            "--price-gpu-hour x GPU time saved",
            "as the mean TTFT; worth it only if the GPUs have other work or can be fewer",
        ),
    ]
    for name, title, number, source, error in rows:
        yield Figure(
            id=name, title=title, value=number, unit="money", text=f"{number:,.4g}", source=source, error=error
        )
    least = cost.break_even_requests
    rate = requests_per_hour(basis.requests) if basis.requests else None
    seen = f"; --trace has {rate:,.0f}" if rate else ""
    yield Figure(
        id="break_even_requests",
        title="the cache earns its price from",
        value=least or 0.0,
        unit="requests/h",
        text=f"{least:,.0f} requests an hour" if least is not None else "no number of requests",
        source=f"cost of the cache / what a request saves{seen}",
        error="as both",
    )


def _size(name: str, title: str, number: float, source: str, error: str) -> Figure:
    exact = f"{number:,.0f} bytes = " if number < GIB else ""
    text = exact + words.size(number)
    return Figure(id=name, title=title, value=number, unit="bytes", text=text, source=source, error=error)


def _rate(name: str, title: str, number: float, source: str, error: str) -> Figure:
    return Figure(
        id=name, title=title, value=number, unit="bytes/s", text=words.rate(number), source=source, error=error
    )


def _seconds(name: str, title: str, number: float, source: str, error: str) -> Figure:
    return Figure(id=name, title=title, value=number, unit="s", text=words.seconds(number), source=source, error=error)
