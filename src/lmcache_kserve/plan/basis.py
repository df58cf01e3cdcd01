"""Puts together what a plan rests on: the model, the hardware, the traffic and the cache."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lmcache_kserve.errors import HarnessError
from lmcache_kserve.plan import dtypes, hardware, hit_share, loads, prefill, trace, verify_report
from lmcache_kserve.plan.break_even import Timing
from lmcache_kserve.plan.config import Config, read
from lmcache_kserve.plan.fields import given
from lmcache_kserve.plan.hardware import Engine, Gpu
from lmcache_kserve.plan.hit_share import HitShare
from lmcache_kserve.plan.inputs import LARGEST_GIB, Inputs
from lmcache_kserve.plan.layers import count
from lmcache_kserve.plan.layout import Layout, layout, query_heads
from lmcache_kserve.plan.loads import Asked, Stage, Way
from lmcache_kserve.plan.prefill import Prefill
from lmcache_kserve.plan.sizing import Sizing, engine_tokens
from lmcache_kserve.plan.trace import Request
from lmcache_kserve.plan.work import work

_CHART_DEFAULT_GIB = 6.4
"""80 % of the 8 GiB that the chart gives a Redis, a Valkey and others by default."""
_ENOUGH = 0.99
_PROMPT_TOKENS = 8192
_SMALLEST_GIB = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Cache:
    """The memory for chunks.

    Attributes:
        gib: its size.
        source: why it has this size.
    """

    gib: float
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Basis:
    """What a plan rests on.

    Attributes:
        inputs: what the user said.
        config: the model's configuration.
        layout: what the model caches.
        weights: data type of the weights.
        kv: data type of the KV cache.
        sizing: sizes in the cache.
        gpu: type of the GPUs; None where the user did not say.
        weight_bytes: size of the weights; None where the GPUs are not known.
        engine_tokens: tokens that the engine of a replica keeps by itself; None where the GPUs are not known.
        timing: what decides how long a prompt takes.
        way: the way of a hit.
        cache: the memory for chunks.
        share: how many tokens are found; None where the user said nothing of the traffic.
        requests: the recorded traffic; empty where there is none.
    """

    inputs: Inputs
    config: Config
    layout: Layout
    weights: str
    kv: str
    sizing: Sizing
    gpu: Gpu | None
    weight_bytes: float | None
    engine_tokens: float | None
    timing: Timing
    way: Way
    cache: Cache
    share: HitShare | None
    requests: Sequence[Request]

    @property
    def context(self) -> int | None:
        """The model's longest sequence in tokens; None where its configuration does not say."""
        return given(self.config.fields, "max_position_embeddings")

    @property
    def prompt_tokens(self) -> int:
        """Length of a prompt: as asked, or the mean of the recorded traffic, of one chunk at least."""
        if self.inputs.prompt_tokens is not None:
            return self.inputs.prompt_tokens
        if not self.requests:
            return _PROMPT_TOKENS
        return max(self.inputs.chunk_size, round(statistics.mean(one.tokens for one in self.requests)))

    @property
    def cache_tokens(self) -> float:
        """Tokens that fit into the cache."""
        return self.sizing.tokens(self.cache.gib)


def basis(inputs: Inputs, rates: Path) -> Basis:
    """What the plan rests on.

    Args:
        inputs: what the user said.
        rates: a report of `lmcache-kserve compare --backend-only`.

    Raises:
        HarnessError: an option names something that is not known; the message names the option.
    """
    config = read(inputs.model)
    found = layout(config.fields)
    _fits(inputs, config)
    gpu = hardware.gpu(inputs.gpu) if inputs.gpu is not None else None
    weights, kv = (
        dtypes.weights(config.fields, inputs.dtype),
        dtypes.cache(config.fields, inputs.dtype, inputs.kv_dtype),
    )
    element = dtypes.BYTES[kv]
    sizing = Sizing(token_bytes=found.bytes_per_token(element, inputs.tensor_parallel), chunk=inputs.chunk_size)
    asked = Asked(
        backend=inputs.backend,
        mode=inputs.mode,
        client=inputs.client,
        network=hardware.network(inputs.network) if inputs.network is not None else None,
        # LMCache's first worker of a stage loads latent vectors for all (save_only_first_rank).
        workers=inputs.pipeline_parallel if found.latent else inputs.gpus,
    )
    loads.check(asked)
    speed, engine, way = _speed(inputs, config, gpu, weights, asked, sizing, rates)
    weight_bytes = kept = None
    if gpu is not None:
        weight_bytes = work(config.fields).total * dtypes.BYTES[weights]
        windows = inputs.mode == "multiprocess"
        own = found.own_bytes_per_token(element, inputs.tensor_parallel, windows=windows)
        kept = engine_tokens(gpu, inputs.gpus, inputs.gpu_memory_utilization, weight_bytes, own or sizing.token_bytes)
    requests = trace.read(inputs.trace) if inputs.trace else ()
    share = _share(inputs, requests)
    return Basis(
        inputs=inputs,
        config=config,
        layout=found,
        weights=weights,
        kv=kv,
        sizing=sizing,
        gpu=gpu,
        weight_bytes=weight_bytes,
        engine_tokens=kept,
        timing=Timing(
            prefill=speed,
            load_rate=way.slowest.rate,
            token_bytes=sizing.token_bytes,
            chunk=inputs.chunk_size,
            engine=engine,
        ),
        way=way,
        cache=_fitting(_cache(inputs, sizing, share)),
        share=share,
        requests=requests,
    )


