"""How much a model computes for a token of a prompt, and how much memory its weights take.

The counts come from the configuration alone, so they miss norms and biases: less than 1 % of each model in
tests/unit/plan/oracles.yaml.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lmcache_kserve.errors import HarnessError
from lmcache_kserve.plan.layers import Kind, count, kinds, window
from lmcache_kserve.plan.layout import head_size, hidden_size, kv_heads, query_heads

_PLAIN = frozenset({"gpt2", "gpt_neox", "opt", "bloom", "falcon", "gptj", "starcoder2", "gpt_bigcode", "phi", "mpt"})
"""Model types whose feed-forward part has two matrices; all others have a gate beside them."""
_STATE_MATRICES = 6
"""A layer of Mamba or linear attention has about as many parameters as this many square matrices of the hidden size."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What a model computes.

    Attributes:
        active: parameters that a token of a prompt passes: of its experts those that are chosen, without embeddings.
        total: parameters in memory, embeddings too.
        full_attention: floating-point operations for a token and a token before it, in all layers that see all.
        sliding_attention: the same in the layers that see a window.
        window: tokens in that window; None where no layer slides.
        experts: whether a token passes some of many experts only.
    """

    active: float
    total: float
    full_attention: float
    sliding_attention: float
    window: int | None
    experts: bool = False

    def operations(self, tokens: int) -> float:
        """Floating-point operations for a whole prompt of `tokens`: two for each parameter, and attention."""
        before = tokens * tokens / 2
        seen = before
        if self.window is not None and self.window < tokens:
            seen = self.window * tokens - self.window**2 / 2
        return 2 * self.active * tokens + self.full_attention * before + self.sliding_attention * seen


def work(fields: Mapping[str, Any]) -> Work:
    """What the model of a `config.json` computes.

    Raises:
        HarnessError: the configuration does not say how large its layers are.
    """
    each = kinds(fields)
    hidden = hidden_size(fields)
    with_attention = sum(kind in {Kind.FULL, Kind.SLIDING} for kind in each) + _borrowing(fields)
    attention = with_attention * _attention(fields, hidden)
    states = each.count(Kind.RECURRENT) * _STATE_MATRICES * hidden**2
    chosen, all_experts = _feed_forward(fields, hidden)
    embeddings = hidden * int(fields.get("vocab_size") or 0) * (1 if fields.get("tie_word_embeddings") else 2)
    score = 2 * query_heads(fields) * sum(_score_sizes(fields))
    return Work(
        active=attention + states + chosen,
        total=attention + states + all_experts + embeddings,
        full_attention=score * each.count(Kind.FULL),
        sliding_attention=score * each.count(Kind.SLIDING),
        window=window(fields) if Kind.SLIDING in each else None,
        experts=all_experts > chosen,
    )


def _borrowing(fields: Mapping[str, Any]) -> int:
    """Layers with attention that read the keys and values of another layer."""
    return int(fields.get("num_kv_shared_layers") or 0)


def _attention(fields: Mapping[str, Any], hidden: int) -> float:
    """Parameters of one layer's attention."""
    heads = query_heads(fields)
    if isinstance(rank := fields.get("kv_lora_rank"), int):
        rope, plain, value = (
            int(fields.get(name) or 0) for name in ("qk_rope_head_dim", "qk_nope_head_dim", "v_head_dim")
        )
        low = fields.get("q_lora_rank")
        queries = (hidden + heads * (plain + rope)) * low if isinstance(low, int) else hidden * heads * (plain + rope)
        return queries + hidden * (rank + rope) + rank * heads * (plain + value) + heads * value * hidden
    return 2 * hidden * head_size(fields) * (heads + kv_heads(fields))


def _score_sizes(fields: Mapping[str, Any]) -> tuple[int, int]:
    """Elements of a query and of a value, for one head."""
    if isinstance(fields.get("kv_lora_rank"), int):
        rope, plain, value = (
            int(fields.get(name) or 0) for name in ("qk_rope_head_dim", "qk_nope_head_dim", "v_head_dim")
        )
        return plain + rope, value
    return head_size(fields), head_size(fields)


def _feed_forward(fields: Mapping[str, Any], hidden: int) -> tuple[float, float]:
    """Parameters of all feed-forward layers: those that a token passes, and all."""
    matrices = 2 if fields.get("model_type") in _PLAIN else 3
    layers = count(fields)
    experts = _first(fields, "n_routed_experts", "num_local_experts", "num_experts", "moe_num_experts")
    if not experts:
        dense = layers * matrices * hidden * _dense_size(fields, hidden)
        return dense, dense
    size = _first(fields, "moe_intermediate_size", "expert_ffn_hidden_size") or _dense_size(fields, hidden)
    chosen = _first(fields, "num_experts_per_tok", "moe_top_k", "num_experts_per_token") or 1
    shared = (_first(fields, "n_shared_experts", "num_shared_experts") or 0) * size
    shared = _first(fields, "shared_expert_intermediate_size") or shared
    dense_layers = _dense_layers(fields, layers)
    dense = dense_layers * matrices * hidden * _dense_size(fields, hidden) if dense_layers else 0
    sparse = (layers - dense_layers) * matrices * hidden
    router = (layers - dense_layers) * hidden * experts
    return (
        dense + sparse * (chosen * size + shared) + router,
        dense + sparse * (experts * size + shared) + router,
    )


def _dense_layers(fields: Mapping[str, Any], layers: int) -> int:
    """Layers without experts in a model that has experts."""
    if isinstance(first := fields.get("first_k_dense_replace"), int):
        return first
    listed = fields.get("mlp_only_layers")
    return min(len(listed), layers) if isinstance(listed, Sequence) else 0


def _dense_size(fields: Mapping[str, Any], hidden: int) -> int:
    found = _first(fields, "intermediate_size", "n_inner", "ffn_hidden_size", "ffn_dim")
    if found is None and fields.get("model_type") == "gpt2":
        return 4 * hidden
    if found is None:
        raise HarnessError("--model: the configuration has no intermediate_size: give --prefill-rate instead of --gpu")
    return found


def _first(fields: Mapping[str, Any], *names: str) -> int | None:
    return next((value for name in names if isinstance(value := fields.get(name), int)), None)
