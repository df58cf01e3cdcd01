"""Prove, inside the cluster, that replicas reuse what another one computed, and show what it saves.

`helm test` runs it. A fresh prompt goes to one replica, which has to compute it (cold), and then to each of the others,
which have to find it (warm). Replicas are addressed one by one: a headless Service resolves to the addresses of all
pods. What a request found is the difference of vLLM's counters before and after it (vllm/v1/metrics/loggers.py, 0.32):

    vllm:prompt_tokens_total                one request adds the length of its prompt, so anything else is other traffic
    vllm:external_prefix_cache_hits_total   tokens that LMCache supplied
    vllm:prefix_cache_hits_total            tokens that vLLM's own prefix cache supplied

LMCache stores chunks after it has answered, so a prompt that was not found is followed by another fresh one, with a
longer pause before the warm request. The last line says PASSED or FAILED, and why; the exit code is 0 or 1. The API key
of the server, if it has one, is read from VLLM_API_KEY.

It needs nothing but Python 3.9, because it runs in images that others build.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import json
import os
import random
import signal
import socket
import statistics
import sys
import time
from functools import partial
from typing import TYPE_CHECKING, NamedTuple, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

NEEDED_SHARE = 0.8
"""Of the tokens in whole chunks, how many the warm request has to find."""
PAUSES = (0.5, 1.0, 2.0, 4.0, 8.0)
"""Seconds between cold and warm request, one for each attempt."""
ATTEMPTS_SECONDS = 90.0
"""No attempt begins later than this after the first one: what does not work by then, does not work."""
PAGE_SECONDS = 10.0
REQUEST_SECONDS = 120.0
COUNTED_SECONDS = 10.0
POLL_SECONDS = 2.0
COUNT_POLL_SECONDS = 0.2

ANSWER_TOKENS = 8
EXCERPT = 300

WORDS = tuple(
    """
    apple autumn basket beach bottle bread bridge butter button candle carpet castle cattle cherry circle coffee
    copper corner cotton country desert dinner doctor dragon engine evening family farmer feather field finger
    flower forest friend garden glass grain guitar hammer harbor hill honey horse island jacket journey kitchen
    ladder lemon letter library market meadow mirror money morning mountain museum needle ocean office orange
    orchard painter paper pencil pepper picture pillow planet pocket potato puzzle rabbit ribbon river rocket
    sailor school season shadow silver sister spider spring square stone summer sugar table teacher temple
    thread ticket tiger tomato tower travel tunnel valley velvet village violin wagon walnut water wheel window
    winter writer yellow
    """.split()  # noqa: SIM905 - words in plain text are easier to read than as many quoted strings
)
NONCE_DIGITS = 20


T = TypeVar("T")


class Clock(Protocol):
    """The part of `time` that waits."""

    def monotonic(self) -> float:
        """Seconds since some moment."""

    def sleep(self, seconds: float) -> None:
        """Wait."""


class Settings(NamedTuple):
    """What the chart says about the release.

    Attributes:
        host: the headless Service of the replicas.
        port: the servers' port.
        replicas: how many have to be there.
        or_more: whether more are as good, because something scales them.
        model: the served model name.
        model_path: route that answers once the model is loaded.
        openai_path: first part of the OpenAI routes.
        reuse: what to expect: `shared` (by all replicas), `own` (each its own) or `none`.
        backend: the remote backend's type.
        endpoint: where it is, for messages.
        lossy: whether chunks change on their way, so that answers may differ.
        chunk_size: tokens in a chunk.
        chunks: length of the prompts, in chunks.
        context: the longest sequence in tokens, where the values say.
        pairs: how many times to measure.
        timeout: seconds for everything.
        service: namespace and name of the InferenceService, for messages.
        api_key: the server's key, or nothing.
    """

    host: str
    port: int
    replicas: int
    or_more: bool
    model: str
    model_path: str
    openai_path: str
    reuse: str
    backend: str
    endpoint: str
    lossy: bool
    chunk_size: int
    chunks: int
    context: int | None
    pairs: int
    timeout: float
    service: str
    api_key: str


class Answer(NamedTuple):
    """One answered request; `ttft` in seconds."""

    text: str
    prompt_tokens: int
    ttft: float


class Counters(NamedTuple):
    """Tokens that a replica has counted since it started."""

    prompt: float
    lmcache: float
    own: float


class Pass(NamedTuple):
    """One prompt through one replica, and the tokens found for it by LMCache and by vLLM's own prefix cache."""

    replica: Replica
    answer: Answer
    lmcache: int
    own: int