def _fits(inputs: Inputs, config: Config) -> None:
    """Refuse to split the model as vLLM cannot.

    Raises:
        HarnessError: its heads or layers do not allow it; the message names the option.
    """
    heads, layers = query_heads(config.fields), count(config.fields)
    if heads % inputs.tensor_parallel:
        raise HarnessError(f"--tensor-parallel={inputs.tensor_parallel} does not divide the model's {heads} heads")
    if layers < inputs.pipeline_parallel:
        raise HarnessError(f"--pipeline-parallel={inputs.pipeline_parallel}: the model has {layers} layers")


def _speed(  # noqa: PLR0913, PLR0917 - what decides how fast prompts compute and load
    inputs: Inputs, config: Config, gpu: Gpu | None, weights: str, asked: Asked, sizing: Sizing, rates: Path
) -> tuple[Prefill, Engine, Way]:
    """How fast prompts compute, what the engine needs beside, and how fast hits load."""
    if inputs.verify_report is not None:
        return _as_seen(inputs.verify_report, asked, sizing)
    if inputs.prefill_rate is not None:
        given = prefill.stated(inputs.prefill_rate, source="--prefill-rate", error="as wrong as the option")
        return given, hardware.engine(), loads.way(asked, gpu, rates)
    if gpu is None:
        raise AssertionError("Inputs refuses this")
    guess = prefill.estimated(gpu, inputs.gpus, weights, work(config.fields))
    return guess, hardware.engine(), loads.way(asked, gpu, rates)


def _as_seen(path: Path, asked: Asked, sizing: Sizing) -> tuple[Prefill, Engine, Way]:
    """What a report of `verify` measured; a slower network than it had may be given beside."""
    seen = verify_report.read(path)
    source = f"--verify-report {path}"
    speed = prefill.stated(
        1 / seen.compute_s, source=source, error=f"longer prompts than {seen.tokens:,.0f} are slower"
    )
    stages = [
        Stage(name="measured load", rate=sizing.token_bytes / seen.load_s, source=source, error="that of the report")
    ]
    if asked.network is not None:
        stages.append(loads.network_stage(asked.network))
    engine = Engine(base_s=0.0, per_token_s=0.0, per_hit_s=seen.per_hit_s, source=source)
    return speed, engine, Way(stages=stages)


def _share(inputs: Inputs, requests: Sequence[Request]) -> HitShare | None:
    if inputs.working_set is not None:
        return hit_share.of_working_set(inputs.working_set)
    return hit_share.of_trace(requests, inputs.replicas) if requests else None


def _fitting(cache: Cache) -> Cache:
    """Refuse a cache of which no backend can be told.

    Raises:
        HarnessError: the traffic needs more; the message names its option.
    """
    if cache.gib > LARGEST_GIB:
        raise HarnessError(f"a cache that {cache.source} has {cache.gib:,.0f} GiB: give --cache-size")
    return cache


def _cache(inputs: Inputs, sizing: Sizing, share: HitShare | None) -> Cache:
    """The size that the user asked for, or one that suits the traffic."""
    if inputs.cache_gib is not None:
        return Cache(gib=inputs.cache_gib, source="--cache-size")
    if inputs.working_set is not None:
        return Cache(gib=max(_SMALLEST_GIB, sizing.gib(inputs.working_set)), source="holds the whole --working-set")
    if share is None:
        return Cache(gib=_CHART_DEFAULT_GIB, source="the chart's default")
    found = share.single if inputs.backend == "none" else share.shared
    most, gib = found(float(2**62)), _SMALLEST_GIB
    while found(sizing.tokens(gib)) < _ENOUGH * most:
        gib *= 2
    return Cache(gib=gib, source="finds 99 % of what a boundless cache finds in --trace")
