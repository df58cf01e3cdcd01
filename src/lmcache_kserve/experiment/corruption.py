"""Chunks that are changed in the backend, and then loaded by a replica that has never seen them."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass

from lmcache_kserve.errors import HarnessError
from lmcache_kserve.evidence import Answer
from lmcache_kserve.experiment.bench import Bench
from lmcache_kserve.experiment.probe import Probe
from lmcache_kserve.experiment.traffic import Known, ask
from lmcache_kserve.waiting import Pending, WaitTimeoutError, wait_for

_SETTLE_TIMEOUT_S = 10.0
_SETTLE_DELAY_S = 0.25
_SETTLED_POLLS = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Loads:
    """What was asked for after its chunks were changed.

    Attributes:
        chunks: chunks that were changed, and then asked for.
        answers: the requests for them.
    """

    chunks: int
    answers: tuple[Answer, ...]


def load_corrupted(bench: Bench, corrupt: Callable[[], int], *, chunks: int, told: Callable[[int], None]) -> Loads:
    """Store fresh prompts, change their chunks, and let each replica ask for what another one stored.

    Replicas keep what they once loaded in their own memory. So each prompt is asked for once.

    Args:
        bench: the replicas; steady traffic may go on.
        corrupt: changes every chunk in the backend that it has not changed before; returns how many.
        chunks: how many to change and to ask for, at least.
        told: told how many there are so far.

    Raises:
        HarnessError: a fresh prompt was not stored, or what was stored was not changed.
    """
    corrupt()  # what the traffic asks for
    done, answers, workers = 0, list[Answer](), bench.workers
    with ThreadPoolExecutor(max_workers=len(bench.probes), thread_name_prefix="corrupted") as threads:
        while done < chunks:
            prompts = [bench.long_prompt() for _ in bench.probes]
            stored = list(threads.map(lambda probe, prompt: _stored(bench, probe, prompt), bench.probes, prompts))
            expected = sum(size for _, size in stored) * workers
            changed = _changed(bench, corrupt, expected)
            if not changed:
                raise HarnessError(f"none of {expected} chunks that were just stored could be changed in the backend")
            readers = [*bench.probes[1:], bench.probes[0]]
            answers += threads.map(
                lambda probe, known: _asked(bench, probe, known), readers, [one for one, _ in stored]
            )
            done += min(changed, expected)
            told(done)
    return Loads(chunks=done, answers=tuple(answers))


def _stored(bench: Bench, probe: Probe, prompt: str) -> tuple[Known, int]:
    """A fresh prompt with the answer that a replica computed, and the chunks that each worker stores."""
    sent = probe.store(prompt, max_tokens=bench.measurement.answer_tokens)
    return Known(prompt, sent.text), bench.chunks(sent.prompt_tokens)


def _changed(bench: Bench, corrupt: Callable[[], int], expected: int) -> int:
    """Change chunks until all that are expected have arrived and are changed, or none arrives any more."""
    seen: Sequence[int] = []

    def arrived() -> bool | Pending:
        nonlocal seen
        seen = [*seen, corrupt()]
        quiet = seen[-_SETTLED_POLLS:] == [0] * _SETTLED_POLLS
        return sum(seen) >= expected or quiet or Pending(f"{sum(seen)} chunks of {expected}")

    with suppress(WaitTimeoutError):  # what did not arrive counts as not changed
        wait_for(
            arrived,
            timeout=_SETTLE_TIMEOUT_S,
            delay=_SETTLE_DELAY_S,
            describe="the backend to take in what was stored",
            clock=bench.clock,
        )
    return sum(seen)


def _asked(bench: Bench, probe: Probe, known: Known) -> Answer:
    return ask(probe, known, phase="during", max_tokens=bench.measurement.answer_tokens, journal=bench.journal)
