"""One prompt through one replica, and what was found for the prompt."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING, NamedTuple

from verdicts import Failure, Unproven

if TYPE_CHECKING:
    from collections.abc import Sequence

    from clock import Clock, Deadline
    from replica import Answer, Replica
    from settings import Settings

REQUEST_S = 120.0
COUNTED_S = 10.0
COUNT_POLL_S = 0.2


class Pass(NamedTuple):
    """One prompt through one replica, and the tokens found for it by LMCache and by vLLM's own prefix cache."""

    replica: Replica
    answer: Answer
    lmcache: int
    own: int


class Meter:
    """Sends prompts and judges what the counters say about them."""

    def __init__(self, settings: Settings, *, clock: Clock, deadline: Deadline) -> None:
        self._settings = settings
        self._clock = clock
        self._deadline = deadline

    def measure(self, replica: Replica, prompt: str) -> Pass:
        """Send a prompt, and read from the counters what was found for the prompt.

        Raises:
            Unproven: the counters also moved for other requests, or did not move for this one.
        """
        before = replica.counters()
        answer = self.complete(replica, prompt)
        until = self._clock.monotonic() + COUNTED_S
        while True:
            # vLLM counts a moment after it has sent the answer.
            after = replica.counters()
            counted = after.prompt - before.prompt
            if counted == answer.prompt_tokens:
                return Pass(replica, answer, round(after.lmcache - before.lmcache), round(after.own - before.own))
            if counted > answer.prompt_tokens or self._clock.monotonic() >= until:
                raise Unproven(
                    f"replica {replica} counted {counted:g} prompt tokens during a request of {answer.prompt_tokens}",
                    cause="it answers other requests at the same time, so its counters say nothing about this test's: "
                    "run it while the release is quiet",
                )
            self._clock.sleep(COUNT_POLL_S)

    def complete(self, replica: Replica, prompt: str) -> Answer:
        """Send a prompt, with no more patience than the test has time.

        Raises:
            Unproven: no whole answer came.
            Failure: the server refuses such requests.
        """
        return replica.complete(prompt, seconds=max(1.0, min(REQUEST_S, self._deadline.left())))

    def whole_chunks(self, cold: Pass) -> int:
        """Tokens of the prompt that lie in whole chunks: LMCache stores no others.

        Raises:
            Failure: the prompt is shorter than a chunk.
        """
        tokens = cold.answer.prompt_tokens
        full = tokens // self._settings.chunk_size * self._settings.chunk_size
        if not full:
            raise Failure(
                f"a prompt of {tokens} tokens has no whole chunk of {self._settings.chunk_size} (lmcache.chunkSize), "
                "so nothing can be found: model.maxModelLen is too small for it"
            )
        return full

    def compare(self, cold: Pass, warm: Pass) -> None:
        """Compare the answers, unless the chunks are lossy.

        Raises:
            Unproven: the answers differ.
        """
        if cold.answer.text != warm.answer.text and not self._settings.lossy:
            raise Unproven(
                f"replica {warm.replica} answered {warm.answer.text!r} with what it found, and replica {cold.replica} "
                f"{cold.answer.text!r} without",
                cause="a cached prefix changes the answer",
            )


def must_be_computed(cold: Pass) -> None:
    """Check that nothing was found for a fresh prompt.

    Raises:
        Unproven: tokens were found, so the counters do not speak of this test's requests.
    """
    if found := cold.lmcache + cold.own:
        raise Unproven(f"replica {cold.replica} found {found} tokens of a prompt that nobody had sent before")


def summary(passes: Sequence[Sequence[Pass]]) -> str:
    """The medians of all pairs, in words; times in seconds."""
    cold = statistics.median(first.answer.ttft for first, *_ in passes)
    warm = statistics.median(one.answer.ttft for _, *others in passes for one in others)
    return f"median TTFT: cold {cold:.3f} s, warm {warm:.3f} s, cold/warm {cold / warm:.1f}"


def costs(passes: Sequence[Sequence[Pass]], kv_bytes: int | None) -> list[str]:
    """What a token takes that LMCache finds and one that is computed, and a warning where finding takes longer.

    Args:
        passes: each prompt's cold pass, and its warm ones.
        kv_bytes: size of a token in the KV cache, for the rate; None where nobody knows it.
    """
    computing, finding = [], []
    for first, *others in passes:
        a_token = first.answer.ttft / first.answer.prompt_tokens
        computing.append(a_token)
        # What vLLM had itself came at another speed.
        for _, answer, lmcache, _ in (one for one in others if one.lmcache and not one.own):
            finding.append((answer.ttft - (answer.prompt_tokens - lmcache) * a_token) / lmcache)
    if not finding:
        return []
    computed, found = statistics.median(computing), max(statistics.median(finding), 0.0)
    rate = f", {kv_bytes / found / 1e9:.2f} GB/s" if kv_bytes and found else ""
    said = [
        f"a token that LMCache found took {found * 1000:.3f} ms{rate}; to compute one took {computed * 1000:.3f} ms"
    ]
    if found > computed:
        said.append(
            "WARNING: a hit loads slower than the same tokens compute. A faster backend or network, or longer chunks "
            "(lmcache.chunkSize), would help; until then LMCache costs time here"
        )
    return said
