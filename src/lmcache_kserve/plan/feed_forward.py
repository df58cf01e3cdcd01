"""Parameters of a model's feed-forward layers, and which of its layers have experts.

The field names and their defaults are those of Hugging Face's transformers 5.19, and of the models' own code.
"""

from collections.abc import Container, Sequence

from lmcache_kserve.errors import HarnessError
from lmcache_kserve.plan.fields import Fields, given, items, model_type, numbers, where
from lmcache_kserve.plan.layers import count, llama4, words

_INSTEAD = "give --prefill-rate instead of --gpu"
_PLAIN = frozenset(
    {
        *("gpt2", "gpt_neox", "opt", "bloom", "falcon", "gptj", "starcoder2", "gpt_bigcode", "phi", "mpt"),
        *("nemotron", "nemotron_h"),
    }
)
"""Model types whose feed-forward part has two matrices; all others have a gate beside them."""
_FIRST_DENSE = dict.fromkeys(("deepseek_v3", "deepseek_v32", "glm_moe_dsa"), 3) | {"lfm2_moe": 2}
_FIRST_DENSE |= dict.fromkeys(("glm4_moe", "glm4v_moe_text", "exaone_moe", "afmoe", "kimi_linear", "hy_v3"), 1)
_FIRST_DENSE |= dict.fromkeys(("laguna", "mimo_v2_flash", "ernie4_5_moe"), 1)
"""How many layers come before the first with experts, where the configuration leaves it to the default."""
_STEPS = {"interleave_moe_layer_step": -1, "decoder_sparse_step": -1, "moe_layer_interval": -1, "moe_layer_freq": 0}
"""Every how many layers one has experts, and which: the last of them, or the first."""
_JAMBA_PERIOD, _JAMBA_OFFSET = 2, 1
_KNOWN = frozenset(
    {
        *_STEPS,
        *("moe_layers", "num_dense_layers", "moe_layer_start_index", "moe_layer_end_index"),
        *("expert_layer_period", "expert_layer_offset"),
    }
)
_SHARED = ("shared_expert_intermediate_size", "shared_intermediate_size", "moe_shared_expert_intermediate_size")
_EXPERTS = frozenset({"moe", "expert", "experts", "dense"})
_WHICH = frozenset({"layer", "layers", "step", "freq", "frequency", "interval", "every", "period"})
_DENSE_WORDS, _SPARSE_WORDS = frozenset({"-", "mlp"}), frozenset({"E", "moe"})


def feed_forward(fields: Fields, hidden: int) -> tuple[float, float]:
    """Parameters of all feed-forward layers: those that a token passes, and all.

    Args:
        fields: the model's configuration.
        hidden: elements of a token between layers.

    Raises:
        HarnessError: the configuration does not say how large they are, or which of them have experts.
    """
    matrix = hidden * (2 if model_type(fields) in _PLAIN else 3)
    experts = given(fields, "n_routed_experts", "num_local_experts", "num_experts", "moe_num_experts", least=0)
    dense, sparse = _layers(fields, experts=bool(experts))
    if not experts or not sparse:
        plain = dense * matrix * _size(fields, hidden)
        return plain, plain
    size = given(fields, "moe_intermediate_size", "expert_ffn_hidden_size") or _size(fields, hidden)
    chosen = given(fields, "num_experts_per_tok", "moe_top_k", "num_experts_per_token") or 1
    number = given(fields, "n_shared_experts", "num_shared_experts", least=0)
    if number is None:
        number = 1 if llama4(fields) else 0
    shared = given(fields, *_SHARED, least=0) or number * size
    plain = dense * matrix * _dense_size(fields, hidden) if dense else 0
    router = sparse * hidden * experts
    return (
        plain + sparse * matrix * (chosen * size + shared) + router,
        plain + sparse * matrix * (experts * size + shared) + router,
    )


