"""The chunk size: whatever names it, whoever counts in chunks counts in those that LMCache uses."""

import re
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from rendering import Render, environment, lmcache_file, option, pod, remote_backend

from lmcache_kserve.chart.helm import HelmError
from lmcache_kserve.chart.manifests import Manifests, sidecars
from lmcache_kserve.lmcache.settings import DEFAULT_CHUNK_SIZE

VARIABLE = {"predictor": {"env": [{"name": "LMCACHE_CHUNK_SIZE", "value": "48"}]}}
CUSTOM = remote_backend("custom", url="mock://1/", config={"chunk_size": 96})
CASES = {
    "default": ({}, 256, "lmcache.chunkSize"),
    "value": ({"lmcache": {"chunkSize": 128}}, 128, "lmcache.chunkSize"),
    "configuration": ({"lmcache": {"chunkSize": 128, "config": {"chunk_size": 64}}}, 64, "lmcache.config.chunk_size"),
    "removed": (
        {"lmcache": {"chunkSize": 128, "config": {"chunk_size": None}}},
        DEFAULT_CHUNK_SIZE,
        "lmcache.config.chunk_size",
    ),
    "environment": ({"lmcache": {"configStyle": "env", "config": {"chunk_size": 64}}}, 64, "lmcache.config.chunk_size"),
    "variable": ({**VARIABLE, "lmcache": {"configStyle": "env", "chunkSize": 128}}, 48, "predictor.env[0]"),
    "backend": ({**CUSTOM, "lmcache": {"chunkSize": 128}}, 96, "remoteBackend.custom.config.chunk_size"),
    "sidecar": ({"lmcache": {"mode": "multiprocess", "chunkSize": 64}}, 64, "lmcache.chunkSize"),
    "variable beside a sidecar": (
        {**VARIABLE, "lmcache": {"mode": "multiprocess", "chunkSize": 64}},
        64,
        "lmcache.chunkSize",
    ),
}
"""Values, the chunk size that they make, and the value that decides it."""

EACH = pytest.mark.parametrize(("values", "chunk"), [case[:2] for case in CASES.values()], ids=CASES)


def used_by_lmcache(manifests: Manifests) -> int:
    """What LMCache reads: the server's argument, or else the environment before the file."""
    if servers := sidecars(pod(manifests).spec):
        return int(option(servers[0]["args"], "--chunk-size") or 0)
    variables = environment(pod(manifests).container)
    told = {} if "LMCACHE_CONFIG_FILE" not in variables else lmcache_file(manifests)
    return int(variables.get("LMCACHE_CHUNK_SIZE", told.get("chunk_size", DEFAULT_CHUNK_SIZE)))


@EACH
def test_lmcache_uses_the_chunk_size_that_wins(render: Render, values: Mapping[str, Any], chunk: int) -> None:
    assert used_by_lmcache(render(values)) == chunk


@EACH
def test_helm_test_counts_in_the_chunks_that_lmcache_uses(
    render: Render, values: Mapping[str, Any], chunk: int
) -> None:
    (container,) = render(values).one("Pod")["spec"]["containers"]
    assert option(container["args"], "--chunk-size") == str(chunk)


@EACH
def test_the_prompt_of_the_notes_has_two_whole_chunks(
    notes: Callable[[Mapping[str, Any]], str], values: Mapping[str, Any], chunk: int
) -> None:
    (words,) = re.findall(r"seq -s ' ' 1 (\d+)", notes(values))
    assert int(words) == 2 * chunk
    assert f"{2 * chunk} tokens" in notes(values)


@pytest.mark.parametrize(("values", "chunk", "value"), CASES.values(), ids=CASES)
def test_a_model_that_is_shorter_than_a_chunk_is_refused_with_the_value_that_decides(
    render: Render, values: Mapping[str, Any], chunk: int, value: str
) -> None:
    render({**values, "model": {"maxModelLen": chunk}})
    with pytest.raises(HelmError, match=rf"- {re.escape(value)}: a chunk of {chunk} tokens"):
        render({**values, "model": {"maxModelLen": chunk - 1}})


def test_without_lmcache_no_prompt_is_too_short(render: Render) -> None:
    render({"model": {"maxModelLen": 10}, "lmcache": {"enabled": False}, "remoteBackend": {"type": "none"}})
