"""NOTES.txt: the exact commands to try and to check the release, and no secret."""

import re
from collections.abc import Callable, Mapping
from typing import Any

import pytest
import yaml
from rendering import BACKENDS, CHART, EVERYTHING, PASSWORD, Render, remote_backend

Notes = Callable[[Mapping[str, Any]], str]
ANNOTATIONS = yaml.safe_load((CHART / "Chart.yaml").read_text(encoding="utf-8"))["annotations"]
LMCACHE, VLLM = (ANNOTATIONS[f"lmcache-kserve/tested-{name}"] for name in ("lmcache", "vllm"))


@pytest.mark.parametrize("backend", [*BACKENDS, "redis-sentinel"])
def test_notes_name_the_objects_to_look_at(render: Render, notes: Notes, backend: str) -> None:
    manifests = render(remote_backend(backend))
    name = manifests.one("InferenceService")["metadata"]["name"]
    text = notes(remote_backend(backend))
    assert "kubectl" in text
    assert f"serving.kserve.io/inferenceservice={name}" in text
    assert "kserve-container" in text
    assert "-n models" in text


@pytest.mark.parametrize(
    ("server", "route"), [("vllm", "/v1/completions"), ("huggingfaceserver", "/openai/v1/completions")]
)
def test_notes_ask_the_dialects_route_for_the_served_model(notes: Notes, server: str, route: str) -> None:
    text = notes({"runtime": {"server": server}, "model": {"name": "llama"}})
    assert route in text
    assert "llama" in text


def test_notes_say_where_a_warm_up_tells_how_it_ended(render: Render, notes: Notes) -> None:
    values = {"warmup": {"prompts": ["a"]}}
    (selector,) = re.findall(r"kubectl logs -n models -l (\S+component=warm-up) -f", notes(values))
    labels = dict(one.split("=") for one in selector.split(","))
    assert labels.items() <= render(values).one("Job")["spec"]["template"]["metadata"]["labels"].items()
    assert "warm-up" not in notes({})


def test_notes_name_the_bandwidth_that_a_hit_needs_where_the_size_of_a_token_is_known(notes: Notes) -> None:
    told = "hits need 0.13 GB/s to come as soon: an engine of 10,000 tokens a second gains above 1.3 GB/s."
    assert told in notes({"model": {"kvBytesPerToken": 131072}})
    assert "GB/s" not in notes({})
    assert "GB/s" not in notes(
        {"model": {"kvBytesPerToken": 131072}, "lmcache": {"enabled": False}, "remoteBackend": {"type": "none"}}
    )


@pytest.mark.parametrize("backend", ["redis", "valkey"])
def test_notes_show_how_to_count_what_the_backend_holds(notes: Notes, backend: str) -> None:
    assert f"{backend}-cli dbsize" in notes(remote_backend(backend))


STORAGE: dict[str, Any] = {
    "model": {"storageUri": "pvc://models/llama"},
    **remote_backend("redis", deploy=False, external={"endpoint": "a:6379"}, auth={"enabled": False}),
}


@pytest.mark.parametrize(
    ("values", "warned"),
    [
        (STORAGE, False),
        ({**STORAGE, "lmcache": {"hashSeed": "0"}}, True),
        ({"model": STORAGE["model"], "lmcache": {"hashSeed": "0"}}, False),
        ({**STORAGE, "model": {"id": "a/b"}, "lmcache": {"hashSeed": "0"}}, False),
    ],
    ids=["computed seed", "given seed", "own backend", "model id"],
)
def test_notes_warn_of_a_shared_backend_in_which_models_could_mix(
    notes: Notes, values: dict[str, Any], *, warned: bool
) -> None:
    assert ("every model is /mnt/models" in notes(values)) is warned


