"""What an experiment saw: values only, nothing judged.

Times are timezone-aware wall-clock moments or durations in seconds. Lengths are in tokens. `Unreadable` stands for
evidence that could not be read, with the reason, so that a verdict can fail on it. None stands for evidence that the
experiment did not try to obtain.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from lmcache_kserve.lmcache.arguments import option, workers
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
        at: when the request was sent.
        prompt_tokens: length of the prompt.
        ttft_s: seconds to the first token.
        total_s: seconds to the end of the answer.
        text: the generated text.
        log: what LMCache logged about the request; None for an engine without LMCache.
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
        """Tokens that LMCache found for this request; 0 where the log does not say."""
        return self.log.hit_tokens if isinstance(self.log, RequestLog) else 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """One fresh prompt, measured cold and warm, beside an engine without LMCache (the baseline).

    Attributes:
        index: number of the pair, from 0.
        order: names of the measurements, in the order they were made.
        cold: the prompt's first pass, on one replica.
        warm: the prompt's second pass, on another replica; on the same replica where replicas share no chunks.
        no_cache: the prompt's first pass on the baseline; None without a baseline.
        limit: the prompt's second pass on the baseline, from vLLM's own prefix cache: no cache can do better.
        no_cache_again: another fresh prompt of the same length on the baseline. It shows the noise of `no_cache`.
    """

    index: int
    order: tuple[str, ...]
    cold: Pass
    warm: Pass
    no_cache: Pass | None = None
    limit: Pass | None = None
    no_cache_again: Pass | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """The answer to a prompt asked alone, and the answer to the same prompt beside other requests."""

    alone: str
    together: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AtOnce:
    """Requests to one replica at the same time.

    Attributes:
        cached: prompts that another replica computed, with a common beginning of different lengths.
        control: prompts that are too short for a chunk, so that LMCache has no part in their answers.
    """

    cached: tuple[Compared, ...]
    control: tuple[Compared, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplicaFacts:
    """How an engine was started. Secrets are replaced by `***`.

    Attributes:
        name: the replica's name.
        role: `replica`, or `baseline` for the engine without LMCache.
        arguments: the engine's command line.
        environment: the variables that matter to caching and to a fair comparison.
        cache_server: name of the LMCache server that the engine uses in mode multiprocess, else None.
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
    def hash_seed(self) -> str | None:
        """PYTHONHASHSEED; None where the engine has no fixed number."""
        seed = self.environment.get("PYTHONHASHSEED")
        return seed if seed and seed.isdecimal() else None

    @property
    def world_size(self) -> int:
        """Workers that each hold a part of one copy's KV cache: tensor times pipeline times prefill context size."""
        return workers(self.arguments).world_size


