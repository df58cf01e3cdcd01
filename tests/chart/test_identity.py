"""The computed hash seed: equal for all that may share chunks, another for all that may not."""

import re
from typing import Any

import pytest
from rendering import CHART, Render, environment, pod

BASE: dict[str, Any] = {"model": {"storageUri": "pvc://models/llama"}}


def seed(render: Render, values: dict[str, Any] | None = None, **options: Any) -> str:
    return str(environment(pod(render(values, **options)).container)["PYTHONHASHSEED"])


def model(**values: Any) -> dict[str, Any]:
    return {"model": {**BASE["model"], **values}}


def arguments(*values: str) -> dict[str, Any]:
    return model(extraArgs=list(values))


DIFFERENT = {
    "another storage": model(storageUri="pvc://models/qwen"),
    "another revision in the storage": model(storageUri="hf://meta-llama/Llama-3.2-1B:main"),
    "an id instead of a storage": {"model": {"id": "meta-llama/Llama-3.2-1B"}},
    "another length, which stretches some rotary embeddings": model(maxModelLen=8192),
    "another revision": arguments("--revision=abc"),
    "another revision in KServe's spelling": arguments("--model_revision=abc"),
    "another data type": arguments("--dtype", "float32"),
    "another data type of the cache": arguments("--kv-cache-dtype=fp8"),
    "another quantization": arguments("-q", "awq"),
    "random weights": arguments("--load-format=dummy"),
    "other rotary embeddings": arguments('--hf-overrides={"rope_theta": 1}'),
    "split by layers instead of heads": {
        **arguments("--pipeline-parallel-size=2"),
        "runtime": {"server": "vllm"},
        "predictor": {"gpu": {"count": 2}},
    },
    "a salt": {**BASE, "lmcache": {"keySalt": "tenant-b"}},
    "an adapter": {**arguments("--lora-modules", "a=/a"), "lmcache": {"adaptersByTag": True}},
    "another folder of an adapter": {**arguments("--lora-modules", "a=/b"), "lmcache": {"adaptersByTag": True}},
    "a second adapter": {**arguments("--lora-modules", "a=/a", "b=/b"), "lmcache": {"adaptersByTag": True}},
}


def test_whatever_changes_the_kv_cache_changes_the_seed(render: Render) -> None:
    seeds = {name: seed(render, values) for name, values in DIFFERENT.items()} | {
        "the model itself": seed(render, BASE)
    }
    assert len(set(seeds.values())) == len(seeds), seeds


SAME = {
    "more replicas": {**BASE, "predictor": {"replicas": 5}},
    "another name to its clients": model(name="other"),
    "more memory": {**BASE, "lmcache": {"localCpu": {"sizeGB": 6}}},
    "how many requests run at once": arguments("--max-num-seqs=4"),
    "how much memory vLLM takes": arguments("--gpu-memory-utilization", "0.5"),
    "an id that the storage replaces": model(id="another"),
}


@pytest.mark.parametrize("name", SAME)
def test_what_leaves_the_kv_cache_alone_leaves_the_seed_alone(render: Render, name: str) -> None:
    assert seed(render, SAME[name]) == seed(render, BASE)


def test_releases_of_one_model_have_one_seed(render: Render) -> None:
    assert seed(render, BASE, release="a", namespace="b") == seed(render, BASE)


@pytest.mark.parametrize(
    "spelling",
    [
        ["--dtype", "float32", "--kv-cache-dtype=fp8"],
        ["--kv_cache_dtype", "fp8", "--max-num-seqs", "4", "--dtype=float32"],
    ],
)
def test_spelling_and_order_of_arguments_do_not_matter(render: Render, spelling: list[str]) -> None:
    assert seed(render, arguments(*spelling)) == seed(render, arguments("--dtype=float32", "--kv-cache-dtype=fp8"))


@pytest.mark.parametrize("given", ["0", 0, "7", 4294967295], ids=["text", "number", "another", "largest"])
def test_a_given_seed_replaces_the_computed_one(render: Render, given: str | int) -> None:
    assert seed(render, {**BASE, "lmcache": {"hashSeed": given}}) == str(given)


def test_the_computed_seed_is_one_that_python_takes(render: Render) -> None:
    seeds = [seed(render, values) for values in DIFFERENT.values()]
    assert all(re.fullmatch("[0-9]+", value) and int(value) < 2**32 for value in seeds)


def test_every_option_is_spelled_as_the_arguments_are_compared() -> None:
    text = (CHART / "templates" / "lmcache" / "_identity.tpl").read_text(encoding="utf-8")
    options = re.findall(r'"(--?[^"]+)"', text.partition("identity.options")[2].partition("end }}")[0])
    assert len(options) > 20
    assert [option for option in options if "_" in option or "=" in option] == []
    assert len(options) == len(set(options))
