"""Which layers have experts, by the fields of each family of models, and how many parameters that gives."""

from pathlib import Path
from typing import Any

import pytest

from lmcache_kserve.errors import HarnessError
from lmcache_kserve.plan.config import read
from lmcache_kserve.plan.feed_forward import feed_forward
from lmcache_kserve.plan.layers import Kind, kinds
from lmcache_kserve.plan.work import Work, work

CONFIGS = Path(__file__).parent / "configs"
ATTENTION = {"num_hidden_layers": 6, "hidden_size": 10, "num_attention_heads": 2, "vocab_size": 100}
EXPERTS = {"intermediate_size": 1000, "moe_intermediate_size": 10, "num_experts": 4, "num_experts_per_tok": 2}
SMALL: dict[str, Any] = ATTENTION | EXPERTS
MATRICES = 3 * 10
SPARSE = MATRICES * 4 * 10 + 10 * 4
DENSE = MATRICES * 1000


def sparse(more: dict[str, Any]) -> int:
    """How many of the six layers have experts, by their parameters."""
    total = feed_forward({**SMALL, **more}, 10)[1]
    return next(number for number in range(7) if number * SPARSE + (6 - number) * DENSE == total)


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        pytest.param({}, 6, id="all"),
        pytest.param({"num_experts": 0}, 0, id="none"),
        pytest.param({"interleave_moe_layer_step": 2}, 3, id="llama 4 interleaves"),
        pytest.param({"interleave_moe_layer_step": 4}, 1, id="llama 4 takes the last of a step"),
        pytest.param({"moe_layers": [1, 5]}, 2, id="llama 4 lists"),
        pytest.param({"expert_layer_period": 4, "expert_layer_offset": 1}, 2, id="jamba"),
        pytest.param({"expert_layer_period": 4, "expert_layer_offset": 2}, 1, id="jamba's offset"),
        pytest.param({"model_type": "jamba"}, 3, id="jamba's defaults"),
        pytest.param({"decoder_sparse_step": 2}, 3, id="qwen's step"),
        pytest.param({"decoder_sparse_step": 2, "mlp_only_layers": [0, 1]}, 2, id="qwen's step and list"),
        pytest.param({"mlp_only_layers": [0, 99]}, 5, id="qwen's list with a layer that is not there"),
        pytest.param({"first_k_dense_replace": 2}, 4, id="deepseek's first layers"),
        pytest.param({"first_k_dense_replace": 1, "moe_layer_freq": 2}, 2, id="deepseek's frequency"),
        pytest.param({"model_type": "deepseek_v3"}, 3, id="deepseek's default"),
        pytest.param({"moe_layer_freq": [0, 1, 1, 1, 0, 1]}, 4, id="a frequency for each layer"),
        pytest.param({"mlp_layer_types": ["dense", "sparse"] * 3}, 3, id="words"),
        pytest.param({"num_dense_layers": 2}, 4, id="dense layers first"),
        pytest.param(
            {"moe_layer_start_index": 1, "moe_layer_end_index": 4, "moe_layer_interval": 2}, 2, id="ernie's range"
        ),
        pytest.param({"moe_layer_start_index": 1, "moe_layer_end_index": -1}, 5, id="ernie's open end"),
    ],
)
def test_each_family_says_in_its_own_way_which_layers_have_experts(more: dict[str, Any], expected: int) -> None:
    assert sparse(more) == expected


def test_a_layer_of_nemotron_h_has_either_attention_or_a_feed_forward_part() -> None:
    fields = {**SMALL, "model_type": "nemotron_h", "hybrid_override_pattern": "M-M*-E"}
    assert feed_forward(fields, 10)[1] == 2 * (2 * 10 * 1000) + 2 * 10 * 4 * 10 + 10 * 4


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"moe_layers_enum": "1,2,3"}, "moe_layers_enum"),
        ({"moe_layer_frequency": 2}, "moe_layer_frequency"),
        ({"decoder_sparse_step": 0}, "decoder_sparse_step is 0"),
        ({"interleave_moe_layer_step": "x"}, "interleave_moe_layer_step is 'x'"),
        ({"expert_layer_period": 2, "expert_layer_offset": 2}, "expert_layer_offset is 2"),
        ({"mlp_layer_types": ["dense"]}, "mlp_layer_types lists 1 layers, and the model has 6"),
        ({"mlp_layer_types": ["thick"] * 6}, "'thick'"),
        ({"moe_layer_freq": [1]}, "moe_layer_freq lists 1 layers"),
        ({"moe_layers": [6]}, r"moe_layers\[0\] is 6"),
        ({"mlp_only_layers": "x"}, "mlp_only_layers is 'x'"),
        ({"intermediate_size": None, "moe_intermediate_size": None}, "no intermediate_size"),
    ],
)
def test_layers_that_cannot_be_told_apart_are_refused_by_the_field(more: dict[str, Any], says: str) -> None:
    with pytest.raises(HarnessError, match=f"^--model: .*{says}"):
        feed_forward({**SMALL, **more}, 10)


def test_three_of_four_layers_of_maverick_see_their_own_chunk() -> None:
    fields = read(str(CONFIGS / "llama-4-maverick.json")).fields
    expected = [Kind.SLIDING, Kind.SLIDING, Kind.SLIDING, Kind.FULL] * 12
    assert list(kinds(fields)) == expected
    assert list(kinds({**fields, "no_rope_layers": [1, 1, 1, 0] * 12})) == expected
    assert list(kinds({**fields, "no_rope_layers": [0, 1] * 24})) == [Kind.FULL, Kind.SLIDING] * 24
    assert set(kinds({**fields, "attention_chunk_size": None})) == {Kind.FULL}
    left_out = {name: value for name, value in fields.items() if name != "attention_chunk_size"}
    assert list(kinds(left_out)) == expected
    with pytest.raises(HarnessError, match="no_rope_layers lists 2 layers, and the model has 48"):
        kinds({**fields, "no_rope_layers": [0, 1]})


def test_a_chunk_is_seen_from_its_start_and_a_window_slides() -> None:
    chunks = Work(active=0, total=0, full_attention=0, sliding_attention=1, window=100, chunked=True)
    window = Work(active=0, total=0, full_attention=0, sliding_attention=1, window=100)
    assert chunks.operations(100) == window.operations(100) == 100 * 100 / 2
    assert chunks.operations(250) == (2 * 100 * 100 + 50 * 50) / 2
    assert chunks.operations(250) < window.operations(250)


@pytest.mark.parametrize(
    ("model_type", "more", "matrices"),
    [
        ("gemma2", {}, 1),
        ("gemma3_text", {}, 1),
        ("cohere", {}, 1),
        ("gpt2", {}, 1),
        ("llama", {}, 2),
        ("gemma2", {"tie_word_embeddings": False}, 2),
        ("llama", {"tie_word_embeddings": True}, 1),
    ],
)
def test_two_embeddings_are_one_where_transformers_ties_them(
    model_type: str, more: dict[str, Any], matrices: int
) -> None:
    fields = {**SMALL, "model_type": model_type, "num_experts": 0, **more}
    without = {**fields, "vocab_size": None}
    assert work(fields).total - work(without).total == matrices * 100 * 10
