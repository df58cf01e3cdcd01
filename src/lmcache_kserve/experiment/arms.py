"""One arm of a comparison under every load: the tool's requests, and what the release counted and took meanwhile."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from lmcache_kserve.errors import HarnessError
from lmcache_kserve.evidence.comparison import DOCUMENTS, Answers, Cell, Counts, Measured, Round, Use
from lmcache_kserve.experiment.bench import Bench
from lmcache_kserve.experiment.journal import Journal
from lmcache_kserve.experiment.load import DOCUMENTS_OF_PROMPT, LoadTool, fills
from lmcache_kserve.experiment.measurement import Measurement
from lmcache_kserve.experiment.words import tokens_per_word, write_tokenizer
from lmcache_kserve.lmcache.arguments import api_key
from lmcache_kserve.lmcache.metrics import counter
from lmcache_kserve.progress import Progress
from lmcache_kserve.target import Target
from lmcache_kserve.waiting import Clock, Pending, SystemClock, WaitTimeoutError, wait_for

ANSWER_TOKENS = 32
ANSWERS_SEED = 21
_SETTLE_TIMEOUT_S = 15.0
_SETTLE_DELAY_S = 0.5
_SETTLED_POLLS = 3
"""LMCache's server shows a counter within about a second, and a backend takes in chunks after the answer."""

_PROMPT, _OWN, _EXTERNAL = (
    "vllm:prompt_tokens_total",
    "vllm:prefix_cache_hits_total",
    "vllm:external_prefix_cache_hits_total",
)
_L1, _L2 = "lmcache_mp_lookup_hit_l1_tokens_total", "lmcache_mp_lookup_hit_l2_tokens_total"


class MeterLike(AbstractContextManager["MeterLike"], Protocol):
    """Watches a release inside a `with`."""

    @property
    def use(self) -> Mapping[str, Use]:
        """What each part took."""


class Loaded(Target, Protocol):
    """A release on this machine, which can be watched."""

    def meter(self) -> MeterLike:
        """What watches its processes."""

    def server_metrics(self) -> str | None:
        """The metrics page of LMCache's server in mode multiprocess, else None."""


@dataclass(frozen=True, slots=True)
class Loader:
    """Puts loads on releases.

    Attributes:
        tool: what sends the requests.
        seed: of what the tool draws.
        clock: what waits are measured on.
    """

    tool: LoadTool
    seed: int
    clock: Clock = SystemClock()  # noqa: RUF009 - it has no state

    def measure(self, target: Loaded, cell: Cell, rounds: Sequence[int], *, filled: bool = True) -> Measured:
        """Put one load on a release.

        Args:
            target: the release; only its first replica is asked.
            cell: the load.
            rounds: numbers of the measured rounds.
            filled: whether a round comes first that fills the caches; needless without a cache.

        Raises:
            HarnessError: the load could not be put on it, or a request failed.
        """
        words = self._words(target, cell) if cell.workload == DOCUMENTS else 0
        numbers = [*((0,) if filled and fills(cell) else ()), *rounds]
        return Measured(cell=cell, rounds=tuple(self._round(target, cell, number, words) for number in numbers))

    def _round(self, target: Loaded, cell: Cell, number: int, words: int) -> Round:
        before = settled(target, self.clock)
        # What repeats a prompt asks for the same ones in every round; shuffled documents have to be new in each.
        seed = self.seed if fills(cell) else self.seed + number
        with target.meter() as meter:
            requests = self.tool.run(cell, target.replicas[0], model=target.model_name, seed=seed, words=words)
        if failed := next((request for request in requests if request.error), None):
            raise HarnessError(f"{cell}: request {failed.name} was not answered: {failed.error}")
        counts = settled(target, self.clock).since(before)
        return Round(number=number, requests=requests, counts=counts, use=meter.use)

    def _words(self, target: Loaded, cell: Cell) -> int:
        replica = target.replicas[0]
        # The tool takes the served name for the folder of its tokenizer.
        write_tokenizer(self.tool.directory / Path(target.model_name))
        url = replica.openai_url.removesuffix("/v1")
        each = tokens_per_word(url, target.model_name, api_key(replica.arguments, replica.environment))
        return max(1, int(cell.prompt_tokens / DOCUMENTS_OF_PROMPT / each))


def settled(target: Loaded, clock: Clock) -> Counts:
    """The counters, once they stand still.

    Raises:
        HarnessError: they cannot be read.
    """
    if target.mode == "none":
        return read_counts(target)
    seen: list[Counts] = []

    def still() -> Counts | Pending:
        seen.append(read_counts(target))
        last = seen[-_SETTLED_POLLS:]
        return last[-1] if len(last) == _SETTLED_POLLS and len(set(last)) == 1 else Pending(str(last[-1]))

    try:
        return wait_for(
            still,
            timeout=_SETTLE_TIMEOUT_S,
            delay=_SETTLE_DELAY_S,
            describe="the counters to stand still",
            clock=clock,
        )
    except WaitTimeoutError:
        return seen[-1]


def read_counts(target: Loaded) -> Counts:
    """The counters now.

    Raises:
        HarnessError: a page or the backend cannot be read, or vLLM counts no prompts.
    """
    page = target.replicas[0].metrics()
    prompt = counter(page, _PROMPT)
    if prompt is None:
        raise HarnessError(f"the engine's /metrics has no {_PROMPT}")
    server = target.server_metrics()
    return Counts(
        prompt_tokens=prompt,
        own_tokens=counter(page, _OWN) or 0.0,
        external_tokens=counter(page, _EXTERNAL) or 0.0,
        l1_tokens=None if server is None else counter(server, _L1),
        l2_tokens=None if server is None else counter(server, _L2),
        stored_bytes=target.backend.contents().size_bytes if target.backend else None,
    )


@dataclass(frozen=True, slots=True)
class Asker:
    """Asks every arm the same prompts, more than the engine's own cache holds.

    Attributes:
        prompt_tokens: length of a prompt.
        prompts: how many.
        progress: told how far it is.
    """

    prompt_tokens: int
    prompts: int
    progress: Progress

    def ask(self, target: Loaded) -> tuple[str, ...]:
        """The release's answers, one prompt after the other.

        Raises:
            HarnessError: a prompt was not answered.
        """
        measurement = Measurement(
            seed=ANSWERS_SEED, prompt_tokens=self.prompt_tokens, answer_tokens=ANSWER_TOKENS, kill_answer_tokens=1
        )
        with Bench(target, None, measurement=measurement, journal=Journal(progress=self.progress)).opened() as bench:
            bench.calibrate()
            probe = bench.probes[0]
            return tuple(probe.send(bench.long_prompt(), max_tokens=ANSWER_TOKENS).text for _ in range(self.prompts))

    def compare(self, target: Loaded, expected: tuple[str, ...], *, clock: Clock) -> Answers:
        """The release's answers to prompts that are new to it, and again, beside those expected.

        Raises:
            HarnessError: a prompt was not answered, or the counters cannot be read.
        """
        cold = self.ask(target)
        before = settled(target, clock)
        warm = self.ask(target)
        loaded = settled(target, clock).since(before)
        return Answers(expected=expected, cold=cold, warm=warm, loaded_tokens=loaded.external_tokens)
