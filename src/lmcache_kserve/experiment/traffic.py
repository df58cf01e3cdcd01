"""Steady small requests to several replicas while something breaks."""

import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace

from lmcache_kserve.errors import HarnessError
from lmcache_kserve.evidence import Answer
from lmcache_kserve.experiment.client import RequestError
from lmcache_kserve.experiment.journal import Journal
from lmcache_kserve.experiment.probe import Probe
from lmcache_kserve.lmcache.logs import request_log
from lmcache_kserve.target import LogLine


@dataclass(frozen=True, slots=True)
class Known:
    """A prompt whose answer is known."""

    prompt: str
    text: str


class Traffic:
    """One thread for each replica that asks it its prompts in turn until told to stop; nothing is retried."""

    def __init__(
        self, work: Sequence[tuple[Probe, Sequence[Known]]], *, max_tokens: int, interval: float, journal: Journal
    ) -> None:
        """Prepare the traffic; `work` is what to ask whom, `interval` the seconds between two requests to a replica."""
        self._work = work
        self._max_tokens = max_tokens
        self._interval = interval
        self._journal = journal
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._answers: list[Answer] = []
        self._threads = ThreadPoolExecutor(max_workers=len(work), thread_name_prefix="traffic")
        self._futures: list[Future[None]] = []
        self.phase = "before"

    def start(self) -> None:
        """Begin to send."""
        self._futures = [self._threads.submit(self._run, probe, known) for probe, known in self._work]

    def least(self, phase: str) -> int:
        """Requests of `phase` that ended, answered or not, at the replica with the fewest of them."""
        with self._lock:
            ended = [answer.replica for answer in self._answers if answer.phase == phase]
        return min(ended.count(probe.name) for probe, _ in self._work)

    def stop(self) -> tuple[Answer, ...]:
        """Let every request in flight end and return all answers with their hit tokens, oldest first."""
        self._stop.set()
        self._threads.shutdown(wait=True)
        for future in self._futures:
            future.result()
        answers = sorted(self._answers, key=lambda answer: answer.at)
        logs = {probe.name: self._log(probe) for probe, _ in self._work}
        chunk_size = self._work[0][0].chunk_size
        return tuple(
            replace(answer, hit_tokens=log.lookup.hit_tokens)
            if (log := request_log(logs[answer.replica], answer.request_id, chunk_size=chunk_size)).lookup
            else answer
            for answer in answers
        )

    @staticmethod
    def _log(probe: Probe) -> list[LogLine]:
        try:
            return probe.replica.logs()
        except (HarnessError, OSError):
            # Hits of the traffic only illustrate the timeline; the log check reads the same log and fails.
            return []

    def _run(self, probe: Probe, known: Sequence[Known]) -> None:
        turn = 0
        while not self._stop.is_set():
            asked = known[turn % len(known)]
            answer = ask(probe, asked, phase=self.phase, max_tokens=self._max_tokens, journal=self._journal)
            with self._lock:
                self._answers.append(answer)
            turn += 1
            self._stop.wait(self._interval)


def ask(probe: Probe, known: Known, *, phase: str, max_tokens: int, journal: Journal) -> Answer:
    """Ask a replica once, and compare its answer with the known one; nothing is retried."""
    request_id, at, begin = probe.next_id(), journal.now(), time.perf_counter()
    error: str | None = None
    correct: bool | None = None
    try:
        correct = probe.send(known.prompt, max_tokens=max_tokens, request_id=request_id).text == known.text
    except RequestError as raised:
        error = str(raised)
    return Answer(
        replica=probe.name,
        request_id=request_id,
        at=at,
        phase=phase,
        error=error,
        correct=correct,
        total_s=time.perf_counter() - begin,
    )
