"""One replica under measurement: sends requests to it, and reads what it logged about each request."""

import itertools
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta

from lmcache_kserve.errors import HarnessError
from lmcache_kserve.evidence import Pass, Unreadable, full_chunk_tokens
from lmcache_kserve.experiment.client import CompletionClient
from lmcache_kserve.experiment.journal import Journal
from lmcache_kserve.lmcache.arguments import api_key
from lmcache_kserve.lmcache.logs import RequestLog, request_log
from lmcache_kserve.target import Replica, Target
from lmcache_kserve.waiting import Clock, Pending, WaitTimeoutError, wait_for

_CLOCK_SKEW = timedelta(seconds=5)
"""A node's clock may differ from ours: log lines are asked for from a little earlier."""


def request_ids(run: int) -> Iterator[str]:
    """Endless request ids, unique across runs; of one width, so that none is a part of another."""
    # No generator: several threads may ask at the same moment, which a generator refuses.
    return map(f"lmk-{run:016x}-{{:06d}}".format, itertools.count())


class Probe:
    """A replica of a target with an open client.

    Attributes:
        cache_salt: the tenant whose requests it sends; empty for none.
    """

    def __init__(  # noqa: PLR0913 - a probe needs all of its surroundings, by name
        self,
        target: Target,
        index: int,
        *,
        ids: Iterator[str],
        journal: Journal,
        clock: Clock,
        log_timeout: float,
    ) -> None:
        self._target = target
        self.index = index
        self._ids = ids
        self._journal = journal
        self._clock = clock
        self._log_timeout = log_timeout
        self.cache_salt = ""
        self._client = self._open()

    @property
    def replica(self) -> Replica:
        """The replica as it is now; a restart may have put a new one in its place."""
        return self._target.replicas[self.index]

    @property
    def name(self) -> str:
        """The replica's name."""
        return self.replica.name

    @property
    def client(self) -> CompletionClient:
        """The replica's client, with a connection that was used before."""
        return self._client

    def _open(self) -> CompletionClient:
        replica = self.replica
        key = api_key(replica.arguments, replica.environment)
        return CompletionClient(replica.openai_url, model=self._target.model_name, api_key=key)

    def reopen(self) -> None:
        """Connect anew, after a restart."""
        self._client.close()
        self._client = self._open()

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def next_id(self) -> str:
        """A request id that was never used."""
        return next(self._ids)

    def send(self, prompt: str, *, max_tokens: int, request_id: str | None = None) -> Pass:
        """Send one prompt; the log is not read yet.

        Raises:
            RequestError: there was no proper answer.
        """
        at = self._journal.now()
        name = self.name
        answer = self._client.complete(
            prompt, request_id=request_id or self.next_id(), max_tokens=max_tokens, cache_salt=self.cache_salt
        )
        return Pass(
            replica=name,
            request_id=answer.request_id,
            at=at,
            prompt_tokens=answer.prompt_tokens,
            ttft_s=answer.ttft_s,
            total_s=answer.total_s,
            text=answer.text,
        )

    def store(self, prompt: str, *, max_tokens: int) -> Pass:
        """Send a prompt and wait until the log says that all its whole chunks are stored."""
        sent = self.send(prompt, max_tokens=max_tokens)
        wanted = full_chunk_tokens(sent.prompt_tokens, self.chunk_size)
        return self._with_log(sent, lambda log: log.lookup is not None and log.hit_tokens + log.stored_tokens >= wanted)

    def load(self, prompt: str, *, max_tokens: int) -> Pass:
        """Send a prompt and wait until the log says what was found and, if anything was, what was loaded."""
        sent = self.send(prompt, max_tokens=max_tokens)
        return self._with_log(
            sent, lambda log: log.lookup is not None and (not log.hit_tokens or log.retrieved_tokens is not None)
        )

    def look_up(self, prompt: str, *, max_tokens: int) -> Pass:
        """Send a prompt and wait until the log says what was found; no hit is a hit of no tokens."""
        sent = self.send(prompt, max_tokens=max_tokens)
        return self._with_log(sent, lambda log: log.lookup is not None and log.lookup.hit_tokens is not None)

    @property
    def chunk_size(self) -> int:
        """Tokens of one cached chunk."""
        return self._target.chunk_size

    def request_log(self, request_id: str, *, since: datetime | None = None) -> RequestLog:
        """What the replica's log says about a request, in the lines at or after `since`.

        Raises:
            HarnessError: the log cannot be read.
        """
        return request_log(self.replica.logs(since=since), request_id, chunk_size=self.chunk_size)

    def _with_log(self, sent: Pass, complete: Callable[[RequestLog], bool]) -> Pass:
        """Attach what the log says, once `complete` is true of it or the time is up."""
        last = RequestLog()

        def ready() -> RequestLog | Pending:
            nonlocal last
            last = self.request_log(sent.request_id, since=sent.at - _CLOCK_SKEW)
            return last if complete(last) else Pending(str(last))

        try:
            log = wait_for(
                ready,
                timeout=self._log_timeout,
                delay=0.1,
                describe=f"LMCache's log lines of request {sent.request_id} on {sent.replica}",
                clock=self._clock,
            )
        except WaitTimeoutError:
            return replace(sent, log=last)
        except (HarnessError, OSError) as error:
            return replace(sent, log=Unreadable(f"the log of {sent.replica}: {error}"))
        return replace(sent, log=log)
