"""Whatever stands in a model's configuration, the plan is made or refused in one sentence."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lmcache_kserve import resources
from lmcache_kserve.errors import HarnessError
from lmcache_kserve.plan.inputs import Inputs
from lmcache_kserve.plan.plan import make
from lmcache_kserve.report import plan_table

CONFIGS = sorted((Path(__file__).parent / "configs").glob("*.json"))
LLAMA = Path(__file__).parent / "configs" / "llama-3.1-8b.json"
READ = (
    *("_name_or_path", "attention_chunk_size", "attn_layer_indices", "attn_layer_offset", "attn_layer_period"),
    *("block_configs", "compress_ratios", "decoder_sparse_step", "dtype", "expert_layer_offset", "expert_layer_period"),
    *("first_k_dense_replace", "full_attention_interval", "global_head_dim", "head_dim", "hybrid_layer_pattern"),
    *("hybrid_override_pattern", "index_head_dim", "interleave_moe_layer_step", "intermediate_size_mlp"),
    *("is_encoder_decoder", "kv_lora_rank", "layer_types", "layers_block_type", "linear_attn_config"),
    *("max_position_embeddings", "max_window_layers", "mlp_layer_types", "mlp_only_layers", "moe_intermediate_size"),
    *("moe_layer_end_index", "moe_layer_freq", "moe_layer_interval", "moe_layer_start_index", "moe_layers"),
    *("multi_query", "n_shared_experts", "no_rope_layer_interval", "no_rope_layers", "num_dense_layers"),
    *("num_experts", "num_experts_per_tok", "num_global_key_value_heads", "num_kv_shared_layers", "q_lora_rank"),
    *("qk_nope_head_dim", "qk_rope_head_dim", "quantization_config", "shared_expert_intermediate_size"),
    *("sliding_window", "sliding_window_pattern", "tie_word_embeddings", "use_sliding_window", "v_head_dim"),
)
"""Fields that the plan reads beside those of the files."""
HUGE = 10**400
ODD: Sequence[Any] = (
    *(None, True, False, 0, 1, 2, 3, -1, -128, 2**31, HUGE, -HUGE, 0.5, 128.0, float("nan"), float("inf")),
    *("", "abc", "128", "*", "M-M*", "\ud800", "[/b]", "a\nb", [], [0], [-1], [True], ["a"], [None], [[]], [HUGE]),
    *(["full_attention"], ["mamba"] * 32, [0, 1] * 16, [10**6], {}, {"a": 1}, {"full_attn_layers": ["a"]}),
    *({"full_attn_layers": [0]}, {"bits": "x"}, {"bits": True}, {"bits": HUGE}, {"quant_method": ["x"]}),
)
VALUES = st.sampled_from(ODD) | st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=4,
)


def paths(fields: Mapping[str, Any], prefix: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """Every key, at every depth, and those that are read beside, where the language model has its own."""
    found = [(*prefix, name) for name in fields]
    for name, value in fields.items():
        if isinstance(value, Mapping):
            found += paths(value, (*prefix, name))
    language = "text_config" not in fields and prefix in {(), ("text_config",)}
    return found + [(*prefix, name) for name in READ if language and name not in fields]


def replaced(fields: Mapping[str, Any], path: tuple[str, ...], value: object) -> dict[str, Any]:
    name, *rest = path
    return {**fields, name: replaced(fields[name], tuple(rest), value) if rest else value}


def refusal(file: Path, gpu: str | None = "B200") -> str:
    """The sentence of refusal; empty where there is a plan."""
    pipeline = {"gpu": gpu} if gpu else {"prefill_rate": 3000.0}
    try:
        made = make(Inputs(model=str(file), network="25G", working_set=10**6, **pipeline), resources.rates_path())
    except HarnessError as error:
        sentence = str(error)
        assert sentence.startswith(("--model", "the weights take", "a cache that"))
        assert len(sentence.splitlines()) == 1
        assert len(sentence) < 500
        return sentence
    plan_table.table(made)
    json.loads(plan_table.dump_json(made).encode(), parse_constant=pytest.fail)
    return ""


@st.composite
def edited(draw: st.DrawFn) -> dict[str, Any]:
    """The file of a model with another value in one place, or in two."""
    fields: dict[str, Any] = json.loads(draw(st.sampled_from(CONFIGS)).read_text(encoding="utf-8"))
    for _ in range(draw(st.integers(1, 2))):
        fields = replaced(fields, draw(st.sampled_from(paths(fields))), draw(VALUES))
    return fields


def test_any_value_in_place_of_any_other_gives_a_plan_or_one_sentence(tmp_path: Path) -> None:
    file = tmp_path / "config.json"

    # A change is not judged by chance: each run tries the same files.
    @settings(
        max_examples=500,
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow],
    )
    @given(edited(), st.booleans())
    def holds(fields: dict[str, Any], gpu: bool) -> None:  # noqa: FBT001 - Hypothesis draws it
        file.write_text(json.dumps(fields), encoding="utf-8")
        refusal(file, "B200" if gpu else None)

    holds()


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.stem)
def test_every_field_of_a_file_may_be_odd(tmp_path: Path, config: Path) -> None:
    fields = json.loads(config.read_text(encoding="utf-8"))
    file = tmp_path / "config.json"
    for path in paths(fields):
        for value in ("abc", -128, ["x"]):
            file.write_text(json.dumps(replaced(fields, path, value)), encoding="utf-8")
            refusal(file)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("vocab_size", "abc"), ("head_dim", 0), ("head_dim", -128), ("hidden_size", 1), ("intermediate_size", -4)),
        *(("num_kv_shared_layers", "x"), ("num_kv_shared_layers", -3), ("num_kv_shared_layers", 33)),
        *(("full_attention_interval", 0), ("attn_layer_indices", ["x"]), ("attn_layer_indices", [32])),
        *(("attn_layer_period", 0), ("num_global_key_value_heads", "x"), ("model_type", ["x"])),
        *(("kv_lora_rank", 0), ("kv_lora_rank", -9), ("num_hidden_layers", True), ("num_hidden_layers", 10**9)),
        *(("layer_types", ["full_attention"] * 31), ("layer_types", "full_attention"), ("sliding_window", -1)),
        *(("tie_word_embeddings", "no"), ("max_position_embeddings", -5), ("quantization_config", "fp8")),
        *(("hidden_size", 4096.0), ("num_attention_heads", HUGE)),
    ],
)
def test_an_odd_value_is_refused_by_the_name_of_its_field(tmp_path: Path, name: str, value: object) -> None:
    fields = json.loads(LLAMA.read_text(encoding="utf-8"))
    file = tmp_path / "config.json"
    file.write_text(json.dumps({**fields, name: value}), encoding="utf-8")
    assert refusal(file).startswith(f"--model: {name}")


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"attn_layer_period": 8, "attn_layer_offset": "x"}, "attn_layer_offset is 'x'"),
        ({"attn_layer_period": 8, "attn_layer_offset": 8}, "attn_layer_offset is 8"),
        ({"linear_attn_config": {"full_attn_layers": ["a"]}}, "full_attn_layers[0] is 'a'"),
        ({"quantization_config": {"bits": "x"}}, "quantization_config.bits is 'x'"),
    ],
)
def test_an_odd_value_below_another_field_is_refused_too(tmp_path: Path, more: dict[str, Any], says: str) -> None:
    fields = json.loads(LLAMA.read_text(encoding="utf-8"))
    file = tmp_path / "config.json"
    file.write_text(json.dumps({**fields, **more}), encoding="utf-8")
    assert says in refusal(file)


@pytest.mark.parametrize("model", ["x" * 5000, "x/" * 2500, "\x00"])
def test_a_path_that_no_file_can_have_is_refused(model: str) -> None:
    with pytest.raises(HarnessError, match=r"^--model ") as refused:
        make(Inputs(model=model, gpu="H100", network="25G"), resources.rates_path())
    assert len(str(refused.value)) < 200


def test_a_file_of_endless_depth_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "config.json"
    file.write_text('{"a":' * 100_000, encoding="utf-8")
    assert "is not a config.json" in refusal(file)
