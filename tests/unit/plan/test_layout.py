"""What layers keep of a token, for each kind of attention that Hugging Face's configurations describe."""

import json
from pathlib import Path
from typing import Any

import pytest

from lmcache_kserve.errors import HarnessError
from lmcache_kserve.plan.config import read
from lmcache_kserve.plan.layers import Kind, kinds
from lmcache_kserve.plan.layout import layout

CONFIGS = Path(__file__).parent / "configs"
SMALL: dict[str, Any] = {"hidden_size": 512, "num_attention_heads": 8, "num_key_value_heads": 2, "num_hidden_layers": 6}
"""Layers of 2 heads of 64: 256 elements each."""
LAYER = 2 * 2 * 64


def fields(name: str) -> Any:
    return read(str(CONFIGS / f"{name}.json")).fields


@pytest.mark.parametrize(
    ("name", "attention", "size"),
    [
        ("llama-3.1-8b", "GQA", 32 * 2 * 8 * 128 * 2),
        ("qwen3-0.6b", "GQA", 28 * 2 * 8 * 128 * 2),  # heads of 128, though 1,024 / 16 is 64
        ("deepseek-v3", "MLA", 61 * (512 + 64) * 2),
        ("gemma-3-27b", "GQA", 62 * 2 * 16 * 128 * 2),
        ("falcon-7b", "MQA", 32 * 2 * 1 * 64 * 2),
        ("gpt2-xl", "MHA", 48 * 2 * 25 * 64 * 2),
        ("qwen3.5-27b", "GQA", 16 * 2 * 4 * 256 * 2),
    ],
)
def test_a_token_takes_what_its_layers_keep(name: str, attention: str, size: int) -> None:
    found = layout(fields(name))
    assert found.attention == attention
    assert found.bytes_per_token(2) == size
    assert found.bytes_per_token(1) == size / 2


def test_sliding_layers_keep_every_token_in_lmcache_and_a_window_in_the_engine() -> None:
    gemma = layout(fields("gemma-3-27b"))
    assert {group.kind: group.layers for group in gemma.groups} == {Kind.FULL: 10, Kind.SLIDING: 52}
    assert gemma.window == 1024
    assert gemma.own_bytes_per_token(2) == gemma.bytes_per_token(2)
    assert gemma.own_bytes_per_token(2, windows=True) == 10 * 2 * 16 * 128 * 2


def test_a_worker_has_a_head_though_there_are_fewer_heads_than_workers() -> None:
    found = layout(SMALL)
    assert found.bytes_per_token(2, tensor_parallel=2) == found.bytes_per_token(2)
    assert found.bytes_per_token(2, tensor_parallel=8) == 4 * found.bytes_per_token(2)


def test_latent_vectors_are_kept_once_in_the_cache_and_on_every_worker() -> None:
    found = layout(fields("deepseek-v3"))
    assert found.bytes_per_token(2, tensor_parallel=8) == 70272
    assert found.own_bytes_per_token(2, tensor_parallel=8) == 8 * 70272


def test_the_index_of_sparse_attention_counts_in_a_data_type_of_its_own() -> None:
    sparse = {**fields("deepseek-v3"), "index_head_dim": 128, "index_topk": 2048}
    assert layout(sparse).bytes_per_token(2) == 70272 + 61 * (128 + 4)


