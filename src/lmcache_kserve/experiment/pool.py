"""The prompts of a soak, with the answers of an engine that has no cache."""

import random
from collections.abc import Sequence
from dataclasses import dataclass

from lmcache_kserve.errors import HarnessError
from lmcache_kserve.experiment.at_once import together
from lmcache_kserve.experiment.bench import Bench
from lmcache_kserve.experiment.traffic import Known

_FAMILIES = 2
_RELATIVES = 4
_ENDING_WORDS = 16
_AT_ONCE = 8
_STEADY_SHARE = 0.75


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolSize:
    """What the prompts of a pool are; lengths in tokens.

    Attributes:
        short: prompts that are shorter than a chunk.
        fresh: prompts with nothing in common.
        shortest, longest: between these is the length of a fresh prompt. Related prompts begin alike up to `longest`.
        answer_tokens: length of an answer.
    """

    short: int = 8
    fresh: int = 20
    shortest: int = 600
    longest: int = 1500
    answer_tokens: int = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    """Prompts whose answers are known.

    Attributes:
        known: the prompts with the answers of the engine without a cache.
        answer_tokens: length of the answers.
        chunks: chunks in all of them, at least; of prompts that begin alike, those of the longest.
        unsteady: prompts left out, because the engine without a cache changed its own answer beside other requests.
    """

    known: tuple[Known, ...]
    answer_tokens: int
    chunks: int
    unsteady: int


def ask_baseline(bench: Bench, size: PoolSize, *, chunk_size: int) -> Pool:
    """Make prompts from the seed of `bench`, and ask its engine, which has no cache, for the answers.

    The engine answers each prompt alone, and again beside seven others. Where these two differ, two tokens are so
    close that the order of additions decides between them: no cache could be blamed for either answer.

    Args:
        bench: an engine without LMCache.
        size: what to ask.
        chunk_size: LMCache's, of the release that the prompts are for.

    Raises:
        HarnessError: a request was not answered, or the engine is too unsteady to judge a cache by.
    """
    stage = "answers without a cache"
    bench.calibrate()
    groups = _groups(bench, size)
    prompts = [prompt for group in groups for prompt in group]
    probe = bench.probes[0]
    alone: list[str] = []
    chunks: list[int] = []
    for number, prompt in enumerate(prompts):
        bench.journal.progress(stage, number, len(prompts), "each prompt alone, on an engine without LMCache")
        answer = probe.send(prompt, max_tokens=size.answer_tokens)
        alone.append(answer.text)
        chunks.append(answer.prompt_tokens // chunk_size)
    beside = [
        text
        for begin in range(0, len(prompts), _AT_ONCE)
        for text in together(probe, prompts[begin : begin + _AT_ONCE], size.answer_tokens)
    ]
    steady = [number for number in range(len(prompts)) if alone[number] == beside[number]]
    bench.journal.progress(stage, len(prompts), len(prompts), f"{len(steady)} prompts have steady answers")
    if len(steady) < _STEADY_SHARE * len(prompts):
        raise HarnessError(
            f"the engine without a cache changed {len(prompts) - len(steady)} of its own {len(prompts)} answers beside "
            "other requests, and no cache can be judged by it: set OMP_NUM_THREADS to 1 in predictor.env, or add "
            "--dtype=float32 to model.extraArgs"
        )
    counts = iter(chunks)
    return Pool(
        known=tuple(Known(prompts[number], alone[number]) for number in steady),
        answer_tokens=size.answer_tokens,
        chunks=sum(max(next(counts) for _ in group) for group in groups),
        unsteady=len(prompts) - len(steady),
    )


def _groups(bench: Bench, size: PoolSize) -> Sequence[Sequence[str]]:
    """The prompts; those of one group begin alike."""
    source = random.Random(bench.seed)  # noqa: S311 - repeatable on purpose
    families = [
        bench.prompts.related(bench.words(size.longest), _RELATIVES, ending=_ENDING_WORDS) for _ in range(_FAMILIES)
    ]
    lengths = [source.randint(size.shortest, size.longest) for _ in range(size.fresh)]
    fresh = [bench.prompts.fresh(bench.words(length)) for length in lengths]
    return [*families, *([prompt] for prompt in [*fresh, *bench.uncached_prompts(size.short)])]
