"""How much a model computes for a token of a prompt, and how much memory its weights take.

The counts come from the configuration alone, so they miss norms and biases: less than 1 % of each model in
tests/unit/plan/oracles.yaml.
"""

from dataclasses import dataclass

from lmcache_kserve.plan.feed_forward import feed_forward
from lmcache_kserve.plan.fields import Fields, flag, given, model_type, needed
from lmcache_kserve.plan.layers import Kind, chunked, kinds, window
from lmcache_kserve.plan.layout import head_size, hidden_size, kv_heads, latent_size, query_heads

_TIED = frozenset(
    {
        *(
            "bloom",
            "cohere",
            "cohere2",
            "cohere2_moe",
            "falcon",
            "falcon_mamba",
            "gpt2",
            "gpt_bigcode",
            "gpt_neo",
            "opt",
        ),
        *("gemma", "gemma2", "gemma3", "gemma3_text", "gemma3n", "gemma3n_text", "gemma4", "gemma4_text", "vaultgemma"),
        *(
            "recurrent_gemma",
            "ernie4_5",
            "ernie4_5_moe",
            "granite_swa",
            "jetmoe",
            "lfm2",
            "lfm2_moe",
            "mamba",
            "minicpm3",
        ),
        *("mpt", "smollm3", "starcoder2", "xglm", "youtu", "zamba", "zamba2", "zaya"),
    }
)
"""Model types whose two embeddings are one where the configuration does not say (transformers 5.19)."""
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
        chunked: whether these layers see the tokens of their own chunk, rather than of a window that slides.
    """

    active: float
    total: float
    full_attention: float
    sliding_attention: float
    window: int | None
    experts: bool = False
    chunked: bool = False

    def operations(self, tokens: int) -> float:
        """Floating-point operations for a whole prompt of `tokens`: two for each parameter, and attention."""
        before = tokens * tokens / 2
        seen = before
        if self.window is not None and self.window < tokens:
            seen = self.window * tokens - self.window**2 / 2
            if self.chunked:
                whole, rest = divmod(tokens, self.window)
                seen = (whole * self.window**2 + rest**2) / 2
        return 2 * self.active * tokens + self.full_attention * before + self.sliding_attention * seen


def work(fields: Fields) -> Work:
    """What the model of a `config.json` computes.

    Raises:
        HarnessError: the configuration does not say how large its layers are, or which have experts.
    """
    each = kinds(fields)
    hidden = hidden_size(fields)
    with_attention = sum(kind in {Kind.FULL, Kind.SLIDING} for kind in each) + _borrowing(fields)
    attention = with_attention * _attention(fields, hidden)
    states = each.count(Kind.RECURRENT) * _STATE_MATRICES * hidden**2
    chosen, all_experts = feed_forward(fields, hidden)
    embeddings = hidden * (given(fields, "vocab_size") or 0) * (1 if _tied(fields) else 2)
    score = 2 * query_heads(fields) * sum(_score_sizes(fields))
    return Work(
        active=attention + states + chosen,
        total=attention + states + all_experts + embeddings,
        full_attention=score * each.count(Kind.FULL),
        sliding_attention=score * each.count(Kind.SLIDING),
        window=window(fields) if Kind.SLIDING in each else None,
        experts=all_experts > chosen,
        chunked=chunked(fields),
    )


def _tied(fields: Fields) -> bool:
    """Whether the embeddings of what goes in and of what comes out are one matrix."""
    stated = flag(fields, "tie_word_embeddings")
    return model_type(fields) in _TIED if stated is None else stated


def _borrowing(fields: Fields) -> int:
    """Layers with attention that read the keys and values of another layer."""
    return given(fields, "num_kv_shared_layers", least=0) or 0


def _attention(fields: Fields, hidden: int) -> float:
    """Parameters of one layer's attention."""
    heads = query_heads(fields)
    if (rank := latent_size(fields)) is not None:
        rope, plain, value = (needed(fields, name) for name in ("qk_rope_head_dim", "qk_nope_head_dim", "v_head_dim"))
        low = given(fields, "q_lora_rank", least=0)
        queries = (hidden + heads * (plain + rope)) * low if low else hidden * heads * (plain + rope)
        return queries + hidden * (rank + rope) + rank * heads * (plain + value) + heads * value * hidden
    return 2 * hidden * head_size(fields) * (heads + kv_heads(fields))


def _score_sizes(fields: Fields) -> tuple[int, int]:
    """Elements of a query and of a value, for one head."""
    if latent_size(fields) is None:
        return head_size(fields), head_size(fields)
    return needed(fields, "qk_nope_head_dim") + needed(fields, "qk_rope_head_dim"), needed(fields, "v_head_dim")
