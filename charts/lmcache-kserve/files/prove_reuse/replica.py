"""One predictor pod: its pages, its counters and its answers."""

from __future__ import annotations

import contextlib
import http.client
import json
import time
from typing import TYPE_CHECKING, NamedTuple

from verdicts import Failure, Unproven

if TYPE_CHECKING:
    from collections.abc import Iterable

    from settings import Settings

PAGE_S = 10.0
ANSWER_TOKENS = 8
EXCERPT = 300


class Answer(NamedTuple):
    """One answered request; `ttft`, the time to first token, in seconds."""

    text: str
    prompt_tokens: int
    ttft: float


class Counters(NamedTuple):
    """Tokens that a replica has counted since it started."""

    prompt: float
    lmcache: float
    own: float


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
            Failure: the server refuses the request.
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
        """The longest sequence in tokens, or None where the server's list of models does not say."""
        try:
            cards = json.loads(self.get(f"{self._settings.openai_path}/models", seconds=PAGE_S))["data"]
            return next((card["max_model_len"] for card in cards if card.get("max_model_len")), None)
        except (Unproven, Failure, ValueError, KeyError, TypeError, AttributeError):
            return None

    def counters(self) -> Counters:
        """The counters as they are now.

        Raises:
            Unproven: the server does not answer.
            Failure: the server lacks a counter that the test needs.
        """
        sums = sum_metrics(self.get("/metrics", seconds=PAGE_S))
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
            Unproven: no whole answer came.
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
                connection.connect()  # the time to first token starts after the handshake
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
        ValueError: the stream carries an error, lacks a token or the usage, or breaks off.
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