@dataclass(frozen=True, slots=True, kw_only=True)
class BackendGrowth:
    """The backend before and after the measured pairs.

    Attributes:
        before, after: what the backend held before the first measured pair and after the last one.
        chunks: chunks in the prompts of the measured pairs.
        workers: workers of a replica; each stores its own part of a chunk.
    """

    before: Contents
    after: Contents
    chunks: int
    workers: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ExternalHits:
    """`vllm:external_prefix_cache_hits_total` in tokens, summed over the replicas.

    Attributes:
        before, after: the counter before the first measured pair and after the last one.
        logged_hit_tokens: hit tokens of the measured pairs in LMCache's logs.
    """

    before: float
    after: float
    logged_hit_tokens: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One try of a client to get an answer; `error` is None where the client got an answer."""

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
        replica: the replica that was asked.
        request_id: the id sent with the request.
        at: when the request was sent.
        phase: `before`, `during` or `after` the fault.
        error: why the replica gave no answer, else None.
        correct: whether the prompt gave the same text before the fault; None without an answer.
        total_s: seconds to the end of the answer, or to the error.
        hit_tokens: tokens that LMCache found for the request; None where the log does not say.
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
    """A replica killed during a request.

    Attributes:
        victim: the replica that was killed.
        interrupted: whether the kill cut the request off.
        attempts: the client's tries of that request, in order; the second is the retry.
        expected: the text that the answer has to begin with.
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
    """The same prompt on a replica that was started again with empty memory.

    Attributes:
        repeated: the pass of the new replica.
        expected: the text that the new replica has to answer.
    """

    repeated: Pass
    expected: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ScaleOut:
    """The first requests of a new replica, beside those of the replica whose place it takes.

    Attributes:
        old: the replica that has served for a while, asked for prompts that another replica computed.
        shared: a new replica in its place, asked for the same prompts.
        alone: one more new replica, asked for prompts that nobody computed, as if there were no shared cache.
        start_s: seconds until the first new replica was ready.
    """

    old: tuple[Pass, ...]
    shared: tuple[Pass, ...]
    alone: tuple[Pass, ...]
    start_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Outage:
    """The backend, or an LMCache server, stopped and started again during steady traffic on every replica.

    Attributes:
        answers: the traffic's requests.
        client_reconnects: whether LMCache's client is expected to connect again by itself.
        down_s: seconds from the stop until the stopped part was ready again.
        hits_returned_s: seconds from then until a fresh prompt of one replica hit on another; None without such a hit.
        probes: fresh prompts that were tried for such a hit.
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
    """A time in which the experiment provoked connection errors; `end` is None where it lasts to the end of the run."""

    start: datetime
    end: datetime | None
    reason: str

    def covers(self, time: datetime) -> bool:
        """Whether an error at `time` may come from this fault. Timeouts and buffers get five seconds on both sides."""
        return self.start - _GRACE <= time and (self.end is None or time <= self.end + _GRACE)


@dataclass(frozen=True, slots=True)
class Moment:
    """One entry of the timeline: what happened when; `kind` is `stage`, `fault`, `recovery` or `note`."""

    at: datetime
    kind: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """What was measured: the facts that a target tells about itself.

    Attributes:
        kind: `local` or `cluster`.
        model_name: the served model name.
        mode: the value of `lmcache.mode`.
        backend_type: the value of `remoteBackend.type`.
        backend_controllable: whether the release runs its backend, so that the experiment can stop it; None where the
            target has no access to a backend.
        chunk_size: LMCache's chunk size in tokens.
        versions: versions of what runs, by name.
    """

    kind: str
    model_name: str
    mode: str
    backend_type: str
    backend_controllable: bool | None = None
    chunk_size: int
    versions: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """Everything that one experiment saw.

    Attributes:
        subject: the target's own facts.
        started, finished: when the experiment began and ended.
        seed: seed of the prompts; the same seed makes the same prompts.
        wanted_pairs: measured pairs that the user asked for.
        wanted_faults, wanted_scale_out: whether the user asked for them (no `--no-faults`, `--scale-out`).
        replicas: how every engine was started, the baseline last.
        warmups: pairs that were measured and set aside.
        pairs: the measured pairs.
        growth: the backend over the measured pairs.
        external_hits: vLLM's own count of hits over the measured pairs.
        at_once: requests at the same time.
        scale_out: the first requests of a new replica.
        kill: the killed replica.
        restart: the replica that came back.
        server_outage: the outage of an LMCache server of mode multiprocess.
        outage: the backend's outage.
        logs: every replica's log.
        faults: when errors were provoked.
        timeline: what happened when.
        stopped: why the experiment ended early; None where it ran to its end.
    """

    subject: Subject
    started: datetime
    finished: datetime
    seed: int
    wanted_pairs: int
    wanted_faults: bool = True
    wanted_scale_out: bool = False
    replicas: tuple[ReplicaFacts, ...] = ()
    warmups: tuple[Pair, ...] = ()
    pairs: tuple[Pair, ...] = ()
    growth: BackendGrowth | Unreadable | None = None
    external_hits: ExternalHits | Unreadable | None = None
    at_once: AtOnce | Unreadable | None = None
    scale_out: ScaleOut | Unreadable | None = None
    kill: ReplicaKill | Unreadable | None = None
    restart: Restart | Unreadable | None = None
    server_outage: Outage | Unreadable | None = None
    outage: Outage | Unreadable | None = None
    logs: tuple[ReplicaLog, ...] | Unreadable = ()
    faults: tuple[FaultWindow, ...] = ()
    timeline: tuple[Moment, ...] = ()
    stopped: str | None = None

    @property
    def replicas_share(self) -> bool:
        """Whether replicas share chunks: through a backend, or in the memory of one LMCache server."""
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
        """The measured pairs; the warm-up pairs where the experiment ended before the first measured pair."""
        return self.pairs or self.warmups


def full_chunk_tokens(prompt_tokens: int, chunk_size: int) -> int:
    """Tokens of a prompt that LMCache can store: its whole chunks."""
    return prompt_tokens // chunk_size * chunk_size
