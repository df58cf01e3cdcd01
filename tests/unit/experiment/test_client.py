import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from fake_server import Behaviour, Handler, frames, list_models, serving, whole

from lmcache_kserve.experiment.client import (
    CompletionClient,
    Model,
    RequestError,
    StatusError,
    StreamError,
    UnreachableError,
)
from lmcache_kserve.experiment.probe import request_ids


def answering(lines: list[str]) -> Behaviour:
    return lambda handler, _: handler.stream(lines)


def complete(behaviour: Behaviour, **options: Any) -> Any:
    with serving(behaviour, **options) as server, CompletionClient(server.url, model="tiny") as client:
        return client.complete("a prompt", request_id="lmk-1", max_tokens=4)


def test_an_answer_is_put_together_from_its_frames_with_the_servers_own_token_count() -> None:
    answer = complete(answering(frames("one two three", prompt_tokens=3210)))

    assert answer.text == "one two three "
    assert answer.prompt_tokens == 3210
    assert answer.status == 200
    assert answer.request_id == "lmk-1"


def test_a_request_asks_for_exactly_as_many_tokens_at_temperature_zero_and_carries_its_id() -> None:
    seen: dict[str, Any] = {}

    def behaviour(handler: Handler, body: dict[str, Any]) -> None:
        seen.update(body, header=handler.headers["X-Request-Id"], path=handler.path)
        handler.stream(frames("one", prompt_tokens=2))

    complete(behaviour)

    assert seen == {
        "model": "tiny",
        "prompt": "a prompt",
        "max_tokens": 4,
        "temperature": 0,
        "ignore_eos": True,
        "stream": True,
        "stream_options": {"include_usage": True},
        "header": "lmk-1",
        "path": "/v1/completions",
    }


@pytest.mark.parametrize("salt", ["", "acme"])
def test_a_request_carries_its_tenant_and_no_empty_one(salt: str) -> None:
    seen: dict[str, Any] = {}

    def behaviour(handler: Handler, body: dict[str, Any]) -> None:
        seen.update(body)
        handler.stream(frames("one", prompt_tokens=2))

    with serving(behaviour) as server, CompletionClient(server.url, model="tiny") as client:
        client.complete("a prompt", request_id="lmk-1", max_tokens=4, cache_salt=salt)
    assert seen.get("cache_salt") == (salt or None)
    assert ("cache_salt" in seen) == bool(salt)


def test_the_clock_stops_at_the_first_text_not_at_headers_or_an_empty_frame() -> None:
    pause = 0.3

    def behaviour(handler: Handler, _: dict[str, Any]) -> None:
        empty, first, *rest = frames("one two", prompt_tokens=2)
        handler.send_response(200)
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        handler.chunk(f"{empty}\n\n".encode())
        time.sleep(pause)  # a pause of the engine, which is what is measured
        handler.chunk(f"{first}\n\n".encode())
        time.sleep(pause)
        for line in rest:
            handler.chunk(f"{line}\n\n".encode())
        handler.chunk(b"")

    answer = complete(behaviour)

    assert pause <= answer.ttft_s
    assert answer.ttft_s + pause / 2 <= answer.total_s  # whoever reads may be late


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        (frames("", prompt_tokens=2), "ended without a token"),
        (frames("one", prompt_tokens=2)[:-1], "broke off before its end"),
        ([*frames("one", prompt_tokens=2)[:-2], "data: [DONE]"], "told no usage.prompt_tokens"),
        (['data: {"error": {"message": "engine died"}}', "data: [DONE]"], "engine died"),
        (["data: {not json", "data: [DONE]"], "a frame is not JSON"),
    ],
    ids=["no token", "broken off", "no usage", "error frame", "not JSON"],
)
def test_a_stream_that_breaks_its_promise_is_an_error(lines: list[str], reason: str) -> None:
    with pytest.raises(StreamError, match=reason) as caught:
        complete(answering(lines))

    assert caught.value.request_id == "lmk-1"


def test_a_token_without_text_is_a_token() -> None:
    lines = [
        'data: {"choices": [{"text": ""}]}',
        'data: {"choices": [], "usage": {"prompt_tokens": 300, "completion_tokens": 1}}',
        "data: [DONE]",
    ]
    answer = complete(answering(lines))

    assert (answer.text, answer.prompt_tokens) == ("", 300)
    assert 0 < answer.ttft_s <= answer.total_s


def test_comments_and_blank_lines_of_a_stream_are_passed_over() -> None:
    assert complete(answering([": keep-alive", "", *frames("one", prompt_tokens=2)])).text == "one "


def test_an_http_error_tells_its_status_and_shows_the_servers_words() -> None:
    with pytest.raises(StatusError, match="HTTP 404; is 'tiny' the served model name") as caught:
        complete(lambda handler, _: handler.reply(404, b"no such model"))

    assert caught.value.status == 404
    assert caught.value.__notes__ == ["no such model"]


def test_a_connection_cut_in_mid_stream_is_seen_as_a_replica_that_died() -> None:
    def behaviour(handler: Handler, _: dict[str, Any]) -> None:
        handler.send_response(200)
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        handler.chunk(f"{frames('one', prompt_tokens=2)[1]}\n\n".encode())
        handler.close_connection = True
        handler.connection.shutdown(2)

    with pytest.raises(UnreachableError, match="request lmk-1"):
        complete(behaviour)


def test_a_refused_connection_is_not_retried() -> None:
    with serving(answering([])) as server:
        url = server.url

    with CompletionClient(url, model="tiny") as client, pytest.raises(RequestError):
        client.complete("a prompt", request_id="lmk-1", max_tokens=4)


