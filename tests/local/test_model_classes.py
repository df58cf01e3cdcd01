"""Each class of models on a CPU: right answers from the cache, or a refusal that names what is not supported."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from running import ALL, Demo

from lmcache_kserve import resources
from lmcache_kserve.engine.find import ensure_engine
from lmcache_kserve.progress import untold

pytestmark = [pytest.mark.local, pytest.mark.long]

QUICK = ("--pairs", "3", "--no-baseline")
MAKE = Path(__file__).with_name("make_model_class.py")
SMALL = {
    "hidden_size": 256,
    "intermediate_size": 512,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 64,
    # One through the root of hidden_size, as in images/vllm-cpu/make_model.py: answers depend on all of the prompt.
    "initializer_range": 0.0625,
}
EXPERTS = {
    "num_experts": 4,
    "num_experts_per_tok": 2,
    "moe_intermediate_size": 256,
    "decoder_sparse_step": 1,
}
LATENT = {
    "kv_lora_rank": 512,
    "q_lora_rank": None,
    "qk_nope_head_dim": 64,
    "qk_rope_head_dim": 64,
    "v_head_dim": 64,
    # All layers are dense; the configuration still wants a number.
    "n_routed_experts": 2,
    "first_k_dense_replace": 4,
}
NO_LATENT = "multi-head latent attention (MLA)"
NO_TYPE = "cannot cache a KV cache of type"


def of_class(name: str, model_type: str, **fields: Any) -> Any:
    """A class of models that passes."""
    return pytest.param(
        {"model_type": model_type} | SMALL | fields, id=name, marks=pytest.mark.proves("model", name, "in-process")
    )


def made(fields: dict[str, Any], folder: Path) -> Path:
    """The folder of a new model."""
    python = ensure_engine(untold).python
    make_model = resources.image_path() / "make_model.py"
    subprocess.run([python, MAKE, folder, make_model, json.dumps(fields)], check=True)
    return folder


@pytest.mark.parametrize(
    "fields",
    [
        of_class("multi-head attention", "llama", num_key_value_heads=4),
        of_class("multi-query attention", "llama", num_key_value_heads=1),
        of_class("heads of 128", "llama", head_dim=128),
        of_class("heads of 256", "llama", head_dim=256, num_attention_heads=2, num_key_value_heads=1),
        of_class("mixture of experts", "qwen3_moe", **EXPERTS),
        of_class("sliding window", "mistral", sliding_window=1024),
        of_class("sliding window in some layers", "gemma3_text", sliding_window=512, query_pre_attn_scalar=64),
    ],
)
def test_a_class_of_models_gives_right_answers(demo: Demo, tmp_path: Path, fields: dict[str, Any]) -> None:
    outcome = demo(*QUICK, "--model", str(made(fields, tmp_path / "model")))

    assert outcome.code == 0, outcome.output
    assert outcome.passed == ALL


@pytest.mark.parametrize(
    "dtype",
    [
        pytest.param(dtype, marks=pytest.mark.proves("model", dtype, "in-process"))
        for dtype in ("float32", "bfloat16", "float16")
    ],
)
def test_a_type_of_numbers_gives_right_answers(demo: Demo, dtype: str) -> None:
    outcome = demo(*QUICK, "--set", f"model.extraArgs={{--dtype={dtype},--enforce-eager}}")

    assert outcome.code == 0, outcome.output
    assert outcome.passed == ALL


@pytest.mark.proves("model", "multi-head latent attention", "in-process")
def test_latent_attention_is_refused_by_name(demo: Demo, tmp_path: Path) -> None:
    fields = {"model_type": "deepseek_v2"} | SMALL | LATENT
    # vLLM 0.32 has no latent attention in float32 for CPUs with AMX.
    numbers = ("--set", "model.extraArgs={--dtype=bfloat16,--enforce-eager}")

    outcome = demo(*QUICK, *numbers, "--model", str(made(fields, tmp_path / "model")))

    assert outcome.code == 1, outcome.output
    assert NO_LATENT in outcome.words


@pytest.mark.proves("model", "KV cache in fp8", "in-process")
def test_a_cache_in_fp8_is_refused_by_name(demo: Demo) -> None:
    extra = "model.extraArgs={--dtype=float32,--enforce-eager,--kv-cache-dtype=fp8_e5m2}"

    outcome = demo(*QUICK, "--set", extra)

    assert outcome.code == 1, outcome.output
    assert NO_TYPE in outcome.words