class Failure(Exception):  # noqa: N818 - it is a verdict of the test, not an error of this program
    """The release does not do what it should; `hints` are lines to show before the reason."""

    def __init__(self, reason: str, hints: Sequence[str] = ()) -> None:
        super().__init__(" ".join(reason.split()))
        self.hints = hints


class Unproven(Exception):  # noqa: N818 - it is a verdict of the test, not an error of this program
    """An attempt that proved nothing; the next one may. `cause` is what it means when none does."""

    def __init__(self, problem: str, *, cause: str = "", hints: Sequence[str] = ()) -> None:
        super().__init__(" ".join(problem.split()))
        self.cause = cause
        self.hints = hints


class Replica:
    """One predictor pod, by its address."""

    def __init__(self, address: str, port: int, settings: Settings) -> None:
        self._address = address
        self._port = port
        self._settings = settings
        self._headers = {"Content-Type": "application/json"}
        if settings.api_key:
            self._headers["Authorization"] = f"Bearer {settings.api_key}"

    def __str__(self) -> str:
        return f"[{self._address}]:{self._port}" if ":" in self._address else f"{self._address}:{self._port}"

    def get(self, path: str, *, seconds: float) -> str:
        """The body of a page.

        Raises:
            Unproven: the server does not answer.
            Failure: it never will.
        """
        try:
            with contextlib.closing(self._connection(seconds)) as connection:
                connection.request("GET", path, headers=self._headers)
                response = connection.getresponse()
                body = response.read().decode(errors="replace")
        except (OSError, http.client.HTTPException) as error:
            raise Unproven(f"{self} does not answer: {str(error) or type(error).__name__}") from error
        if response.status != http.client.OK:
            raise self._refusal(path, response.status, body)
        return body

    def context(self) -> int | None:
        """The longest sequence in tokens, where the server's list of models says."""
        try:
            cards = json.loads(self.get(f"{self._settings.openai_path}/models", seconds=PAGE_SECONDS))["data"]
            return next((card["max_model_len"] for card in cards if card.get("max_model_len")), None)
        except (Unproven, Failure, ValueError, KeyError, TypeError, AttributeError):
            return None

    def counters(self) -> Counters:
        """The counters as they are now.

        Raises:
            Unproven: the server does not answer.
            Failure: it does not count what is needed.
        """
        sums = sum_metrics(self.get("/metrics", seconds=PAGE_SECONDS))
        wanted = ("vllm:prompt_tokens", "vllm:external_prefix_cache_hits", "vllm:prefix_cache_hits")
        if missing := [name for name in wanted if name not in sums]:
            raise Failure(
                f"{self}/metrics has no {missing[0]}_total, so hits cannot be counted: vLLM is too old, or was started "
                "with --disable-log-stats"
            )
        return Counters(*(sums[name] for name in wanted))

    def complete(self, prompt: str, *, seconds: float) -> Answer:
        """Send a prompt and read the answer as it comes.

        Raises:
            Unproven: there was no answer, or not a whole one.
            Failure: the server refuses such requests.
        """
        path = f"{self._settings.openai_path}/completions"
        body = {
            "model": self._settings.model,
            "prompt": prompt,
            "max_tokens": ANSWER_TOKENS,
            "temperature": 0,
            "ignore_eos": True,
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        try:
            with contextlib.closing(self._connection(seconds)) as connection:
                connection.connect()  # the handshake is no part of the time to first token
                begin = time.perf_counter()
                connection.request("POST", path, json.dumps(body), self._headers)
                response = connection.getresponse()
                if response.status != http.client.OK:
                    raise self._refusal(path, response.status, response.read().decode(errors="replace"))
                return read_stream(response, begin)
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise Unproven(f"{self} did not answer a request: {str(error) or type(error).__name__}") from error

    def _connection(self, seconds: float) -> http.client.HTTPConnection:
        return http.client.HTTPConnection(self._address, self._port, timeout=seconds)

    def _refusal(self, path: str, status: int, body: str) -> Failure | Unproven:
        told = f"{self}{path} answers HTTP {status}: {body[:EXCERPT]}"
        if status in {http.client.UNAUTHORIZED, http.client.FORBIDDEN}:
            return Failure(
                f"{self}{path} answers HTTP {status}: the server wants an API key; give it as VLLM_API_KEY in "
                "predictor.env, which this test reads too"
            )
        if path == self._settings.model_path or status >= http.client.INTERNAL_SERVER_ERROR:
            return Unproven(told)
        return Failure(told)


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
        self._resolve = resolve
        self._clock = clock
        self._say = say
        self._deadline = clock.monotonic() + settings.timeout
        self._replicas: list[Replica] = []
        self._words = 0

    def run(self) -> str:
        """Wait for the replicas, prove what can be proven, and say what that was.

        Raises:
            Failure: the release does not do what it should, or not in time.
        """
        settings = self._settings
        self._replicas = self._wait_until_ready()
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

    def _wait_until_ready(self) -> list[Replica]:
        """All replicas, once there are as many as there should be and each has loaded the model."""
        said = ""
        while True:
            replicas, states = self._look()
            state = "; ".join(states) or f"{self._settings.host} names no pod"
            if self._complete(replicas) and len(replicas) == len(states):
                return replicas
            if self._clock.monotonic() >= self._deadline:
                raise Failure(
                    f"{len(replicas)} of {self._settings.replicas} replicas ready, and {len(states)} there, after "
                    f"{self._settings.timeout:g} s (tests.timeoutSeconds): {state}",
                    self._hints("get pods", "-o wide"),
                )
            if state != said:
                self._say(f"waiting until {self._settings.replicas} are ready: {state}")
                said = state
            self._clock.sleep(POLL_SECONDS)

    def _complete(self, replicas: Sequence[Replica]) -> bool:
        # More than there should be are a rollout that has not ended: some are about to leave.
        wanted = self._settings.replicas
        return len(replicas) >= max(1, wanted) if self._settings.or_more else len(replicas) == wanted

    def _look(self) -> tuple[list[Replica], list[str]]:
        """The replicas that are ready, and how each one is, ready or not."""
        ready, states = [], []
        for address, port in self._resolve(self._settings.host, self._settings.port):
            replica = Replica(address, port, self._settings)
            try:
                replica.get(self._settings.model_path, seconds=PAGE_SECONDS)
            except Unproven as problem:
                states.append(str(problem))
            else:
                ready.append(replica)
                states.append(f"{replica} is ready")
        return ready, states

    def _words_of_a_prompt(self, _pause: float) -> int:
        """How many words make a prompt of the wanted length: two short ones tell how many tokens a word has.

        They go to every replica, because the first requests of an engine take longer than any other.
        """
        settings = self._settings
        sizes = [
            [self._complete_in_time(replica, fresh(words)).prompt_tokens for words in (0, len(WORDS))]
            for replica in self._replicas
        ]
        nonce, whole = sizes[0]
        # Half a chunk more and, where there is a limit, a twentieth less: it is an estimate.
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
        return replica, self._complete_in_time(replica, fresh(self._words))

    def _shared(self) -> str:
        passes = self._pairs(self._share)
        return (
            f"what one replica computed, every other one found: {len(passes)} prompts, {count(self._replicas)}, "
            f"through {self._settings.backend}"
        )

    def _pairs(self, once: Callable[[int, float], list[Pass]]) -> list[list[Pass]]:
        """Measure as often as wanted, each time with another replica first, and show it."""
        passes = []
        for turn in range(self._settings.pairs):
            self._say(f"pair {turn + 1} of {self._settings.pairs}:")
            passes.append(self._attempt(partial(once, turn)))
            self._show(passes[-1])
        self._say(summary(passes))
        return passes

    def _share(self, turn: int, pause: float) -> list[Pass]:
        """One prompt through one replica and then through every other."""
        if len(self._replicas) == 1:
            raise Failure("only one replica is left, and sharing takes two")
        first = turn % len(self._replicas)
        others = [replica for index, replica in enumerate(self._replicas) if index != first]
        prompt = fresh(self._words)
        cold = self._measure(self._replicas[first], prompt)
        self._clock.sleep(pause)
        warm = [self._measure(replica, prompt) for replica in others]
        full = self._whole_chunks(cold)
        must_be_computed(cold)
        for one in warm:
            if one.lmcache < NEEDED_SHARE * full:
                raise Unproven(
                    f"replica {one.replica} found {one.lmcache} of {full} tokens that {cold.replica} had computed",
                    cause=f"either the replicas cannot reach the remote backend {self._backend}, or they name chunks "
                    "differently, by another PYTHONHASHSEED or LMCache configuration",
                    hints=self._sharing_hints(),
                )
            self._compare(cold, one)
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
        cold = self._measure(replica, prompt)
        self._clock.sleep(pause)
        warm = self._measure(replica, prompt)
        must_be_computed(cold)
        full = self._whole_chunks(cold)
        if warm.lmcache + warm.own < NEEDED_SHARE * full:
            raise Unproven(
                f"replica {replica} found {warm.lmcache + warm.own} of {full} tokens that it had computed itself",
                cause="neither LMCache nor vLLM's own prefix cache kept them",
                hints=self._sharing_hints(),
            )
        self._compare(cold, warm)
        return [cold, warm]

    def _measure(self, replica: Replica, prompt: str) -> Pass:
        """Send a prompt, and read from the counters what was found for it."""
        before = replica.counters()
        answer = self._complete_in_time(replica, prompt)
        until = self._clock.monotonic() + COUNTED_SECONDS
        while True:
            # Counted a moment after the answer is sent.
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
            self._clock.sleep(COUNT_POLL_SECONDS)

    def _complete_in_time(self, replica: Replica, prompt: str) -> Answer:
        return replica.complete(prompt, seconds=max(1.0, min(REQUEST_SECONDS, self._left())))

    def _whole_chunks(self, cold: Pass) -> int:
        tokens = cold.answer.prompt_tokens
        full = tokens // self._settings.chunk_size * self._settings.chunk_size
        if not full:
            raise Failure(
                f"a prompt of {tokens} tokens has no whole chunk of {self._settings.chunk_size} (lmcache.chunkSize), "
                "so nothing can be found: model.maxModelLen is too small for it"
            )
        return full

    def _compare(self, cold: Pass, warm: Pass) -> None:
        if cold.answer.text != warm.answer.text and not self._settings.lossy:
            raise Unproven(
                f"replica {warm.replica} answered {warm.answer.text!r} with what it found, and replica {cold.replica} "
                f"{cold.answer.text!r} without",
                cause="a cached prefix changes the answer",
            )

    def _attempt(self, once: Callable[[float], T]) -> T:
        """Try until it works or will not: each time all anew, with a longer pause."""
        begin = self._clock.monotonic()
        for number, pause in enumerate(PAUSES, start=1):
            try:
                return once(pause)
            except Unproven as problem:
                spent = self._clock.monotonic() - begin
                if number == len(PAUSES) or spent > ATTEMPTS_SECONDS or self._left() <= 0:
                    over = f"tests.timeoutSeconds ({self._settings.timeout:g}) are over" if self._left() <= 0 else ""
                    causes = "".join(f": {cause}" for cause in (problem.cause, over) if cause)
                    tries = f"at attempt {number}, after {spent:.0f} s"
                    raise Failure(f"{problem}, {tries}{causes}", problem.hints) from problem
                self._say(f"  attempt {number}: {problem}")
                self._replicas = self._wait_until_ready()
        raise AssertionError("the last attempt returns or fails")

    def _left(self) -> float:
        return self._deadline - self._clock.monotonic()

    def _show(self, passes: Sequence[Pass]) -> None:
        cold, *warm = passes
        full = self._whole_chunks(cold)
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

    def _sharing_hints(self) -> list[str]:
        seed = '{.spec.containers[?(@.name=="kserve-container")].env[?(@.name=="PYTHONHASHSEED")].value}'
        columns = f'{{range .items[*]}}{{.metadata.name}}{{"\\t"}}{seed}{{"\\n"}}{{end}}'
        return [
            *self._hints("logs", "-c kserve-container --prefix --tail=-1 | grep -E 'LMCache (WARNING|ERROR)'"),
            *self._hints("get pods", f"-o jsonpath='{columns}'"),
        ]

    def _hints(self, verb: str, options: str) -> list[str]:
        namespace, _, name = self._settings.service.partition("/")
        selector = f"serving.kserve.io/inferenceservice={name},component=predictor"
        return [f"look at: kubectl {verb} -n {namespace} -l {selector} {options}"]


def must_be_computed(cold: Pass) -> None:
    """A fresh prompt cannot be found.

    Raises:
        Unproven: it was, so what the counters say is not about this test's requests.
    """
    if found := cold.lmcache + cold.own:
        raise Unproven(f"replica {cold.replica} found {found} tokens of a prompt that nobody had sent before")


def sum_metrics(text: str) -> dict[str, float]:
    """Every metric summed over its labels, without the `_total` that counters end in."""
    sums: dict[str, float] = {}
    for line in text.splitlines():
        series, _, value = line.strip().rpartition(" ")
        name = series.partition("{")[0]
        if series and not series.startswith("#"):
            name = name.removesuffix("_total")
            with contextlib.suppress(ValueError):
                sums[name] = sums.get(name, 0.0) + float(value)
    return sums


def read_stream(lines: Iterable[bytes], begin: float) -> Answer:
    """Read server-sent events to their end; `begin` is when the request was sent.

    Raises:
        ValueError: the stream carries an error, lacks something or breaks off.
    """
    parts: list[str] = []
    first_text = first_choice = usage = None
    for line in lines:
        data = line[len(b"data:") :].strip() if line.startswith(b"data:") else b""
        if data == b"[DONE]":
            break
        frame = json.loads(data) if data else {}
        if "error" in frame:
            raise ValueError(str(frame["error"])[:EXCERPT])
        for choice in frame.get("choices") or ():
            now = time.perf_counter()
            first_choice = first_choice or now
            parts.append(choice.get("text") or "")
            first_text = first_text or (now if parts[-1] else None)
        usage = frame.get("usage") or usage
    else:
        raise ValueError("the stream broke off before its end")
    # A token may have no text: a special one, or the first byte of a character.
    first = first_text or first_choice
    if first is None:
        raise ValueError("the stream ended without a token")
    if "prompt_tokens" not in (usage or {}):
        raise ValueError("the stream told no usage.prompt_tokens")
    return Answer("".join(parts), int(usage["prompt_tokens"]), first - begin)


def fresh(words: int) -> str:
    """A prompt that nobody has sent before, random from its first token on; as many words have as many tokens."""
    digits = [str(random.randrange(10)) for _ in range(NONCE_DIGITS)]  # noqa: S311 - it makes test prompts differ, and nothing depends on nobody guessing them
    body = [WORDS[index % len(WORDS)] for index in range(words)]
    random.shuffle(body)
    return " ".join([*digits, *body])


def count(replicas: Sequence[Replica]) -> str:
    """The number of replicas in words."""
    return "one replica" if len(replicas) == 1 else f"{len(replicas)} replicas"


def summary(passes: Sequence[Sequence[Pass]]) -> str:
    """The medians of all pairs."""
    cold = statistics.median(first.answer.ttft for first, *_ in passes)
    warm = statistics.median(one.answer.ttft for _, *others in passes for one in others)
    return f"median TTFT: cold {cold:.3f} s, warm {warm:.3f} s, cold/warm {cold / warm:.1f}"


def addresses(host: str, port: int) -> list[tuple[str, int]]:
    """The addresses behind a name, in a steady order; none while it does not resolve."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError:
        return []
    return sorted({(str(entry[4][0]), port) for entry in found})


def parse(arguments: Sequence[str], environment: Mapping[str, str]) -> Settings:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--pods", required=True, metavar="HOST:PORT", help="headless Service of the replicas")
    parser.add_argument("--replicas", required=True, type=int)
    parser.add_argument("--or-more", action="store_true")
    parser.add_argument("--model", required=True)
    parser.add_argument("--model-path", required=True)
    parser.add_argument("--openai-path", required=True)
    parser.add_argument("--reuse", required=True, choices=("shared", "own", "none"))
    parser.add_argument("--backend", default="none")
    parser.add_argument("--endpoint", default="")
    parser.add_argument("--lossy", action="store_true")
    parser.add_argument("--chunk-size", required=True, type=int)
    parser.add_argument("--chunks", required=True, type=int)
    parser.add_argument("--context", type=int)
    parser.add_argument("--pairs", required=True, type=int)
    parser.add_argument("--timeout", required=True, type=float, metavar="SECONDS")
    parser.add_argument("--service", required=True, metavar="NAMESPACE/NAME")
    options = vars(parser.parse_args(arguments))
    host, _, port = options.pop("pods").rpartition(":")
    return Settings(host=host, port=int(port), api_key=environment.get("VLLM_API_KEY", ""), **options)


def say(text: str) -> None:
    """Write a line of the log at once."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def stop(number: int, _frame: object) -> None:
    """Say why the test ends: process 1 of a container would ignore the signal, and leave no reason behind."""
    raise Failure(f"stopped from outside ({signal.Signals(number).name}) before it was done")


def main(
    arguments: Sequence[str],
    environment: Mapping[str, str],
    *,
    resolve: Callable[[str, int], list[tuple[str, int]]] = addresses,
    clock: Clock = time,
) -> int:
    """Run the test and return the exit code."""
    settings = parse(arguments, environment)
    try:
        say(f"PASSED: {ReleaseTest(settings, resolve=resolve, clock=clock, say=say).run()}")
    except Failure as failure:
        for hint in failure.hints:
            say(hint)
        say(f"FAILED: {failure}")
        return 1
    return 0


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, stop)
    sys.exit(main(sys.argv[1:], os.environ))
