"""What an experiment saw: values only, nothing judged.

Times are timezone-aware wall-clock moments or durations in seconds; lengths are in tokens. What could not be read is
`Unreadable` with the reason, so that a verdict can fail on it; None means that it was not tried.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from lmcache_kserve.lmcache.arguments import option
from lmcache_kserve.lmcache.logs import RequestLog
from lmcache_kserve.target import Contents, LogLine

_GRACE = timedelta(seconds=5)


@dataclass(frozen=True, slots=True)
class Unreadable:
    """In place of evidence that could not be obtained."""

    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Pass:
    """One prompt through one replica.

    Attributes:
        replica: the replica's name.
        request_id: the id sent with the request.
        at: when it was sent.
        prompt_tokens: length of the prompt.
        ttft_s: seconds to the first token.
        total_s: seconds to the end.
        text: the generated text.
        log: what LMCache logged about it; None for an engine without LMCache.
    """

    replica: str
    request_id: str
    at: datetime
    prompt_tokens: int
    ttft_s: float
    total_s: float
    text: str
    log: RequestLog | Unreadable | None = None

    @property
    def hit_tokens(self) -> int:
        """Tokens that LMCache found for this request, 0 where its log does not say."""
        return self.log.hit_tokens if isinstance(self.log, RequestLog) else 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """One fresh prompt, measured cold and warm, beside an engine without LMCache.

    Attributes:
        index: from 0.
        order: the measurements in the order they were made.
        cold: first time, on one replica.
        warm: second time, on the other replica (on the same one without a shared backend).
        no_cache: first time on the engine without LMCache; None without a baseline.
        limit: second time there: its own prefix cache holds everything, the best that any cache can do.
        no_cache_again: another fresh prompt of the same length there: the noise of `no_cache`.
    """

    index: int
    order: tuple[str, ...]
    cold: Pass
    warm: Pass
    no_cache: Pass | None = None
    limit: Pass | None = None
    no_cache_again: Pass | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplicaFacts:
    """How an engine was started; secrets are replaced by `***`.

    Attributes:
        name: the replica's name.
        role: `replica`, or `baseline` for the engine without LMCache.
        arguments: its command line.
        environment: the variables that matter to caching and to a fair comparison.
        cache_server: the LMCache server that it uses in mode multiprocess, else None.
    """

    name: str
    role: str
    arguments: tuple[str, ...]
    environment: Mapping[str, str]
    cache_server: str | None = None

    def option(self, name: str) -> str | None:
        """The value of a server option (`tensor-parallel-size`), in any spelling that vLLM and KServe accept."""
        return option(self.arguments, f"--{name}")

    @property
    def world_size(self) -> int:
        """Workers that each hold a part of the KV cache: tensor times pipeline parallel size."""
        sizes = (self.option(name) for name in ("tensor-parallel-size", "pipeline-parallel-size"))
        product = 1
        for size in sizes:
            product *= int(size) if size and size.isdecimal() else 1
        return product


@dataclass(frozen=True, slots=True, kw_only=True)
class BackendGrowth:
    """The backend before and after the measured pairs, and the chunks that their cold passes should have added."""

    before: Contents
    after: Contents
    chunks: int
    workers: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ExternalHits:
    """`vllm:external_prefix_cache_hits_total`, summed over the replicas, over the measured pairs, in tokens."""

    before: float
    after: float
    logged_hit_tokens: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One try of a client to get an answer; `error` is None where it got one."""

    replica: str
    request_id: str
    at: datetime
    error: str | None = None
    text: str | None = None
    ttft_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One request of the steady traffic.

    Attributes:
        replica: who was asked.
        request_id: the id sent with the request.
        at: when.
        phase: `before`, `during` or `after` the fault.
        error: why there was no answer, else None.
        correct: whether the text was the one this prompt gave before the fault; None without an answer.
        total_s: seconds to the end of the answer, or to the error.
        hit_tokens: what LMCache found for it; None where its log does not say.
    """

    replica: str
    request_id: str
    at: datetime
    phase: str
    error: str | None
    correct: bool | None
    total_s: float
    hit_tokens: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplicaKill:
    """A replica killed in mid-request.

    Attributes:
        victim: who was killed.
        interrupted: whether the request in flight was really cut off.
        attempts: the tries of that one request, in order; a second one is the client's retry.
        expected: the text it has to begin with.
        survivors: the steady traffic on the other replicas, from before the kill until the victim was back.
        restart_s: seconds until the victim was ready again.
    """

    victim: str
    interrupted: bool
    attempts: tuple[Attempt, ...]
    expected: str
    survivors: tuple[Answer, ...]
    restart_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Restart:
    """The same prompt on a replica that was started anew with empty memory; `expected` is the text it must give."""

    repeated: Pass
    expected: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Outage:
    """The backend, or an LMCache server, stopped and started again during steady traffic on every replica.

    Attributes:
        answers: the traffic's requests.
        client_reconnects: whether its client is expected to find it again.
        down_s: seconds from its stop until it was ready again.
        hits_returned_s: seconds from then until a fresh prompt of one replica hit on another; None where it did not.
        probes: fresh prompts tried for that.
    """

    answers: tuple[Answer, ...]
    client_reconnects: bool
    down_s: float
    hits_returned_s: float | None
    probes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplicaLog:
    """A replica's whole log, without colours; secrets are replaced, and the lines that held one are listed."""

    replica: str
    lines: tuple[LogLine, ...]
    secret_lines: tuple[LogLine, ...]


