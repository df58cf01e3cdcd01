"""The mixed traffic of a soak: many clients, several ways to ask, and the one retry that a killed replica costs."""

import random
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from lmcache_kserve.errors import HarnessError
from lmcache_kserve.evidence.soak import Asked
from lmcache_kserve.experiment.client import RequestError
from lmcache_kserve.experiment.pool import Pool
from lmcache_kserve.experiment.probe import Probe

_WAYS = ("streamed", "whole", "cancelled")
_WAY_WEIGHTS = (5, 3, 2)
_UNWANTED_TOKENS = 256
"""Length of an answer that the client does not wait for."""
_PATIENCE_S = (0.05, 2.0)
"""Shorter than a prompt takes to compute, and longer: the client hangs up before the first token, or after it."""
_GRACE_S = 2.0
"""Seconds that an error leaves to requests on their way: most end, and none opens a connection that nobody closes."""
_EXCERPT = 80


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """How much the clients ask.

    Attributes:
        clients: how many there are: the most requests at once.
        pause_s: mean pause of a client between two requests. Two processors are then busy with traffic half of the
            time, and an engine that starts finds the other half.
        burst_s: every so many seconds all clients that pause ask at the same moment.
    """

    clients: int = 8
    pause_s: float = 4.0
    burst_s: float = 20.0


def agrees(text: str, known: str) -> bool:
    """Whether the beginning of an answer is that of the known answer.

    A busy engine sends several tokens at once, so the beginning may be longer than the answer that is known.
    """
    return text[: len(known)] == known[: len(text)]


class Rota:
    """The replicas that take requests, as the endpoints of a Service do."""

    def __init__(self, probes: Sequence[Probe]) -> None:
        self._lock = threading.Lock()
        self._probes = probes
        self._kills = {probe.index: 0 for probe in probes}
        self._away: set[int] = set()

    def pick(self, source: random.Random) -> tuple[Probe, int]:
        """A replica that takes requests, and how often it was killed so far.

        Raises:
            HarnessError: no replica takes requests.
        """
        with self._lock:
            present = [probe for probe in self._probes if probe.index not in self._away]
            if not present:
                raise HarnessError("no replica takes requests")
            probe = source.choice(present)
            return probe, self._kills[probe.index]

    def kills(self, probe: Probe) -> int:
        """How often a replica was killed so far."""
        with self._lock:
            return self._kills[probe.index]

    def leave(self, probe: Probe) -> None:
        """A replica is about to be killed; it gets no more requests."""
        with self._lock:
            self._away.add(probe.index)
            self._kills[probe.index] += 1

    def join(self, probe: Probe) -> None:
        """A replica is back."""
        with self._lock:
            self._away.discard(probe.index)


@dataclass(slots=True)
class _Count:
    now: int = 0
    most: int = 0


@dataclass(slots=True)
class MixedTraffic:
    """Clients that ask until told to stop. Use `running`.

    Attributes:
        pool: the prompts and their answers.
        rota: whom to ask.
        load: how much.
        seed: of each client's choices.
        begin: the moment, on `time.monotonic`, that all times count from.
    """

    pool: Pool
    rota: Rota
    load: Load
    seed: int
    begin: float
    _ended: threading.Event = field(default_factory=threading.Event)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _asked: list[Asked] = field(default_factory=list)
    _under_way: _Count = field(default_factory=_Count)

    @contextmanager
    def running(self) -> Iterator[None]:
        """Let the clients ask inside; at the end wait for what is on its way; an error waits two seconds."""
        threads = ThreadPoolExecutor(max_workers=self.load.clients, thread_name_prefix="client")
        clients: list[Future[None]] = [threads.submit(self._client, number) for number in range(self.load.clients)]
        try:
            yield
        except BaseException:
            self._ended.set()
            wait(clients, timeout=_GRACE_S)
            threads.shutdown(wait=False)  # the release ends next, and the requests that are left with it
            raise
        self._ended.set()
        threads.shutdown(wait=True)
        for client in clients:
            client.result()

    @property
    def asked(self) -> tuple[Asked, ...]:
        """The requests that have ended, in the order in which they were sent."""
        with self._lock:
            return tuple(sorted(self._asked, key=lambda one: one.at_s))

    @property
    def count(self) -> int:
        """Requests that have ended."""
        with self._lock:
            return len(self._asked)

    @property
    def bad(self) -> int:
        """Requests that have ended without an answer or with a wrong one."""
        with self._lock:
            return sum(one.error is not None or one.wrong is not None for one in self._asked)

    @property
    def most_at_once(self) -> int:
        """Most requests that were on their way at the same time."""
        with self._lock:
            return self._under_way.most

    def _client(self, number: int) -> None:
        source = random.Random(f"{self.seed} client {number}")  # noqa: S311 - repeatable on purpose
        while not self._ended.wait(self._pause(source)):
            asked = self._ask(source)
            with self._lock:
                self._asked.append(asked)

    def _pause(self, source: random.Random) -> float:
        passed = time.monotonic() - self.begin
        until_burst = self.load.burst_s - passed % self.load.burst_s
        return min(source.expovariate(1 / self.load.pause_s), until_burst)

    def _ask(self, source: random.Random) -> Asked:
        how = source.choices(_WAYS, _WAY_WEIGHTS)[0]
        prompt = source.randrange(len(self.pool.known))
        patience_s = source.uniform(*_PATIENCE_S)
        begin = time.monotonic()
        probe, kills = self.rota.pick(source)
        first = self._try(probe, how, prompt, patience_s)
        last = first
        if first.error and self.rota.kills(probe) > kills:
            other, _ = self.rota.pick(source)
            last = replace(self._try(other, how, prompt, patience_s), cut_off=first.error)
        return replace(last, at_s=begin - self.begin, total_s=time.monotonic() - begin)

    def _try(self, probe: Probe, how: str, prompt: int, patience_s: float) -> Asked:
        known = self.pool.known[prompt]
        request_id = probe.next_id()
        asked = Asked(request_id=request_id, replica=probe.name, how=how, prompt=prompt, at_s=0, total_s=0)
        with self._counted():
            try:
                match how:
                    case "cancelled":
                        text = probe.client.hang_up(
                            known.prompt, request_id=request_id, max_tokens=_UNWANTED_TOKENS, patience_s=patience_s
                        )
                        right = agrees(text, known.text)
                    case "whole":
                        text = probe.client.complete_whole(
                            known.prompt, request_id=request_id, max_tokens=self.pool.answer_tokens
                        ).text
                        right = text == known.text
                    case _:
                        text = probe.send(known.prompt, request_id=request_id, max_tokens=self.pool.answer_tokens).text
                        right = text == known.text
            except RequestError as error:
                return replace(asked, error=str(error))
        return asked if right else replace(asked, wrong=text[:_EXCERPT])

    @contextmanager
    def _counted(self) -> Iterator[None]:
        with self._lock:
            self._under_way.now += 1
            self._under_way.most = max(self._under_way.most, self._under_way.now)
        try:
            yield
        finally:
            with self._lock:
                self._under_way.now -= 1
