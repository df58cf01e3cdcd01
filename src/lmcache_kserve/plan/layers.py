"""Which layers of a model keep keys and values of every token, which of a window, and which keep none.

The field names are those of Hugging Face's transformers 5, and of the models' own code where transformers has none.
"""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any

from lmcache_kserve.errors import HarnessError


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


def count(fields: Mapping[str, Any]) -> int:
    """Number of layers.

    Raises:
        HarnessError: the configuration does not say.
    """
    for name in ("num_hidden_layers", "n_layer", "num_layers", "n_layers"):
        if isinstance(number := fields.get(name), int) and number > 0:
            return number
    if isinstance(listed := fields.get("layer_types") or fields.get("layers_block_type"), Sequence):
        return len(listed)
    raise HarnessError("--model: the configuration has no num_hidden_layers, so nobody can size its cache")


def kinds(fields: Mapping[str, Any]) -> tuple[Kind, ...]:
    """The kind of every layer, from the first to the last.

    Raises:
        HarnessError: the configuration names a kind of layer that is not known here.
    """
    total = count(fields)
    found = _listed(fields) or _computed(fields, total)
    shared = int(fields.get("num_kv_shared_layers") or 0)
    return (*found[: len(found) - shared], *[Kind.NONE] * shared)


def window(fields: Mapping[str, Any]) -> int | None:
    """Tokens in the window of sliding layers."""
    size = fields.get("sliding_window") or fields.get("attention_chunk_size") or fields.get("sliding_window_size")
    return int(size) if isinstance(size, int) else None


def _listed(fields: Mapping[str, Any]) -> tuple[Kind, ...]:
    """The kinds where the configuration lists its layers; empty where it does not."""
    for name in ("layer_types", "layers_block_type", "hybrid_override_pattern", "hybrid_layer_pattern"):
        words = fields.get(name)
        if words and isinstance(words, str | Sequence):
            return tuple(_kind(word, name) for word in words)
    return ()


def _kind(word: object, name: str) -> Kind:
    if (known := _WORDS.get(str(word))) is None:
        raise HarnessError(f"--model: {name} has a layer {word!r}, of which this release does not know what it caches")
    return known


def _computed(fields: Mapping[str, Any], total: int) -> tuple[Kind, ...]:
    """The kinds where a rule of the configuration says which layers differ."""
    if (full := _full_layers(fields, total)) is not None:
        return tuple(Kind.FULL if number in full else Kind.RECURRENT for number in range(total))
    if window(fields) is None or fields.get("use_sliding_window") is False:
        return (Kind.FULL,) * total
    pattern = fields.get("sliding_window_pattern") or _DEFAULT_PATTERN.get(str(fields.get("model_type")))
    if isinstance(pattern, int):
        return tuple(Kind.SLIDING if (number + 1) % pattern else Kind.FULL for number in range(total))
    if fields.get("use_sliding_window") and isinstance(below := fields.get("max_window_layers"), int):
        return tuple(Kind.SLIDING if number >= below else Kind.FULL for number in range(total))
    return (Kind.SLIDING,) * total


def _full_layers(fields: Mapping[str, Any], total: int) -> set[int] | None:
    """Numbers of the layers with attention among layers of Mamba or linear attention; None where all have attention."""
    if isinstance(interval := fields.get("full_attention_interval"), int):
        return {number for number in range(total) if (number + 1) % interval == 0}
    if isinstance(numbers := fields.get("attn_layer_indices"), Sequence):
        return {int(number) for number in numbers}
    if isinstance(period := fields.get("attn_layer_period"), int):
        return {number for number in range(total) if number % period == int(fields.get("attn_layer_offset", 0))}
    linear = fields.get("linear_attn_config")
    if isinstance(linear, Mapping) and isinstance(numbers := linear.get("full_attn_layers"), Sequence):
        return {int(number) - 1 for number in numbers}  # Kimi Linear counts from 1
    return None
