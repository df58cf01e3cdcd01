"""Completions with a trustworthy time to first token; the only module that speaks HTTP to a replica.

The connection is open before the clock starts. The clock stops at the first frame that carries text: headers, empty
frames and the usage frame do not count.
"""

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import httpx2

from lmcache_kserve.errors import HarnessError

_CONNECT_TIMEOUT_S = 10.0
_READ_TIMEOUT_S = 300.0
_KEPT_S = 2.0
_EXCERPT = 500


class RequestError(HarnessError):
    """A request without a proper answer. Nothing is retried here, so that every retry is visible."""

    def __init__(self, message: str, *, request_id: str) -> None:
        super().__init__(message)
        self.request_id = request_id


class UnreachableError(RequestError):
    """The connection was refused, lost or timed out: what a client sees of a replica that died."""


class StatusError(RequestError):
    """The server answered with an HTTP error."""

    def __init__(self, message: str, *, request_id: str, status: int) -> None:
        super().__init__(message, request_id=request_id)
        self.status = status


class StreamError(RequestError):
    """The stream broke its promise: an error frame, no token, no usage, or an end before the end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Completion:
    """One answered request.

    Attributes:
        request_id: what was sent as X-Request-Id; the engine's log lines carry it as a substring.
        text: the generated text.
        ttft_s: seconds from sending the request to the first frame with text, or to the first frame of an answer whose
            tokens have none.
        total_s: seconds from sending the request to the end of the stream.
        prompt_tokens: length of the prompt as the server's tokenizer counts it.
        status: the HTTP status.
    """

    request_id: str
    text: str
    ttft_s: float
    total_s: float
    prompt_tokens: int
    status: int


@dataclass(frozen=True, slots=True)
class Model:
    """One entry of the server's list of models; `max_tokens` is its context length, where the server tells."""

    name: str
    max_tokens: int | None