def test_a_proxy_from_the_environment_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:1")

    assert complete(answering(frames("one", prompt_tokens=2))).status == 200


def test_an_answer_that_is_not_streamed_is_the_same_answer() -> None:
    seen: dict[str, Any] = {}

    def behaviour(handler: Handler, body: dict[str, Any]) -> None:
        seen.update(body, header=handler.headers["X-Request-Id"])
        handler.reply(200, whole(frames("one two", prompt_tokens=3210)))

    with serving(behaviour) as server, CompletionClient(server.url, model="tiny") as client:
        answer = client.complete_whole("a prompt", request_id="lmk-1", max_tokens=4)

    assert (answer.text, answer.prompt_tokens, answer.request_id) == ("one two ", 3210, "lmk-1")
    assert answer.ttft_s == answer.total_s
    assert seen == {
        "model": "tiny",
        "prompt": "a prompt",
        "max_tokens": 4,
        "temperature": 0,
        "ignore_eos": True,
        "header": "lmk-1",
    }


@pytest.mark.parametrize("body", [b"not JSON", b"{}", b'{"choices": [], "usage": {"prompt_tokens": 1}}', b"[]"])
def test_an_answer_that_is_no_completion_is_an_error(body: bytes) -> None:
    with (
        serving(lambda handler, _: handler.reply(200, body)) as server,
        CompletionClient(server.url, model="tiny") as client,
        pytest.raises(StreamError, match="the answer to request lmk-1 is no completion"),
    ):
        client.complete_whole("a prompt", request_id="lmk-1", max_tokens=4)


def hang_up(behaviour: Behaviour, *, patience_s: float = 5.0) -> str:
    with serving(behaviour) as server, CompletionClient(server.url, model="tiny") as client:
        return client.hang_up("a prompt", request_id="lmk-1", max_tokens=4, patience_s=patience_s)


def slow(released: threading.Event, gone: threading.Event, *, sent: int) -> Behaviour:
    """Sends so many frames, waits, and then notices that nobody listens any more."""

    def behaviour(handler: Handler, _: dict[str, Any]) -> None:
        handler.send_response(200)
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        for line in frames("one two", prompt_tokens=2)[:sent]:
            handler.chunk(f"{line}\n\n".encode())
        released.wait(10)
        try:
            for _number in range(1000):
                handler.chunk(b": keep-alive\n\n")
        except OSError:
            gone.set()

    return behaviour


@pytest.mark.parametrize(
    ("sent", "patience_s", "text"),
    [(2, 5.0, "one "), (1, 0.1, ""), (0, 0.1, "")],
    ids=["text", "empty frame", "headers"],
)
def test_a_client_that_hangs_up_closes_the_connection_and_tells_what_had_come(
    sent: int, patience_s: float, text: str
) -> None:
    released, gone = threading.Event(), threading.Event()
    assert hang_up_then(released, gone, slow(released, gone, sent=sent), patience_s) == text


def hang_up_then(released: threading.Event, gone: threading.Event, behaviour: Behaviour, patience_s: float) -> str:
    with serving(behaviour) as server, CompletionClient(server.url, model="tiny") as client:
        text = client.hang_up("a prompt", request_id="lmk-1", max_tokens=4, patience_s=patience_s)
        released.set()
        assert gone.wait(10), "the connection is still open"
        return text


def test_a_server_that_dies_before_the_client_hangs_up_is_an_error() -> None:
    def behaviour(handler: Handler, _: dict[str, Any]) -> None:
        handler.close_connection = True
        handler.connection.shutdown(2)

    with pytest.raises(UnreachableError, match="request lmk-1"):
        hang_up(behaviour)


def test_a_stream_without_a_token_is_an_error_for_a_client_that_hangs_up_too() -> None:
    with pytest.raises(StreamError, match="ended without a token"):
        hang_up(answering(frames("", prompt_tokens=2)))


def test_request_ids_may_be_asked_for_by_many_threads_at_once() -> None:
    ids = request_ids(7)
    with ThreadPoolExecutor(max_workers=8) as pool:
        made = [one for batch in pool.map(lambda _: [next(ids) for _ in range(2000)], range(8)) for one in batch]
    assert len(set(made)) == 16000
    assert min(made) == "lmk-0000000000000007-000000"


def closed(handler: Handler) -> None:
    """A page of a server with an API key."""
    if handler.headers.get("Authorization") == "Bearer right":
        list_models(handler)
    else:
        handler.reply(401, b"Unauthorized")


def test_a_server_with_an_api_key_gets_the_key() -> None:
    with (
        serving(answering([]), page=closed) as server,
        CompletionClient(server.url, model="tiny", api_key="right") as it,
    ):
        assert [model.name for model in it.models()] == ["tiny"]


def test_a_missing_api_key_is_named_with_the_value_to_set() -> None:
    with (
        serving(answering([]), page=closed) as server,
        CompletionClient(server.url, model="tiny") as client,
        pytest.raises(StatusError, match=r"VLLM_API_KEY in predictor\.env"),
    ):
        client.models()


@pytest.mark.parametrize("context", [4096, None])
def test_the_list_of_models_tells_the_context_length_where_the_server_does(context: int | None) -> None:
    with serving(answering([]), context=context) as server, CompletionClient(server.url, model="tiny") as client:
        assert client.models() == (Model("tiny", context),)


def test_the_fakes_frames_are_what_the_tests_take_them_for() -> None:
    assert json.loads(frames("one", prompt_tokens=2)[1].removeprefix("data: ")) == {"choices": [{"text": "one "}]}