@pytest.mark.parametrize(
    ("values", "warned"),
    [
        ({"runtime": {"image": {"repository": "example.com/vllm", "tag": "1"}}}, True),
        (
            {"runtime": {"image": {"repository": "example.com/vllm", "tag": "1"}}, "lmcache": {"version": "0.5.1"}},
            False,
        ),
        ({"runtime": {"image": {"repository": "kserve/huggingfaceserver", "tag": "v0.18.0-gpu"}}}, False),
        ({"runtime": {"image": {"repository": "kserve/huggingfaceserver", "tag": "latest-gpu"}}}, True),
        ({}, False),
        ({"runtime": {"server": "vllm"}}, False),
    ],
    ids=[
        "another image",
        "another image with its release",
        "a known tag",
        "an unknown tag",
        "default",
        "vLLM's default",
    ],
)
def test_notes_say_that_the_release_of_lmcache_is_a_guess(
    notes: Notes, values: dict[str, Any], *, warned: bool
) -> None:
    assert ("set lmcache.version" in notes(values)) is warned


UNKNOWN = {"repository": "example.com/vllm", "tag": "1"}


@pytest.mark.parametrize(
    ("values", "guessed", "options"),
    [
        (
            {"runtime": {"image": UNKNOWN}},
            f"LMCache {LMCACHE} with vLLM {VLLM}",
            "lmcache.version and runtime.vllmVersion",
        ),
        (
            {"runtime": {"image": UNKNOWN}, "lmcache": {"version": "0.5.1"}},
            f"vLLM {VLLM}",
            "runtime.vllmVersion",
        ),
        ({"runtime": {"image": UNKNOWN, "vllmVersion": "0.24.0"}}, f"LMCache {LMCACHE}", "lmcache.version"),
        (
            {"runtime": {"image": {"repository": "lmcache/vllm-openai", "tag": "v0.5.5"}}},
            f"vLLM {VLLM}",
            "runtime.vllmVersion",
        ),
    ],
    ids=["both", "vLLM", "LMCache", "vLLM of LMCache's image"],
)
def test_an_unknown_image_counts_as_the_newest_proven_pair(
    notes: Notes, values: dict[str, Any], guessed: str, options: str
) -> None:
    text = notes(values)
    assert f"newest pair that was proven: {guessed}. If the image has other releases, set {options}." in text


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"runtime": {"image": UNKNOWN, "vllmVersion": "0.24.0"}, "lmcache": {"version": "0.5.1"}},
        {"runtime": {"image": UNKNOWN}, "lmcache": {"enabled": False}, "remoteBackend": {"type": "none"}},
    ],
    ids=["known", "stated", "no LMCache"],
)
def test_notes_guess_nothing_that_is_known_or_not_needed(notes: Notes, values: dict[str, Any]) -> None:
    assert "newest pair" not in notes(values)


@pytest.mark.parametrize(
    ("image", "warned"),
    [({}, False), (UNKNOWN, True), ({"repository": "lmcache/vllm-openai", "tag": "v0.5.1"}, False)],
    ids=["the predictor's", "unknown", "known"],
)
def test_notes_say_that_the_release_of_the_server_is_a_guess(
    notes: Notes, image: dict[str, Any], *, warned: bool
) -> None:
    text = notes({"lmcache": {"mode": "multiprocess", "multiprocess": {"image": image}}})
    assert ("(lmcache.multiprocess.image)" in text) is warned
    assert ("counts as the predictor's, 0.5.1" in text) is warned


def test_notes_say_how_a_request_names_its_adapter(notes: Notes) -> None:
    tagged = {"lmcache": {"adaptersByTag": True}}
    assert "lmcache.tag.lora" in notes(tagged)
    assert "lmcache.tag.lora" not in notes({})


def test_notes_show_no_secret(notes: Notes) -> None:
    text = notes(EVERYTHING)
    assert PASSWORD not in text
    assert "hf_0123456789" not in text


def test_notes_of_a_release_without_lmcache_do_not_promise_hits(notes: Notes) -> None:
    off = {"lmcache": {"enabled": False}, "remoteBackend": {"type": "none"}}
    assert "hit tokens" not in notes(off)
    assert "hit tokens" in notes({})


def test_notes_name_the_commands_that_prove_it(notes: Notes) -> None:
    prove = "helm test llm -n models --logs"
    assert prove in notes({})
    assert prove not in notes({"tests": {"enabled": False}})
    for values in ({}, {"tests": {"enabled": False}}):
        assert "lmcache-kserve verify llm -n models" in notes(values)
