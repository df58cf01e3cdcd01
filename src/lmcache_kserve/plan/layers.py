"""Which layers of a model keep keys and values of every token, which of a window, and which keep none.

The field names are those of Hugging Face's transformers 5, and of the models' own code where transformers has none.
"""

import reprlib
from collections.abc import Sequence
from enum import StrEnum
from typing import Any

from lmcache_kserve.errors import HarnessError
from lmcache_kserve.plan import reading
from lmcache_kserve.plan.fields import Fields, flag, given, items, model_type, numbers, section, where


class Kind(StrEnum):
    """What a layer keeps of the tokens before."""

    FULL = "full"
    """Keys and values of every token."""
    SLIDING = "sliding"
    """Keys and values of the tokens in a window."""
    RECURRENT = "recurrent"
    """One state of fixed size: Mamba and linear attention."""
    NONE = "none"
    """Nothing: a layer without attention, or one that reads another layer's keys and values."""


_WORDS = {
    "full_attention": Kind.FULL,
    "attention": Kind.FULL,
    "full": Kind.FULL,
    "*": Kind.FULL,
    "sliding_attention": Kind.SLIDING,
    "sliding_window_attention": Kind.SLIDING,
    "sliding": Kind.SLIDING,
    "local_attention": Kind.SLIDING,
    "chunked_attention": Kind.SLIDING,
    "linear_attention": Kind.RECURRENT,
    "mamba": Kind.RECURRENT,
    "mamba2": Kind.RECURRENT,
    "recurrent": Kind.RECURRENT,
    "conv": Kind.RECURRENT,
    "M": Kind.RECURRENT,
    "moe": Kind.NONE,
    "mlp": Kind.NONE,
    "-": Kind.NONE,
    "E": Kind.NONE,
}
"""What the words of `layer_types`, `layers_block_type` and `hybrid_override_pattern` mean."""

_DEFAULT_PATTERN = {"gemma2": 2, "gemma3": 6, "gemma3_text": 6, "gemma3n_text": 5, "cohere2": 4}
"""Every how many layers one sees all tokens, where the configuration leaves it to transformers' default."""


_CHUNK = 8192
_NO_ROPE_INTERVAL = 4
"""What transformers takes where a configuration of Llama 4 leaves `attention_chunk_size` or the interval out."""
_JAMBA_OFFSET = 4
_MOST_LAYERS = 10_000
_LISTS = ("layer_types", "layers_block_type", "hybrid_override_pattern", "hybrid_layer_pattern")
_PATTERN = "hybrid_override_pattern"
"""The list that may be a text, with a letter for each layer."""


def count(fields: Fields) -> int:
    """Number of layers.

    Raises:
        HarnessError: the configuration does not say.
    """
    number = given(fields, "num_hidden_layers", "n_layer", "num_layers", "n_layers", most=_MOST_LAYERS)
    if number is not None:
        return number
    name, listed = words(fields)
    if not listed:
        raise HarnessError("--model: the configuration has no num_hidden_layers, so nobody can size its cache")
    return reading.whole(len(listed), where(f"the length of {name}"), most=_MOST_LAYERS)


def words(fields: Fields) -> tuple[str, Sequence[Any]]:
    """The field that lists the layers, and the words in it; empty where there is none.

    Raises:
        HarnessError: it is no list.
    """
    for name in _LISTS:
        value = fields.get(name)
        listed = value if name == _PATTERN and isinstance(value, str) else items(fields, name)
        if listed:
            return name, listed
    return "", ()


def kinds(fields: Fields) -> tuple[Kind, ...]:
    """The kind of every layer, from the first to the last.

    Raises:
        HarnessError: the configuration names a kind of layer that is not known here.
    """
    total = count(fields)
    found = _listed(fields, total) or _computed(fields, total)
    shared = given(fields, "num_kv_shared_layers", least=0, most=total) or 0
    return (*found[: total - shared], *[Kind.NONE] * shared)