FULL, SLIDING, STATE, NONE = Kind.FULL, Kind.SLIDING, Kind.RECURRENT, Kind.NONE


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        pytest.param({}, [FULL] * 6, id="plain"),
        pytest.param(
            {"layer_types": ["sliding_attention", "full_attention"] * 3}, [SLIDING, FULL] * 3, id="layer_types"
        ),
        pytest.param({"layer_types": ["linear_attention"] * 5 + ["full_attention"]}, [STATE] * 5 + [FULL], id="linear"),
        pytest.param({"layers_block_type": ["mamba", "attention"] * 3}, [STATE, FULL] * 3, id="layers_block_type"),
        pytest.param({"hybrid_override_pattern": "M-M*-E"}, [STATE, NONE, STATE, FULL, NONE, NONE], id="pattern"),
        pytest.param(
            {"sliding_window": 128, "sliding_window_pattern": 3}, [SLIDING, SLIDING, FULL] * 2, id="every third"
        ),
        pytest.param({"sliding_window": 128, "model_type": "gemma2"}, [SLIDING, FULL] * 3, id="gemma2 alternates"),
        pytest.param({"sliding_window": 128}, [SLIDING] * 6, id="all slide"),
        pytest.param({"sliding_window": 128, "use_sliding_window": False}, [FULL] * 6, id="window not used"),
        pytest.param(
            {"sliding_window": 128, "use_sliding_window": True, "max_window_layers": 4},
            [FULL] * 4 + [SLIDING] * 2,
            id="upper layers slide",
        ),
        pytest.param({"full_attention_interval": 3}, [STATE, STATE, FULL] * 2, id="full_attention_interval"),
        pytest.param(
            {"attn_layer_period": 3, "attn_layer_offset": 1}, [STATE, FULL, STATE] * 2, id="attn_layer_period"
        ),
        pytest.param({"attn_layer_indices": [5]}, [STATE] * 5 + [FULL], id="attn_layer_indices"),
        pytest.param({"linear_attn_config": {"full_attn_layers": [3, 6]}}, [STATE, STATE, FULL] * 2, id="kimi"),
        pytest.param({"num_kv_shared_layers": 2}, [FULL] * 4 + [NONE] * 2, id="shared keys and values"),
    ],
)
def test_a_configuration_says_which_layers_keep_what(more: dict[str, Any], expected: list[Kind]) -> None:
    assert list(kinds({**SMALL, **more})) == expected


def test_full_layers_may_have_heads_of_their_own() -> None:
    mixed = {**SMALL, "sliding_window": 64, "sliding_window_pattern": 6}
    own = {**mixed, "num_global_key_value_heads": 1, "global_head_dim": 256}
    assert layout(mixed).bytes_per_token(2) == 6 * LAYER * 2
    assert layout(own).bytes_per_token(2) == 5 * LAYER * 2 + 2 * 1 * 256 * 2


def test_a_small_gemma_3_has_the_heads_that_transformers_gives_it() -> None:
    small = {"model_type": "gemma3_text", "hidden_size": 2560, "num_hidden_layers": 34}
    assert layout(small).bytes_per_token(2) == 34 * 2 * 4 * 256 * 2


@pytest.mark.parametrize(
    ("more", "says"),
    [
        pytest.param({"is_encoder_decoder": True}, "encoder-decoder", id="encoder"),
        pytest.param({"compress_ratios": [4, 128]}, "compress_ratios", id="compressed"),
        pytest.param({"num_key_value_heads": [1, 2]}, "num_key_value_heads is a list", id="heads by layer"),
        pytest.param({"layer_types": ["hyper_attention"]}, "hyper_attention", id="unknown layer"),
        pytest.param({"layer_types": ["mamba"] * 6}, "no layer has attention", id="no attention"),
        pytest.param({"num_hidden_layers": None}, "num_hidden_layers", id="no layers"),
        pytest.param({"num_attention_heads": 0}, "num_attention_heads", id="no heads"),
        pytest.param({"hidden_size": None}, "hidden_size", id="no size"),
        pytest.param({"kv_lora_rank": 512}, "qk_rope_head_dim", id="half a latent"),
    ],
)
def test_what_cannot_be_counted_is_refused_by_name(more: dict[str, Any], says: str) -> None:
    with pytest.raises(HarnessError, match=says) as refused:
        layout({**SMALL, **more})
    assert "--model" in str(refused.value)


def test_every_configuration_names_the_one_to_compare_it_with() -> None:
    for file in CONFIGS.glob("*.json"):
        assert json.loads(file.read_text(encoding="utf-8"))["_not_yet_compared_with"].startswith(
            "https://huggingface.co/"
        ), file
