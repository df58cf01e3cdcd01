"""What a comparison of caches under load saw: values only, nothing judged. Times are seconds, lengths are tokens."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

LONG_DOCUMENT = "long-doc-qa"
CHAT = "multi-round-chat"
DOCUMENTS = "long-doc-permutator"
WORKLOADS = (LONG_DOCUMENT, CHAT, DOCUMENTS)
"""Names of `lmcache bench engine`: a long document asked about again, a chat, documents in ever another order."""

ABOVE, BELOW = "above", "below"
PRESSURES = (ABOVE, BELOW)
"""Whether the working set is larger or smaller than the engine's own cache."""

ENGINE, LMCACHE, BACKEND = "engine", "lmcache", "backend"
PARTS = (ENGINE, LMCACHE, BACKEND)
"""The parts of a release. In mode in-process the engine's processes hold LMCache: its share counts as the engine's."""

NO_CACHE = "no cache"
PREFIX_CACHE = "prefix cache"
"""The arms without LMCache: nothing is kept, and what the engine keeps by itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One load, which every arm gets.

    Attributes:
        workload: its name in `lmcache bench engine`.
        prompt_tokens: length of a prompt that the tool is asked for; a chat grows from there.
        concurrency: requests on their way at once; for a chat, new requests in a second.
        pressure: whether the working set is above or below the engine's own cache.
        working_set_tokens: tokens of all documents or histories.
    """

    workload: str
    prompt_tokens: int
    concurrency: float
    pressure: str
    working_set_tokens: int

    @property
    def documents(self) -> int:
        """How many documents or histories the working set has."""
        return max(1, self.working_set_tokens // self.prompt_tokens)

    def __str__(self) -> str:
        """For the screen, and for a folder."""
        return f"{self.workload}-{self.prompt_tokens}-{self.concurrency:g}-{self.pressure}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One request of the tool.

    Attributes:
        name: the tool's name for it; the same load has the same names on every arm.
        ttft_s: seconds to the first token.
        total_s: seconds to the end of the answer.
        prompt_tokens, answer_tokens: as the engine counts them.
        sent_s: when it was sent, on the tool's clock.
        error: why there was no answer; empty where there was one.
    """

    name: str
    ttft_s: float
    total_s: float
    prompt_tokens: int
    answer_tokens: int
    sent_s: float
    error: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """Counters of a release, or their growth. None where the release has no such counter.

    Attributes:
        prompt_tokens: tokens of prompts.
        own_tokens: of these, what the engine's own prefix cache had.
        external_tokens: what LMCache had beyond that.
        l1_tokens, l2_tokens: what lookups found in the memory and in the backend of LMCache's server, in mode
            multiprocess.
        stored_bytes: size of the backend's contents.
    """

    prompt_tokens: float
    own_tokens: float
    external_tokens: float
    l1_tokens: float | None = None
    l2_tokens: float | None = None
    stored_bytes: int | None = None

    def since(self, before: "Counts") -> "Counts":
        """What was added since `before`."""
        return Counts(
            prompt_tokens=self.prompt_tokens - before.prompt_tokens,
            own_tokens=self.own_tokens - before.own_tokens,
            external_tokens=self.external_tokens - before.external_tokens,
            l1_tokens=_less(self.l1_tokens, before.l1_tokens),
            l2_tokens=_less(self.l2_tokens, before.l2_tokens),
            stored_bytes=None
            if self.stored_bytes is None or before.stored_bytes is None
            else self.stored_bytes - before.stored_bytes,
        )


def _less(now: float | None, before: float | None) -> float | None:
    """A series appears with its first use: what was not there before was zero."""
    return None if now is None else now - (before or 0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Use:
    """What the processes of one part took.

    Attributes:
        cpu_s: processor seconds.
        peak_bytes: the most resident memory that a sample saw; pages that processes share count for each.
    """

    cpu_s: float
    peak_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """One pass of the tool over a cell.

    Attributes:
        number: 0 for the pass that fills the caches and counts for nothing else, from 1 on for measured ones.
        requests: what the tool sent, in its order.
        counts: what the counters grew by.
        use: by part of the release, what its processes took; the tool's own start is in it.
    """

    number: int
    requests: tuple[Request, ...]
    counts: Counts
    use: Mapping[str, Use]

    @property
    def seconds(self) -> float:
        """From the first request to the end of the last answer."""
        begin = min(request.sent_s for request in self.requests)
        return max(request.sent_s + request.total_s for request in self.requests) - begin

    @property
    def tokens(self) -> int:
        """Tokens of prompts and answers."""
        return sum(request.prompt_tokens + request.answer_tokens for request in self.requests)


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """A cell on an arm; `rounds` has the filling pass first, where there was one."""

    cell: Cell
    rounds: tuple[Round, ...]

    @property
    def measured(self) -> Sequence[Round]:
        """The rounds that count."""
        return [one for one in self.rounds if one.number > 0]

    def ttfts(self, rounds: Iterable[Round] | None = None) -> dict[tuple[int, str], float]:
        """TTFT in seconds by number of the round and name of the request."""
        chosen = self.measured if rounds is None else rounds
        return {(one.number, request.name): request.ttft_s for one in chosen for request in one.requests}


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """Fixed prompts, asked on the arm without a cache and twice on another arm.

    Attributes:
        expected: answers without a cache.
        cold: answers of the arm when it sees the prompts for the first time.
        warm: its answers when it sees them again.
        loaded_tokens: what LMCache had for the second time, so that it had a part in the answers.
    """

    expected: tuple[str, ...]
    cold: tuple[str, ...]
    warm: tuple[str, ...]
    loaded_tokens: float

    @property
    def different(self) -> int:
        """Prompts with an answer that is not the expected one."""
        return sum(
            len({expected, cold, warm}) > 1
            for expected, cold, warm in zip(self.expected, self.cold, self.warm, strict=True)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Arm:
    """One way to serve, under every load.

    Attributes:
        name: `no cache`, `prefix cache`, or backend and mode.
        backend: the value of `remoteBackend.type`.
        mode: the value of `lmcache.mode`; `none` without LMCache.
        measured: the cells that were measured.
        answers: whether it answers as the arm without a cache does; None where it was not asked.
        problem: why it could not be measured to the end; None where it was.
    """

    name: str
    backend: str
    mode: str
    measured: tuple[Measured, ...]
    answers: Answers | None = None
    problem: str | None = None

    def cell(self, cell: Cell) -> Measured | None:
        """What was measured of a cell, or None."""
        return next((one for one in self.measured if one.cell == cell), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Everything that one comparison saw.

    Attributes:
        cells: the loads that were asked for.
        arms: the arm without a cache first; planned ones that were never reached are missing.
        planned: names of all arms that were asked for.
        engine_cache_tokens: what the engine keeps by itself.
        token_bytes: bytes of KV cache for one token.
        rounds: measured rounds of each cell.
        versions: versions of what ran, by name.
    """

    cells: tuple[Cell, ...]
    arms: tuple[Arm, ...]
    planned: tuple[str, ...]
    engine_cache_tokens: int
    token_bytes: float
    rounds: int
    versions: Mapping[str, str]

    @property
    def complete(self) -> bool:
        """Whether every arm was measured under every load."""
        return tuple(arm.name for arm in self.arms) == self.planned and all(
            arm.problem is None and all(arm.cell(cell) for cell in self.cells) for arm in self.arms
        )

    def arm(self, name: str) -> Arm | None:
        """The arm of that name, or None."""
        return next((arm for arm in self.arms if arm.name == name), None)
