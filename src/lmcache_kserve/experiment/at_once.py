"""Requests that run at the same time: does each get the answer that its prompt has alone?

Requests that share a step of the engine share its blocks, its connector and the loads from the backend. Faults in
upstream's handling of these show under load only.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from lmcache_kserve.evidence import AtOnce, Compared, Unreadable
from lmcache_kserve.experiment.bench import Bench
from lmcache_kserve.experiment.client import RequestError
from lmcache_kserve.experiment.probe import Probe

REQUESTS = 8
_ANSWER_TOKENS = 32


def ask_at_once(bench: Bench) -> AtOnce | Unreadable:
    """Ask a replica for prompts that another replica computed, all at the same time.

    The prompts have a common beginning of different lengths. The control are prompts that are too short for a chunk:
    LMCache does not touch them, so their answers show what the engine does by itself when it batches requests.
    """
    stage = "at once"
    tokens = max(_ANSWER_TOKENS, bench.measurement.answer_tokens)
    bench.journal.progress(stage, 0, 2, f"{REQUESTS} prompts with a common beginning, computed one by one")
    first = bench.probes[0]
    second = bench.probes[-1] if bench.shared else first
    try:
        prompts = bench.related_prompts(REQUESTS)
        alone = [bench.store(first, prompt, max_tokens=tokens).text for prompt in prompts]
        bench.journal.progress(stage, 1, 2, f"the same {REQUESTS} at the same time")
        cached = _compared(alone, together(second, prompts, tokens))
        prompts = bench.uncached_prompts(REQUESTS)
        alone = [second.send(prompt, max_tokens=tokens).text for prompt in prompts]
        control = _compared(alone, together(second, prompts, tokens))
    except RequestError as error:
        return Unreadable(f"a request was not answered: {error}")
    bench.journal.progress(stage, 2, 2)
    return AtOnce(cached=cached, control=control)


def together(probe: Probe, prompts: Sequence[str], tokens: int) -> list[str]:
    """The answers of one replica to all prompts, sent at the same time."""
    with ThreadPoolExecutor(max_workers=len(prompts), thread_name_prefix="at-once") as pool:
        return [answer.text for answer in pool.map(lambda one: probe.send(one, max_tokens=tokens), prompts)]


def _compared(alone: Sequence[str], together: Sequence[str]) -> tuple[Compared, ...]:
    return tuple(Compared(alone=one, together=other) for one, other in zip(alone, together, strict=True))
