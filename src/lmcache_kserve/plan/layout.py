"""How many bytes of KV cache a token takes: grouped, multi-query, multi-head and latent attention, windows, hybrids."""

from dataclasses import dataclass

from lmcache_kserve.errors import HarnessError
from lmcache_kserve.plan.fields import Fields, flag, given, model_type, needed
from lmcache_kserve.plan.layers import Kind, kinds, window

_INDEX_BLOCK = 128
_INDEX_SCALE_BYTES = 4
_STRANGE = ("compress_ratios", "block_configs")
"""Fields of layouts whose size is not a fixed number of bytes for a token and layer: DeepSeek V4, Nemotron NAS."""
_HEADS = {"gemma3_text": (8, 4, 256), "gemma3": (8, 4, 256)}
"""Attention heads, KV heads and head size that transformers takes where a configuration leaves them out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Layers that keep the same for a token.

    Attributes:
        kind: which tokens they keep.
        layers: number of layers.
        kv_heads: heads of keys and values; 1 for multi-head latent attention, which keeps one vector for all heads.
        elements: elements for a token, a layer and a head, keys and values together.
        index_bytes: bytes for a token and a layer beside them, in a data type of their own (sparse attention's index).
    """

    kind: Kind
    layers: int
    kv_heads: int
    elements: int
    index_bytes: int = 0

    def bytes_per_token(self, element_bytes: float, heads: int) -> float:
        """Bytes for a token, in `heads` heads."""
        return self.layers * (heads * self.elements * element_bytes + self.index_bytes)


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """What a model caches.

    Attributes:
        groups: its layers with attention.
        recurrent_layers: layers with one state for a sequence, which grows with no token.
        latent: whether it has multi-head latent attention.
        window: tokens in the window of sliding layers; None where no layer slides.
        attention: its kind of attention, in words.
    """

    groups: tuple[Group, ...]
    recurrent_layers: int
    latent: bool
    window: int | None
    attention: str

    def bytes_per_token(self, element_bytes: float, tensor_parallel: int = 1) -> float:
        """Bytes that LMCache keeps of a token, on all workers together.

        Sliding layers count in full, because LMCache keeps what they had of every token. A worker has at least one KV
        head, so heads are kept several times where there are more workers than heads. LMCache keeps latent vectors
        once, although each worker has them (`save_only_first_rank`, LMCache 0.5.6).

        Args:
            element_bytes: bytes of an element.
            tensor_parallel: workers that share each layer.
        """
        return sum(group.bytes_per_token(element_bytes, self._heads(group, tensor_parallel)) for group in self.groups)

    def own_bytes_per_token(self, element_bytes: float, tensor_parallel: int = 1, *, windows: bool = False) -> float:
        """Bytes by which a further token of a long sequence grows the engine's own cache, on all workers together.

        Args:
            element_bytes: bytes of an element.
            tensor_parallel: workers that share each layer; each of them holds the whole of a latent vector.
            windows: whether vLLM's hybrid memory keeps only the window of sliding layers. LMCache turns it off in mode
                in-process.
        """
        grows = [group for group in self.groups if not (windows and group.kind is Kind.SLIDING)]
        copies = tensor_parallel if self.latent else 1
        return copies * sum(
            group.bytes_per_token(element_bytes, self._heads(group, tensor_parallel)) for group in grows
        )

    def _heads(self, group: Group, tensor_parallel: int) -> int:
        return group.kv_heads if self.latent else max(group.kv_heads, tensor_parallel)


def layout(fields: Fields) -> Layout:
    """What the model of a `config.json` caches.

    Raises:
        HarnessError: the configuration does not say, or its layout is not known here.
    """
    if flag(fields, "is_encoder_decoder"):
        raise HarnessError(
            "--model: an encoder-decoder caches what its encoder made; LMCache does not cache such models"
        )
    if strange := next((name for name in _STRANGE if fields.get(name)), None):
        raise HarnessError(f"--model: {strange} lets layers cache different sizes, which this release cannot count")
    each = kinds(fields)
    latent = latent_size(fields) is not None
    groups = tuple(_group(fields, kind, each.count(kind)) for kind in (Kind.FULL, Kind.SLIDING) if kind in each)
    if not groups:
        raise HarnessError("--model: no layer has attention, so there is no KV cache to offload")
    return Layout(
        groups=groups,
        recurrent_layers=each.count(Kind.RECURRENT),
        latent=latent,
        window=window(fields) if Kind.SLIDING in each else None,
        attention="MLA" if latent else _name(query_heads(fields), groups[0].kv_heads),
    )


def query_heads(fields: Fields) -> int:
    """Attention heads of queries.

    Raises:
        HarnessError: the configuration does not say.
    """
    return needed(fields, "num_attention_heads", "n_head", "n_heads", default=_defaults(fields)[0])


def head_size(fields: Fields) -> int:
    """Elements of a head: explicit, or the hidden size divided by the heads.

    Raises:
        HarnessError: the configuration does not say.
    """
    stated = given(fields, "head_dim", "attention_head_dim", "kv_channels") or _defaults(fields)[2]
    if stated is not None:
        return stated
    hidden, heads = hidden_size(fields), query_heads(fields)
    if hidden < heads:
        raise HarnessError(f"--model: hidden_size is {hidden}, which leaves no element for each of {heads} heads")
    return hidden // heads


def hidden_size(fields: Fields) -> int:
    """Elements of a token between layers.

    Raises:
        HarnessError: the configuration does not say.
    """
    return needed(fields, "hidden_size", "n_embd", "d_model")


def kv_heads(fields: Fields) -> int:
    """Heads of keys and values.

    Raises:
        HarnessError: the configuration gives each layer its own number.
    """
    names = ("num_key_value_heads", "num_kv_heads", "multi_query_group_num", "n_head_kv")
    if name := next((name for name in names if isinstance(fields.get(name), list)), None):
        raise HarnessError(f"--model: {name} is a list: layers cache different sizes, which is not counted here")
    if (stated := given(fields, *names)) is not None:
        return stated
    if flag(fields, "multi_query"):
        return 1
    return _defaults(fields)[1] or query_heads(fields)


def latent_size(fields: Fields) -> int | None:
    """Elements of the vector that multi-head latent attention keeps; None where the model has no such attention."""
    return given(fields, "kv_lora_rank")


def _group(fields: Fields, kind: Kind, number: int) -> Group:
    if (latent := latent_size(fields)) is not None:
        elements = latent + needed(fields, "qk_rope_head_dim")
        return Group(kind=kind, layers=number, kv_heads=1, elements=elements, index_bytes=_index_bytes(fields))
    heads, size = kv_heads(fields), head_size(fields)
    if kind is Kind.FULL:  # Gemma 4: full layers have fewer and larger heads than sliding layers
        heads = given(fields, "num_global_key_value_heads") or heads
        size = given(fields, "global_head_dim") or size
    return Group(kind=kind, layers=number, kv_heads=heads, elements=2 * size)


def _index_bytes(fields: Fields) -> int:
    """DeepSeek V3.2 keeps keys of its index in fp8, with a float32 scale for each 128 elements."""
    size = given(fields, "index_head_dim") or 0
    return size + size // _INDEX_BLOCK * _INDEX_SCALE_BYTES


def _name(queries: int, keys: int) -> str:
    if keys == 1:
        return "MQA"
    return "MHA" if keys == queries else "GQA"


def _defaults(fields: Fields) -> tuple[int | None, int | None, int | None]:
    return _HEADS.get(model_type(fields), (None, None, None))