class CompletionClient:
    """A client of one replica."""

    def __init__(
        self, openai_url: str, *, model: str, api_key: str = "", read_timeout: float = _READ_TIMEOUT_S
    ) -> None:
        """Open a client.

        Args:
            openai_url: the base of the OpenAI routes.
            model: the served name.
            api_key: the server's key; empty where the server asks for none.
            read_timeout: seconds to wait for the next part of an answer.
        """
        self._url = openai_url
        self._model = model
        self._read_timeout = read_timeout
        # A proxy from the environment would be measured along with the engine.
        self._http = httpx2.Client(
            timeout=httpx2.Timeout(_CONNECT_TIMEOUT_S, read=read_timeout),
            # vLLM closes a connection that is idle for 5 s: a request sent at that moment would fail.
            limits=httpx2.Limits(keepalive_expiry=_KEPT_S),
            trust_env=False,
            headers={"Authorization": f"Bearer {api_key}"} if api_key else {},
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def models(self) -> tuple[Model, ...]:
        """The models that the server serves.

        Raises:
            RequestError: the server does not answer, or not with a list of models.
        """
        request_id = "models"
        try:
            response = self._http.get(f"{self._url}/models")
        except httpx2.HTTPError as error:
            raise self._unreachable(error, request_id) from error
        if response.status_code != httpx2.codes.OK:
            raise self._status(response, request_id)
        try:
            cards = response.json()["data"]
            return tuple(Model(str(card["id"]), _positive(card.get("max_model_len"))) for card in cards)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise StreamError(f"{self._url}/models is no list of models", request_id=request_id) from error

    def complete(self, prompt: str, *, request_id: str, max_tokens: int, cache_salt: str = "") -> Completion:
        """Send one prompt and read the answer to its end: temperature 0, exactly `max_tokens` tokens.

        Args:
            prompt: what to ask.
            request_id: its id.
            max_tokens: length of the answer.
            cache_salt: the tenant that asks; empty for none.

        Raises:
            UnreachableError: the connection failed or was lost.
            StatusError: the server answered with an HTTP error.
            StreamError: the stream carried an error, no text, no usage, or ended early.
        """
        # Servers drop idle connections within seconds: without this the next request would time a TCP handshake.
        self.models()
        begin = time.perf_counter()
        with self._streamed(prompt, request_id=request_id, max_tokens=max_tokens, cache_salt=cache_salt) as response:
            answer = _read(_frames(response.iter_lines(), request_id), request_id)
        return Completion(
            request_id=request_id,
            text=answer.text,
            ttft_s=answer.first_token_at - begin,
            total_s=time.perf_counter() - begin,
            prompt_tokens=answer.prompt_tokens,
            status=response.status_code,
        )

    def complete_whole(self, prompt: str, *, request_id: str, max_tokens: int) -> Completion:
        """Send the same request without streaming; the time to the first token is then the time to the last.

        Raises:
            UnreachableError: the connection failed or was lost.
            StatusError: the server answered with an HTTP error.
            StreamError: the answer is no completion.
        """
        self.models()
        begin = time.perf_counter()
        try:
            response = self._http.post(
                f"{self._url}/completions",
                json=self._body(prompt, max_tokens),
                headers={"X-Request-Id": request_id},
            )
        except httpx2.HTTPError as error:
            raise self._unreachable(error, request_id) from error
        if response.status_code != httpx2.codes.OK:
            raise self._status(response, request_id)
        total_s = time.perf_counter() - begin
        try:
            content = response.json()
            text, tokens = content["choices"][0]["text"], content["usage"]["prompt_tokens"]
        except (ValueError, KeyError, TypeError, IndexError) as error:
            raise StreamError(f"the answer to request {request_id} is no completion", request_id=request_id) from error
        return Completion(
            request_id=request_id,
            text=str(text),
            ttft_s=total_s,
            total_s=total_s,
            prompt_tokens=int(tokens),
            status=response.status_code,
        )

    def hang_up(self, prompt: str, *, request_id: str, max_tokens: int, patience_s: float) -> str:
        """Send one prompt and close the connection before the answer is whole.

        Args:
            prompt: what to ask.
            request_id: its id.
            max_tokens: length of the answer that nobody waits for.
            patience_s: seconds to wait for each part of the answer. The first text ends the wait too.

        Returns:
            The text that had come: empty where the patience was shorter than the computing.

        Raises:
            UnreachableError: the connection failed or was lost.
            StatusError: the server answered with an HTTP error.
            StreamError: the stream carried an error, or ended before any text.
        """
        self.models()
        try:
            with self._streamed(
                prompt, request_id=request_id, max_tokens=max_tokens, patience_s=patience_s
            ) as response:
                for frame in _frames(response.iter_lines(), request_id):
                    if text := _text(frame, request_id):
                        return text
        except UnreachableError as error:
            if isinstance(error.__cause__, httpx2.ReadTimeout):
                return ""
            raise
        raise StreamError(f"the stream of request {request_id} ended without a token", request_id=request_id)

    def _body(self, prompt: str, max_tokens: int) -> dict[str, Any]:
        return {
            "model": self._model,
            "prompt": prompt,
            "max_tokens": max_tokens,
            "temperature": 0,
            "ignore_eos": True,
        }

    @contextmanager
    def _streamed(
        self,
        prompt: str,
        *,
        request_id: str,
        max_tokens: int,
        patience_s: float | None = None,
        cache_salt: str = "",
    ) -> Iterator[httpx2.Response]:
        """The response to a prompt, not read yet; the connection is closed where it was not read to its end."""
        body = {**self._body(prompt, max_tokens), "stream": True, "stream_options": {"include_usage": True}}
        if cache_salt:  # vLLM refuses an empty one
            body["cache_salt"] = cache_salt
        read_timeout = self._read_timeout if patience_s is None else patience_s
        timeout = httpx2.Timeout(_CONNECT_TIMEOUT_S, read=read_timeout)
        headers = {"X-Request-Id": request_id}
        try:
            with self._http.stream(
                "POST", f"{self._url}/completions", json=body, headers=headers, timeout=timeout
            ) as response:
                if response.status_code != httpx2.codes.OK:
                    response.read()
                    raise self._status(response, request_id)
                yield response
        except httpx2.HTTPError as error:
            raise self._unreachable(error, request_id) from error

    def _unreachable(self, error: httpx2.HTTPError, request_id: str) -> UnreachableError:
        words = str(error) or type(error).__name__
        return UnreachableError(f"request {request_id} to {self._url} failed: {words}", request_id=request_id)

    def _status(self, response: httpx2.Response, request_id: str) -> StatusError:
        text = f"request {request_id} to {self._url} was answered with HTTP {response.status_code}"
        if response.status_code == httpx2.codes.NOT_FOUND:
            text += f"; is {self._model!r} the served model name (model.name)?"
        if response.status_code == httpx2.codes.UNAUTHORIZED:
            text += "; the server wants an API key: set VLLM_API_KEY in predictor.env, from a Secret"
        error = StatusError(text, request_id=request_id, status=response.status_code)
        error.add_note(response.text[:_EXCERPT])
        return error


@dataclass(frozen=True, slots=True)
class _Answer:
    text: str
    first_token_at: float
    prompt_tokens: int


def _read(frames: Iterator[dict[str, Any]], request_id: str) -> _Answer:
    """Put a stream's frames together; `first_token_at` is on the clock of `time.perf_counter`."""
    parts: list[str] = []
    first_text: float | None = None
    first_choice: float | None = None
    prompt_tokens = completion_tokens = None
    for frame in frames:
        text = _text(frame, request_id)
        if text is not None:
            first_choice = first_choice or time.perf_counter()
            if text and first_text is None:
                first_text = time.perf_counter()
            parts.append(text)
        usage = frame.get("usage")
        if usage:
            prompt_tokens = _positive(usage.get("prompt_tokens"))
            completion_tokens = _positive(usage.get("completion_tokens"))
    # A token may have no text: a special one, or the first byte of a character.
    first = first_text or (first_choice if completion_tokens else None)
    if first is None:
        raise StreamError(f"the stream of request {request_id} ended without a token", request_id=request_id)
    if prompt_tokens is None:
        raise StreamError(f"the stream of request {request_id} told no usage.prompt_tokens", request_id=request_id)
    return _Answer("".join(parts), first, prompt_tokens)


def _text(frame: Mapping[str, Any], request_id: str) -> str | None:
    """The text of a frame; None where the frame carries none, as the one with the usage."""
    if "error" in frame:
        raise StreamError(f"request {request_id} failed in its stream: {frame['error']}", request_id=request_id)
    choices = frame.get("choices")
    return "".join(choice.get("text") or "" for choice in choices) if choices else None


def _frames(lines: Iterator[str], request_id: str) -> Iterator[dict[str, Any]]:
    """The JSON frames of a stream of server-sent events; raises where it ends without its end marker."""
    for line in lines:
        if not line.startswith("data:"):
            continue
        data = line.removeprefix("data:").strip()
        if data == "[DONE]":
            return
        try:
            frame = json.loads(data)
        except ValueError as error:
            raise StreamError(
                f"request {request_id}: a frame is not JSON: {data[:_EXCERPT]}", request_id=request_id
            ) from error
        if isinstance(frame, dict):
            yield frame
    raise StreamError(f"the stream of request {request_id} broke off before its end", request_id=request_id)


def _positive(value: object) -> int | None:
    return value if isinstance(value, int) and value > 0 else None
