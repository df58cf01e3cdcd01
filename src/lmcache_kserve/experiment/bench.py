"""What every stage of an experiment needs: the replicas, prompts of the right size, and the backend's state."""

import secrets
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress

from lmcache_kserve.errors import HarnessError
from lmcache_kserve.evidence import Pass, ReplicaFacts, full_chunk_tokens
from lmcache_kserve.experiment.journal import Journal
from lmcache_kserve.experiment.measurement import Measurement
from lmcache_kserve.experiment.probe import Probe, request_ids
from lmcache_kserve.experiment.prompts import PromptSource, words_for
from lmcache_kserve.secrets import redact
from lmcache_kserve.target import Contents, Replica, Target
from lmcache_kserve.waiting import Clock, Pending, SystemClock, WaitTimeoutError, wait_for

_PROBE_WORDS = 300
_CONTEXT_MARGIN = 16
_ENDING_WORDS = 16
_SETTLE_TIMEOUT_S = 10.0
_SETTLE_DELAY_S = 0.25
_SETTLED_POLLS = 8
"""A backend under load takes in nothing for a second and goes on."""
_TELLING = ("LMCACHE_", "VLLM_", "OMP_", "KMP_", "PYTHONHASHSEED")


class Bench:
    """Open clients to every engine of an experiment, and its prompts."""

    def __init__(
        self,
        target: Target,
        baseline: Target | None,
        *,
        measurement: Measurement,
        journal: Journal,
        clock: Clock | None = None,
    ) -> None:
        if not target.replicas:
            raise HarnessError("the release has no replica: set predictor.replicas to 2 or more")
        self.target = target
        self.measurement = measurement
        self.journal = journal
        self.clock = clock or SystemClock()
        self.seed = secrets.randbits(64) if measurement.seed is None else measurement.seed
        self.prompts = PromptSource(self.seed)
        ids = request_ids(secrets.randbits(64))
        self._targets = [target] if baseline is None else [target, baseline]
        self.probes = [self._probe(target, index, ids) for index in range(len(target.replicas))]
        self.baseline = self._probe(baseline, 0, ids) if baseline else None
        self._long_words = self._short_words = self._uncached_words = 1
        self._sized = (1, 1)
        """Words and tokens of the same prompt."""

    def _probe(self, target: Target, index: int, ids: Iterator[str]) -> Probe:
        return Probe(
            target,
            index,
            ids=ids,
            journal=self.journal,
            clock=self.clock,
            log_timeout=self.measurement.log_timeout_s,
        )

    @contextmanager
    def opened(self) -> Iterator["Bench"]:
        """Close every client at the end."""
        with ExitStack() as stack:
            for probe in [*self.probes, *([self.baseline] if self.baseline else [])]:
                stack.callback(probe.close)
            yield self

    def calibrate(self) -> None:
        """Find out how many words make a prompt of the wanted length, by one request to every engine.

        Raises:
            HarnessError: an engine does not answer, does not serve the model, or its context is too short.
        """
        probe = self.probes[0]
        context = self._context(probe)
        text = self.prompts.fresh(_PROBE_WORDS)
        tokens = probe.send(text, max_tokens=1).prompt_tokens
        answer = max(self.measurement.answer_tokens, self.measurement.kill_answer_tokens)
        limit = (context or self.measurement.prompt_tokens * 100) - answer - _CONTEXT_MARGIN
        if limit < self.measurement.answer_tokens:
            raise HarnessError(
                f"a context of {context} tokens is too short for answers of {answer}: raise model.maxModelLen, "
                "or give a smaller --answer-tokens"
            )
        self._sized = (_PROBE_WORDS, tokens)
        short = max(self.measurement.traffic_tokens, 2 * self.target.chunk_size + _CONTEXT_MARGIN)
        self._long_words = self.words(min(self.measurement.prompt_tokens, limit))
        # The nonce takes as many tokens again as a few words, hence half a chunk.
        self._uncached_words = self.words(self.target.chunk_size // 2)
        self._short_words = self.words(min(short, limit))

    def _context(self, probe: Probe) -> int | None:
        """The model's context length, from the server's list of models or from its arguments."""
        name = self.target.model_name
        served = probe.client.models()
        model = next((card for card in served if card.name == name), None)
        if model is None:
            names = ", ".join(card.name for card in served) or "nothing"
            raise HarnessError(f"{probe.name} does not serve the model {name!r} but {names}: set model.name")
        return model.max_tokens or _argued_context(probe.replica)

    @property
    def has_backend(self) -> bool:
        """Whether the release has a remote backend."""
        return self.target.backend_type != "none"

    @property
    def shared(self) -> bool:
        """Whether replicas share chunks: through a backend, or in the memory of one LMCache server."""
        servers = [probe.replica.cache_server for probe in self.probes]
        return self.has_backend or (len(servers) > 1 and None not in servers and len(set(servers)) == 1)

    def long_prompt(self) -> str:
        """A fresh prompt of the measured length."""
        return self.prompts.fresh(self._long_words)

    def short_prompt(self) -> str:
        """A fresh prompt of the traffic's length."""
        return self.prompts.fresh(self._short_words)

    def words(self, tokens: int) -> int:
        """How many words make a prompt of about `tokens` tokens, never more; known once it is calibrated."""
        words, counted = self._sized
        return words_for(tokens, probe_words=words, probe_tokens=counted)

    def related_prompts(self, count: int) -> list[str]:
        """Fresh prompts with a common beginning: an ever longer share of a measured prompt, and an own ending."""
        return self.prompts.related(max(count, self._long_words - _ENDING_WORDS), count, ending=_ENDING_WORDS)

    def uncached_prompts(self, count: int) -> list[str]:
        """Fresh prompts that are shorter than a chunk, as far as a prompt can be that short."""
        return [self.prompts.fresh(self._uncached_words) for _ in range(count)]

    def chunks(self, prompt_tokens: int) -> int:
        """Whole LMCache chunks in a prompt."""
        return full_chunk_tokens(prompt_tokens, self.target.chunk_size) // self.target.chunk_size

    def contents(self) -> Contents:
        """What the backend holds now.

        Raises:
            HarnessError: the target cannot reach into the backend.
        """
        if self.target.backend is None:
            raise HarnessError(f"a backend of type {self.target.backend_type} cannot be looked into from here")
        return self.target.backend.contents()

    def expected_entries(self, prompt_tokens: int, contents: Contents) -> int:
        """Objects that storing a fresh prompt adds to the backend."""
        return self.chunks(prompt_tokens) * contents.entries_per_chunk * self.workers

    @property
    def workers(self) -> int:
        """Workers of a replica, each of which stores its own part of a chunk."""
        return engine_facts(self.probes[0].replica, "replica", self.target.secrets).world_size

    def store(self, probe: Probe, prompt: str, *, max_tokens: int | None = None) -> Pass:
        """Send a fresh prompt and wait until the backend has what the replica logged as stored.

        The log line comes when the chunks are handed to the client of the backend, which goes on sending them.
        """
        before = self._peek()
        sent = probe.store(prompt, max_tokens=max_tokens or self.measurement.answer_tokens)
        if before is None:
            return sent
        wanted = (before.entries or 0) + self.expected_entries(sent.prompt_tokens, before)
        sizes: list[int] = []

        def taken_in() -> bool | Pending:
            now = self._peek()
            if now is None or (now.entries is not None and now.entries >= wanted):
                return True
            sizes.append(now.size_bytes if now.entries is None else now.entries)
            quiet = sizes[-_SETTLED_POLLS:] == [sizes[-1]] * _SETTLED_POLLS
            return quiet or Pending(f"{now.entries} entries of {wanted}, {now.size_bytes} bytes")

        with suppress(WaitTimeoutError):  # what is missing then shows as missing hits
            wait_for(
                taken_in,
                timeout=_SETTLE_TIMEOUT_S,
                delay=_SETTLE_DELAY_S,
                describe="the backend to take in what was stored",
                clock=self.clock,
            )
        return sent

    def _peek(self) -> Contents | None:
        """The backend's contents, or None where they cannot be read: the check of its growth reports why."""
        try:
            return self.contents() if self.target.backend else None
        except (HarnessError, OSError):
            return None

    def facts(self) -> tuple[ReplicaFacts, ...]:
        """How every engine was started, the baseline last, without secrets."""
        hidden = [secret for target in self._targets for secret in target.secrets]
        facts = [engine_facts(replica, "replica", hidden) for replica in self.target.replicas]
        if self.baseline:
            facts.append(engine_facts(self.baseline.replica, "baseline", hidden))
        return tuple(facts)


def engine_facts(replica: Replica, role: str, hidden: Sequence[str]) -> ReplicaFacts:
    """How one engine was started, with the `hidden` values replaced."""
    return ReplicaFacts(
        name=replica.name,
        role=role,
        arguments=tuple(redact(argument, hidden) for argument in replica.arguments),
        environment={
            name: redact(value, hidden)
            for name, value in sorted(replica.environment.items())
            if name.startswith(_TELLING)
        },
        cache_server=replica.cache_server,
    )


def _argued_context(replica: Replica) -> int | None:
    value = engine_facts(replica, "replica", ()).option("max-model-len")
    return int(value) if value and value.isdecimal() else None