def window(fields: Fields) -> int | None:
    """Tokens in the window of sliding layers, or in a chunk of layers that see their chunk."""
    sliding = given(fields, "sliding_window", least=0)
    return sliding or _chunk(fields) or given(fields, "sliding_window_size", least=0) or None


def chunked(fields: Fields) -> bool:
    """Whether layers see the tokens of their own chunk, rather than of a window that slides (Llama 4)."""
    return not given(fields, "sliding_window", least=0) and bool(_chunk(fields))


def llama4(fields: Fields) -> bool:
    """Whether the model is one of Llama 4, whose configurations leave much to transformers' defaults."""
    return model_type(fields).startswith("llama4")


def _chunk(fields: Fields) -> int | None:
    if "attention_chunk_size" not in fields and llama4(fields):
        return _CHUNK
    return given(fields, "attention_chunk_size", least=0)


def _listed(fields: Fields, total: int) -> tuple[Kind, ...]:
    """The kinds where the configuration lists its layers; empty where it does not."""
    name, listed = words(fields)
    found = tuple(_kind(word, name) for word in listed)
    if found and len(found) != total:
        raise HarnessError(f"{where(name)} lists {len(found)} layers, and the model has {total}")
    return found


def _kind(word: object, name: str) -> Kind:
    known = _WORDS.get(word) if isinstance(word, str) else None
    if known is None:
        shown = reprlib.repr(word)
        raise HarnessError(f"{where(name)} has a layer {shown}, of which this release does not know what it caches")
    return known


def _computed(fields: Fields, total: int) -> tuple[Kind, ...]:
    """The kinds where a rule of the configuration says which layers differ."""
    if (full := _full_layers(fields, total)) is not None:
        return tuple(Kind.FULL if number in full else Kind.RECURRENT for number in range(total))
    use = flag(fields, "use_sliding_window")
    if window(fields) is None or use is False:
        return (Kind.FULL,) * total
    if chunked(fields) and (llama4(fields) or items(fields, "no_rope_layers")):
        return tuple(Kind.SLIDING if local else Kind.FULL for local in _rope_layers(fields, total))
    pattern = given(fields, "sliding_window_pattern") or _DEFAULT_PATTERN.get(model_type(fields))
    if pattern is not None:
        return tuple(Kind.SLIDING if (number + 1) % pattern else Kind.FULL for number in range(total))
    below = given(fields, "max_window_layers", least=0)
    if use and below is not None:
        return tuple(Kind.SLIDING if number >= below else Kind.FULL for number in range(total))
    return (Kind.SLIDING,) * total


def _rope_layers(fields: Fields, total: int) -> Sequence[bool]:
    """Which layers of Llama 4 rotate positions: these see their chunk, and the others see all tokens."""
    rotated = numbers(fields, "no_rope_layers", most=1)
    if not rotated:
        interval = given(fields, "no_rope_layer_interval") or _NO_ROPE_INTERVAL
        return [(number + 1) % interval != 0 for number in range(total)]
    if len(rotated) < total:
        raise HarnessError(f"{where('no_rope_layers')} lists {len(rotated)} layers, and the model has {total}")
    return [bool(one) for one in rotated[:total]]


def _full_layers(fields: Fields, total: int) -> set[int] | None:
    """Numbers of the layers with attention among layers of Mamba or linear attention; None where all have attention."""
    if (interval := given(fields, "full_attention_interval")) is not None:
        return {number for number in range(total) if (number + 1) % interval == 0}
    if fields.get("attn_layer_indices") is not None:
        return set(numbers(fields, "attn_layer_indices", most=total - 1))
    if (period := given(fields, "attn_layer_period")) is not None:
        offset = given(fields, "attn_layer_offset", least=0, most=period - 1)
        if offset is None:
            offset = _JAMBA_OFFSET % period if model_type(fields) == "jamba" else 0
        return {number for number in range(total) if number % period == offset}
    linear = section(fields, "linear_attn_config")
    if linear.get("full_attn_layers") is not None:
        # Kimi Linear counts from 1.
        return {number - 1 for number in numbers(linear, "full_attn_layers", least=1, most=total)}
    return None
