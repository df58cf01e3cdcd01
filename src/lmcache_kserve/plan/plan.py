"""The plan for a model, a GPU, a network and a backend: numbers, verdict, curves, and the values of the release."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from lmcache_kserve.plan import values_file
from lmcache_kserve.plan.basis import Basis, basis
from lmcache_kserve.plan.cost import Cost, Prices, cost
from lmcache_kserve.plan.figure import Figure
from lmcache_kserve.plan.figures import figures
from lmcache_kserve.plan.inputs import Inputs
from lmcache_kserve.plan.values_file import Release
from lmcache_kserve.plan.verdict import Verdict, verdict

_LENGTHS = tuple(2**power for power in range(9, 18))
_SIZES = (0.125, 0.25, 0.5, 1.0, 2.0, 4.0)
_CLOSE = 2.0
"""Loading that is up to so many times faster or slower than computing may be the other way round."""
_WIDE = frozenset({"float32", "bfloat16", "float16"})
"""Data types of activations, which vLLM's `--dtype` takes; fp8 and int4 come from the model's own files."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Length:
    """TTFT at one length of the prompt.

    Attributes:
        tokens: the length.
        miss_s: seconds where nobody has the prompt.
        hit_s: seconds where LMCache has it.
    """

    tokens: int
    miss_s: float
    hit_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """The hit share at one size of the cache.

    Attributes:
        gib: the size.
        share: share of all tokens that a cache of this size finds.
        added: what the engine's own cache would not have found.
    """

    gib: float
    share: float
    added: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The plan.

    Attributes:
        model_id: the model.
        figures: its numbers.
        verdict: whether offloading pays.
        advice: what a user should know beside, as sentences.
        lengths: TTFT of hit and miss by length of the prompt.
        sizes: hit share by size of the cache; empty where nothing says what the traffic is.
        values: the values file.
    """

    model_id: str
    figures: tuple[Figure, ...]
    verdict: Verdict
    advice: tuple[str, ...]
    lengths: tuple[Length, ...]
    sizes: tuple[Size, ...]
    values: str


def make(inputs: Inputs, rates: Path) -> Plan:
    """Make the plan.

    Args:
        inputs: what the user said.
        rates: a report of `lmcache-kserve compare --backend-only`.

    Raises:
        HarnessError: an option names something that is not known; the message names the option.
    """
    based = basis(inputs, rates)
    judged = verdict(based)
    balance = _balance(based, judged)
    advice = tuple(_advice(based))
    return Plan(
        model_id=based.config.id,
        figures=tuple(figures(based, judged, balance)),
        verdict=judged,
        advice=advice,
        lengths=tuple(_lengths(based)),
        sizes=tuple(_sizes(based, judged)),
        values=values_file.text(_release(based), _notes(based, judged)),
    )


def _balance(based: Basis, judged: Verdict) -> Cost | None:
    inputs = based.inputs
    if inputs.price_gpu_hour is None or inputs.price_gib_month is None or judged.shares is None:
        return None
    prices = Prices(gpu_hour=inputs.price_gpu_hour, gib_month=inputs.price_gib_month)
    return cost(prices, cache_gib=based.cache.gib, gpus=inputs.gpus, saved_s=judged.saved_s)


def _advice(based: Basis) -> Iterator[str]:
    if based.way.note:
        yield based.way.note
    if based.layout.window is not None and based.inputs.mode == "in-process":
        yield (
            f"Layers with a window of {based.layout.window:,} tokens are kept for every token in mode in-process. "
            "Mode multiprocess lets the engine keep the window alone (model.hybridMemory)."
        )
    needed = based.timing.break_even_rate(based.prompt_tokens)
    if 1 / _CLOSE < based.way.slowest.rate / needed < _CLOSE:
        yield (
            "Loading and computing are too close for these figures: measure with lmcache-kserve verify, "
            "and plan again with --verify-report."
        )
    if based.inputs.price_gpu_hour is not None and based.share is None:
        yield "Prices say nothing without traffic: give --working-set or --trace."
    prompt = based.sizing.gib(based.prompt_tokens)
    if prompt > based.cache.gib:
        size = f"{prompt:.1f} GiB, and the cache has {based.cache.gib:.1f}"
        yield f"One prompt of {based.prompt_tokens:,} tokens takes {size}: raise --cache-size."


def _lengths(based: Basis) -> Iterator[Length]:
    asked = based.prompt_tokens
    for tokens in sorted({*_LENGTHS, asked}):
        if tokens <= max(based.context or tokens, asked):
            yield Length(tokens=tokens, miss_s=based.timing.miss_s(tokens), hit_s=based.timing.hit_s(tokens))


def _sizes(based: Basis, judged: Verdict) -> Iterator[Size]:
    if based.share is None or judged.shares is None:
        return
    found = based.share.single if based.inputs.backend == "none" else based.share.shared
    for factor in _SIZES:
        gib = based.cache.gib * factor
        share = found(based.sizing.tokens(gib))
        yield Size(gib=gib, share=share, added=max(0.0, share - judged.shares.engine))


def _notes(based: Basis, judged: Verdict) -> list[str]:
    notes = [
        "lmcache-kserve plan wrote these values.",
        f"Offloading {'pays' if judged.pays else 'does not pay'}. {judged.reason}.",
    ]
    if "/" not in based.config.id:
        notes.append(f"model.id is the name of {based.config.source}: write the model's own id there.")
    return notes


def _release(based: Basis) -> Release:
    inputs = based.inputs
    return Release(
        model_id=based.config.id,
        token_bytes=based.sizing.token_bytes,
        dtype=inputs.dtype if inputs.dtype in _WIDE else "",
        kv_dtype=inputs.kv_dtype if inputs.kv_dtype.startswith("fp8") else "",
        tensor_parallel=inputs.tensor_parallel,
        pipeline_parallel=inputs.pipeline_parallel,
        replicas=inputs.replicas,
        gpu_memory_utilization=inputs.gpu_memory_utilization,
        mode=inputs.mode,
        backend=inputs.backend,
        client=inputs.client,
        chunk=inputs.chunk_size,
        cache_gib=based.cache.gib,
        prompt_gib=based.sizing.gib(based.prompt_tokens),
        enabled=not based.layout.recurrent_layers,
    )