def _layers(fields: Fields, *, experts: bool) -> tuple[int, int]:
    """Layers with one feed-forward part, and layers with experts."""
    total = count(fields)
    listed = words(fields)[1]
    dense, sparse = (sum(word in those for word in listed) for those in (_DENSE_WORDS, _SPARSE_WORDS))
    if dense or sparse:  # Nemotron-H: a layer is either attention, or Mamba, or feed-forward
        return dense, sparse
    if not experts:
        return total, 0
    sparse = _with_experts(fields, total)
    return total - sparse, sparse


def _with_experts(fields: Fields, total: int) -> int:
    """Layers with experts in a model whose layers all have a feed-forward part.

    Raises:
        HarnessError: a field says which layers have experts, in a way that is not known here.
    """
    strange = (name for name, value in fields.items() if value and name not in _KNOWN and _says_which(name))
    if name := next(strange, None):
        raise HarnessError(f"{where(name)} says which layers have experts in a way not known here: {_INSTEAD}")
    if named := items(fields, "mlp_layer_types"):
        return _named(named, total)
    if fields.get("moe_layers") is not None:
        return len(set(numbers(fields, "moe_layers", most=total - 1)))
    if isinstance(fields.get("moe_layer_freq"), list):
        marked = numbers(fields, "moe_layer_freq", most=1)
        _complete("moe_layer_freq", marked, total)
        return sum(marked)
    return _ruled(fields, total)


def _says_which(name: str) -> bool:
    parts = set(name.split("_"))
    return bool(parts & _EXPERTS and parts & _WHICH)


def _named(named: Sequence[object], total: int) -> int:
    _complete("mlp_layer_types", named, total)
    if strange := next((word for word in named if word not in {"dense", "sparse"}), None):
        raise HarnessError(f"{where('mlp_layer_types')} has {strange!r}, which is neither dense nor sparse: {_INSTEAD}")
    return sum(word == "sparse" for word in named)


def _complete(name: str, listed: Sequence[object], total: int) -> None:
    if len(listed) != total:
        raise HarnessError(f"{where(name)} lists {len(listed)} layers, and the model has {total}: {_INSTEAD}")


def _ruled(fields: Fields, total: int) -> int:
    """Layers with experts by the rules of the configuration; each model has some of the rules, and all have to hold."""
    first = given(fields, "first_k_dense_replace", "num_dense_layers", "moe_layer_start_index", least=0)
    if first is None:
        first = _FIRST_DENSE.get(model_type(fields), 0)
    last = given(fields, "moe_layer_end_index", least=-1)
    end = total if last in {None, -1} else min(total, (last or 0) + 1)
    without: Container[int] = frozenset(numbers(fields, "mlp_only_layers"))
    rules = [(step, rest % step) for name, rest in _STEPS.items() if (step := given(fields, name)) is not None]
    jamba = model_type(fields) == "jamba"
    period = given(fields, "expert_layer_period") or (_JAMBA_PERIOD if jamba else None)
    if period is not None:
        offset = given(fields, "expert_layer_offset", least=0, most=period - 1)
        rules.append((period, (_JAMBA_OFFSET % period if jamba else 0) if offset is None else offset))
    return sum(
        number not in without and all(number % step == rest for step, rest in rules) for number in range(first, end)
    )


def _size(fields: Fields, hidden: int) -> int:
    found = given(fields, "intermediate_size", "n_inner", "ffn_hidden_size", "ffn_dim")
    if found is None and model_type(fields) == "gpt2":
        return 4 * hidden
    if found is None:
        raise HarnessError(f"--model: the configuration has no intermediate_size: {_INSTEAD}")
    return found


def _dense_size(fields: Fields, hidden: int) -> int:
    """Size of layers without experts in a model that has experts; some have a field for it."""
    own = given(fields, "intermediate_size_mlp", "dense_intermediate_size", "prefix_dense_intermediate_size")
    return own or _size(fields, hidden)
