"""The proof: every replica finds what another replica has computed."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, TypeVar

import hints
from clock import Deadline
from measurement import Meter, costs, must_be_computed, summary
from prompts import WORDS, fresh
from replica import ANSWER_TOKENS
from rollout import Rollout
from verdicts import Failure, Unproven

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from clock import Clock
    from measurement import Pass
    from replica import Answer, Replica
    from settings import Settings

NEEDED_SHARE = 0.8
"""The share of the tokens in whole chunks that the warm request has to find."""
PAUSES = (0.5, 1.0, 2.0, 4.0, 8.0)
"""Seconds between cold and warm request, one for each attempt."""
ATTEMPTS_S = 90.0
"""Seconds after the first attempt in which another attempt may begin."""

T = TypeVar("T")


class ReleaseTest:
    """One run against one release; ends in a sentence or in a Failure."""

    def __init__(
        self,
        settings: Settings,
        *,
        resolve: Callable[[str, int], list[tuple[str, int]]],
        clock: Clock,
        say: Callable[[str], None],
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._say = say
        self._deadline = Deadline(clock, settings.timeout)
        self._rollout = Rollout(settings, resolve=resolve, clock=clock, deadline=self._deadline, say=say)
        self._meter = Meter(settings, clock=clock, deadline=self._deadline)
        self._replicas: list[Replica] = []
        self._words = 0

    def run(self) -> str:
        """Wait for the replicas, prove what can be proven, and say what that was.

        Raises:
            Failure: the release does not do what it should, or not in time.
        """
        settings = self._settings
        self._replicas = self._rollout.wait_until_ready()
        self._words = self._attempt(self._words_of_a_prompt)
        if settings.reuse == "none":
            return self._answers()
        self._say(
            f"model {settings.model}, chunks of {settings.chunk_size} tokens, remote backend {settings.backend}; "
            "TTFT is the time to first token"
        )
        if settings.reuse == "shared" and len(self._replicas) > 1:
            return self._shared()
        return self._own()

    def _words_of_a_prompt(self, _pause: float) -> int:
        """How many words make a prompt of the wanted length; two short prompts tell how many tokens a word has.

        The short prompts go to every replica, because the first requests of an engine take longer than later ones.
        """
        settings = self._settings
        sizes = [
            [self._meter.complete(replica, fresh(words)).prompt_tokens for words in (0, len(WORDS))]
            for replica in self._replicas
        ]
        nonce, whole = sizes[0]
        # The number of words is an estimate: half a chunk more, and a twentieth less than the limit.
        limits = [length for length in (settings.context, self._replicas[0].context()) if length]
        wanted = settings.chunks * settings.chunk_size + settings.chunk_size // 2
        wanted = min([wanted, *(length * 19 // 20 - ANSWER_TOKENS for length in limits)])
        return max(1, (wanted - nonce) * len(WORDS) // max(1, whole - nonce))

    def _answers(self) -> str:
        for turn in range(len(self._replicas)):
            replica, answer = self._attempt(partial(self._answer, turn))
            self._say(f"  {replica}  {answer.prompt_tokens} tokens  TTFT {answer.ttft:.3f} s")
        return (
            f"{count(self._replicas)} answered. Reuse was not tested, because this release has none: lmcache.enabled "
            "is false, or lmcache.kvRole only stores or only loads"
        )

    def _answer(self, turn: int, _pause: float) -> tuple[Replica, Answer]:
        replica = self._replicas[turn % len(self._replicas)]
        return replica, self._meter.complete(replica, fresh(self._words))

    def _shared(self) -> str:
        passes = self._pairs(self._share)
        return (
            f"every replica found what another one had computed: {len(passes)} prompts, {count(self._replicas)}, "
            f"through {self._settings.backend}"
        )

    def _pairs(self, once: Callable[[int, float], list[Pass]]) -> list[list[Pass]]:
        """Measure as often as wanted, each time with another replica first, and show it."""
        passes = []
        for turn in range(self._settings.pairs):
            self._say(f"pair {turn + 1} of {self._settings.pairs}:")
            passes.append(self._attempt(partial(once, turn)))
            self._show(passes[-1])
        for said in (summary(passes), *costs(passes, self._settings.kv_bytes)):
            self._say(said)
        return passes

    def _share(self, turn: int, pause: float) -> list[Pass]:
        """One prompt through one replica and then through every other."""
        if len(self._replicas) == 1:
            raise Failure("only one replica is left, and sharing takes two")
        first = turn % len(self._replicas)
        others = [replica for index, replica in enumerate(self._replicas) if index != first]
        prompt = fresh(self._words)
        cold = self._meter.measure(self._replicas[first], prompt)
        self._clock.sleep(pause)
        warm = [self._meter.measure(replica, prompt) for replica in others]
        full = self._meter.whole_chunks(cold)
        must_be_computed(cold)
        for one in warm:
            if one.lmcache < NEEDED_SHARE * full:
                raise Unproven(
                    f"replica {one.replica} found {one.lmcache} of {full} tokens that {cold.replica} had computed",
                    cause=f"either the replicas cannot reach the remote backend {self._backend}, or they name chunks "
                    "differently, by another PYTHONHASHSEED or LMCache configuration",
                    hints=hints.of_sharing(self._settings),
                )
            self._meter.compare(cold, one)
        return [cold, *warm]

    def _own(self) -> str:
        passes = self._pairs(self._repeat)
        alone = self._settings.reuse == "shared"
        untested = (
            f"Whether replicas share through {self._backend} was not tested: that takes a second replica"
            if alone
            else "Nothing is shared between replicas without a remote backend (remoteBackend.type none)"
        )
        by_lmcache = sum(one.lmcache for _, one in passes)
        if not by_lmcache:
            untested += (
                ". LMCache was not tested either: vLLM's own prefix cache answered before it (runtime.prefixCaching)"
            )
        return f"{count(self._replicas)} found what {'it' if alone else 'each'} had computed before. {untested}"

    def _repeat(self, turn: int, pause: float) -> list[Pass]:
        """One prompt twice through the same replica."""
        replica = self._replicas[turn % len(self._replicas)]
        prompt = fresh(self._words)
        cold = self._meter.measure(replica, prompt)
        self._clock.sleep(pause)
        warm = self._meter.measure(replica, prompt)
        must_be_computed(cold)
        full = self._meter.whole_chunks(cold)
        if warm.lmcache + warm.own < NEEDED_SHARE * full:
            raise Unproven(
                f"replica {replica} found {warm.lmcache + warm.own} of {full} tokens that it had computed itself",
                cause="neither LMCache nor vLLM's own prefix cache kept them",
                hints=hints.of_sharing(self._settings),
            )
        self._meter.compare(cold, warm)
        return [cold, warm]

    def _attempt(self, once: Callable[[float], T]) -> T:
        """Try until an attempt succeeds; each attempt starts anew and pauses longer than the one before.

        Raises:
            Failure: no attempt succeeded; the message has the reason of the last one.
        """
        begin = self._clock.monotonic()
        for number, pause in enumerate(PAUSES, start=1):
            try:
                return once(pause)
            except Unproven as problem:
                spent = self._clock.monotonic() - begin
                late = self._deadline.left() <= 0
                if number == len(PAUSES) or spent > ATTEMPTS_S or late:
                    over = f"tests.timeoutSeconds ({self._settings.timeout:g}) are over" if late else ""
                    causes = "".join(f": {cause}" for cause in (problem.cause, over) if cause)
                    tries = f"at attempt {number}, after {spent:.0f} s"
                    raise Failure(f"{problem}, {tries}{causes}", problem.hints) from problem
                self._say(f"  attempt {number}: {problem}")
                self._replicas = self._rollout.wait_until_ready()
        raise AssertionError("the last attempt returns or fails")

    def _show(self, passes: Sequence[Pass]) -> None:
        cold, *warm = passes
        full = self._meter.whole_chunks(cold)
        self._say(
            f"  {cold.replica}  cold  TTFT {cold.answer.ttft:.3f} s  {cold.answer.prompt_tokens} tokens, {full} of "
            "them in whole chunks"
        )
        for one in warm:
            found = [f"{one.lmcache} found by LMCache"] + [f"{one.own} by vLLM's own prefix cache"] * bool(one.own)
            self._say(
                f"  {one.replica}  warm  TTFT {one.answer.ttft:.3f} s  {', '.join(found)}, "
                f"cold/warm {cold.answer.ttft / one.answer.ttft:.1f}"
            )

    @property
    def _backend(self) -> str:
        settings = self._settings
        return f"{settings.backend} ({settings.endpoint})" if settings.endpoint else settings.backend


def count(replicas: Sequence[Replica]) -> str:
    """The number of replicas in words."""
    return "one replica" if len(replicas) == 1 else f"{len(replicas)} replicas"