@dataclass(frozen=True, slots=True)
class FaultWindow:
    """A time in which connection errors are what we asked for; open to the end where `end` is None."""

    start: datetime
    end: datetime | None
    reason: str

    def covers(self, time: datetime) -> bool:
        """Whether an error at `time` may come from it, a moment added: clients time out, lines are buffered."""
        return self.start - _GRACE <= time and (self.end is None or time <= self.end + _GRACE)


@dataclass(frozen=True, slots=True)
class Moment:
    """One entry of the timeline: what happened when; `kind` is `stage`, `fault`, `recovery` or `note`."""

    at: datetime
    kind: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """What was measured: the facts a target tells about itself."""

    kind: str
    model_name: str
    mode: str
    backend_type: str
    chunk_size: int
    versions: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """Everything that one experiment saw.

    Attributes:
        subject: the target's own facts.
        started: when the experiment began.
        finished: when it ended.
        seed: of the prompts; the same seed makes the same prompts.
        wanted_pairs: measured pairs that were asked for.
        replicas: how every engine was started, the baseline last.
        warmups: pairs that were measured and set aside.
        pairs: the measured pairs.
        growth: the backend over the measured pairs.
        external_hits: vLLM's own count over the measured pairs.
        kill: the killed replica.
        restart: the replica that came back.
        server_outage: the outage of an LMCache server of mode multiprocess.
        outage: the backend's outage.
        logs: every replica's log.
        faults: when errors were provoked.
        timeline: what happened when.
        not_applicable: checks that cannot apply to this release, with the reason.
        stopped: why the experiment ended before its end; None where it did not.
    """

    subject: Subject
    started: datetime
    finished: datetime
    seed: int
    wanted_pairs: int
    replicas: tuple[ReplicaFacts, ...] = ()
    warmups: tuple[Pair, ...] = ()
    pairs: tuple[Pair, ...] = ()
    growth: BackendGrowth | Unreadable | None = None
    external_hits: ExternalHits | Unreadable | None = None
    kill: ReplicaKill | Unreadable | None = None
    restart: Restart | Unreadable | None = None
    server_outage: Outage | Unreadable | None = None
    outage: Outage | Unreadable | None = None
    logs: tuple[ReplicaLog, ...] | Unreadable = ()
    faults: tuple[FaultWindow, ...] = ()
    timeline: tuple[Moment, ...] = ()
    not_applicable: Mapping[str, str] = field(default_factory=dict)
    stopped: str | None = None

    @property
    def shared_backend(self) -> bool:
        """Whether replicas can share anything at all: a backend, or the memory of one server."""
        return self.subject.backend_type != "none" or self.share_a_server(facts.name for facts in self.engines)

    def share_a_server(self, replicas: Iterable[str]) -> bool:
        """Whether all these replicas, at least two, use the same LMCache server of mode multiprocess."""
        names = set(replicas)
        servers = {facts.cache_server for facts in self.engines if facts.name in names}
        return len(names) > 1 and len(servers) == 1 and None not in servers

    @property
    def engines(self) -> Sequence[ReplicaFacts]:
        """The engines with LMCache."""
        return [facts for facts in self.replicas if facts.role == "replica"]

    @property
    def measured(self) -> tuple[Pair, ...]:
        """The measured pairs, or the warm-up pairs where the experiment did not get further."""
        return self.pairs or self.warmups


def full_chunk_tokens(prompt_tokens: int, chunk_size: int) -> int:
    """Tokens of a prompt that LMCache can store: its whole chunks."""
    return prompt_tokens // chunk_size * chunk_size
