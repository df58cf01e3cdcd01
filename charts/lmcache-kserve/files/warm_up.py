"""Send known beginnings of prompts to a release, so that its cache holds them before the first user asks.

A Job runs this script once after each installation and upgrade. It waits until the replicas are steady, because an
upgrade may replace them. Then it sends each prompt for one token of answer: vLLM computes the prompt, and LMCache
stores its whole chunks. One replica is enough where replicas share a backend; otherwise each one gets every prompt. A
request that fails for a reason that may pass is sent again. The last line says WARM or FAILED, and why; the exit code
is 0 or 1.

The arguments are those of `helm test`, whose modules lie beside this script, and these:

    --prompts FOLDER   a prompt in each file; may be repeated
    --chat             send prompts as system messages of chats

The script needs nothing but Python 3.9, because it runs in images that others build.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from clock import Deadline
from prove_reuse import addresses, say, stop
from replica import Replica
from rollout import POLL_S, Rollout
from settings import Settings, parse
from verdicts import Failure, Unproven

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from clock import Clock

STEADY_S = 30.0
"""How long the replicas have to stay the same: KServe and name servers need a few seconds to begin a rollout."""
PAUSES_S = (2.0, 5.0, 15.0, 30.0)
"""Waits before a request is sent again."""


class Prompt(NamedTuple):
    """A beginning that many prompts share; `name` is the name of its file."""

    name: str
    text: str


class WarmReplica(Replica):
    """A replica that computes prompts."""

    def __init__(self, address: str, port: int, settings: Settings) -> None:
        super().__init__(address, port, settings)
        self._path = settings.openai_path
        self._model = settings.model

    def compute(self, text: str, *, chat: bool, seconds: float) -> int:
        """Let the replica compute a prompt and return the length in tokens.

        Raises:
            Unproven: no answer came; the next attempt may succeed.
            Failure: the server refuses such requests.
        """
        path = f"{self._path}/{'chat/completions' if chat else 'completions'}"
        # Templates of many models want a question behind the system message.
        messages = [{"role": "system", "content": text}, {"role": "user", "content": "."}]
        body = {"model": self._model, "max_tokens": 1, "temperature": 0}
        body.update({"messages": messages} if chat else {"prompt": text})
        try:
            with contextlib.closing(self._connection(seconds)) as connection:
                connection.request("POST", path, json.dumps(body), self._headers)
                response = connection.getresponse()
                answer = response.read().decode(errors="replace")
                if response.status != http.client.OK:
                    raise self._refusal(path, response.status, answer)
                return int(json.loads(answer)["usage"]["prompt_tokens"])
        except (OSError, http.client.HTTPException, ValueError, KeyError, TypeError) as error:
            raise Unproven(f"{self} did not answer a request: {str(error) or type(error).__name__}") from error


class SteadyRollout(Rollout):
    """The replicas, once nothing replaces them."""

    def wait_until_steady(self) -> None:
        """Wait until the same replicas have been ready for a while.

        Raises:
            Failure: the time was over before, or a server refuses to say whether it is ready.
        """
        steady: list[str] = []
        since, said = self._clock.monotonic(), ""
        while True:
            ready, states = self._look()
            found = [str(replica) for replica in ready]
            now = self._clock.monotonic()
            if not found or len(found) < len(states) or found != steady:
                steady, since = found, now
            elif now - since >= STEADY_S:
                return
            state = "; ".join(states) or f"{self._settings.host} names no pod"
            if self._deadline.left() <= 0:
                seconds = f"{self._settings.timeout:g} s (warmup.timeoutSeconds)"
                raise Failure(f"the replicas did not stay ready within {seconds}: {state}")
            if state != said:
                self._say(f"waiting for replicas that stay for {STEADY_S:g} s: {state}")
                said = state
            self._clock.sleep(POLL_S)

    def replicas(self) -> list[WarmReplica]:
        """Those that have to compute a prompt: one where they share a backend, and otherwise each.

        Raises:
            Unproven: the name of the Service does not resolve just now.
        """
        found = self._resolve(self._settings.host, self._settings.port)
        if not found:
            raise Unproven(f"{self._settings.host} names no pod")
        chosen = found[:1] if self._settings.reuse == "shared" else found
        return [WarmReplica(address, port, self._settings) for address, port in chosen]


class WarmUp:
    """Sends every prompt and says what came of it."""

    def __init__(
        self,
        settings: Settings,
        *,
        chat: bool,
        resolve: Callable[[str, int], list[tuple[str, int]]],
        clock: Clock,
        say: Callable[[str], None],
    ) -> None:
        self._settings = settings
        self._chat = chat
        self._clock = clock
        self._say = say
        self._deadline = Deadline(clock, settings.timeout)
        self._rollout = SteadyRollout(settings, resolve=resolve, clock=clock, deadline=self._deadline, say=say)

    def run(self, prompts: Sequence[Prompt]) -> str:
        """Send the prompts; returns what was sent.

        Raises:
            Failure: at least one prompt is not in the cache.
        """
        if not prompts:
            raise Failure(
                "there is no prompt: set warmup.prompts, or put one into the ConfigMap warmup.existingConfigMap"
            )
        begin = self._clock.monotonic()
        self._rollout.wait_until_steady()
        tokens, refused = 0, []
        for prompt in prompts:
            try:
                tokens += self._send(prompt)
            except Failure as problem:
                self._say(f"{prompt.name}: {problem}")
                refused.append(prompt.name)
                if self._deadline.left() <= 0:
                    break
        if refused:
            raise Failure(f"{len(refused)} of {len(prompts)} prompts are not in the cache: {', '.join(refused)}")
        return f"{len(prompts)} prompts, {tokens} tokens, {self._clock.monotonic() - begin:.0f} s"

    def _send(self, prompt: Prompt) -> int:
        """Let one replica compute a prompt, or each where they share nothing; returns the length in tokens."""
        for pause in (*PAUSES_S, None):
            try:
                # Looked up anew: a replica that ended has another address.
                lengths = [self._compute(prompt, replica) for replica in self._rollout.replicas()]
            except Unproven as problem:
                if pause is None or self._deadline.left() <= pause:
                    raise Failure(str(problem)) from problem
                self._say(f"{prompt.name}: {problem}; again in {pause:g} s")
                self._clock.sleep(pause)
            else:
                return lengths[0]
        raise AssertionError("the last attempt returns or fails")

    def _compute(self, prompt: Prompt, replica: WarmReplica) -> int:
        begin = self._clock.monotonic()
        tokens = replica.compute(prompt.text, chat=self._chat, seconds=max(1.0, self._deadline.left()))
        spent = self._clock.monotonic() - begin
        short = tokens < self._settings.chunk_size
        note = f"; that is less than a chunk of {self._settings.chunk_size}, so nothing is cached" if short else ""
        self._say(f"{prompt.name}: {tokens} tokens in {spent:.2f} s by {replica}{note}")
        return tokens


def read(folders: Iterable[str]) -> list[Prompt]:
    """The prompts of some folders, by name. The newline that ends a file is no part of its prompt.

    Raises:
        Failure: a file is no text.
    """
    files = [file for folder in folders for file in sorted(Path(folder).iterdir()) if not file.name.startswith(".")]
    prompts = []
    for file in files:
        try:
            prompts.append(Prompt(file.name, file.read_text(encoding="utf-8").removesuffix("\n")))
        except UnicodeDecodeError as error:
            raise Failure(f"{file.name} is no text in UTF-8: {error.reason} at byte {error.start}") from error
    return [prompt for prompt in prompts if prompt.text]


def main(
    arguments: Sequence[str],
    environment: Mapping[str, str],
    *,
    resolve: Callable[[str, int], list[tuple[str, int]]] = addresses,
    clock: Clock = time,
) -> int:
    """Warm the release up and return the exit code."""
    parser = argparse.ArgumentParser(allow_abbrev=False, add_help=False)
    parser.add_argument("--prompts", action="append", default=[])
    parser.add_argument("--chat", action="store_true")
    own, others = parser.parse_known_args(arguments)
    settings = parse(others, environment)
    try:
        warm_up = WarmUp(settings, chat=own.chat, resolve=resolve, clock=clock, say=say)
        say(f"WARM: {warm_up.run(read(own.prompts))}")
    except Failure as failure:
        say(f"FAILED: {failure}")
        return 1
    return 0


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, stop)
    sys.exit(main(sys.argv[1:], os.environ))
