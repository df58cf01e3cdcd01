"""How vLLM lays out a KV cache in CPU memory, and how to read and write single tokens of it.

A layer's cache consists of pages: for each block and each KV head one page of keys and one of values, of
`block_size * head_size` elements. Inside a page the order is the attention kernel's own choice (vLLM 0.32,
csrc/cpu/cpu_attn_*.hpp): on AVX values row by row and keys transposed, on AMX both in tiles. Nothing reports that
order, so `learn_order` asks the kernel itself, by letting it write known numbers.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

SPLIT_NDIM = 5  # [2, blocks, heads, block_size, head_size]
FUSED_NDIM = 4  # [blocks, heads, block_size, 2 * head_size], in memory [blocks, heads, K and V, page]

# Writes keys and values [tokens, heads, head_size] at slots [tokens] into key and value caches
# [blocks, heads, block_size, head_size]: vLLM's own kernel, already told its instruction set.
CacheWriter = Callable[[Tensor, Tensor, Tensor, Tensor, Tensor], None]

# Digits of this base are exact in every cache type, bfloat16 being the narrowest (integers up to 256).
_DIGIT_BASE = 128


@dataclass(frozen=True, slots=True)
class CacheShape:
    """The geometry of one layer's KV cache."""

    ndim: int
    blocks: int
    heads: int
    block_size: int
    head_size: int

    @classmethod
    def of(cls, cache: Tensor) -> Self:
        """Read the geometry off a layer's cache tensor as vLLM registers it.

        Raises:
            ValueError: the tensor has neither of vLLM's two CPU layouts.
        """
        if cache.ndim == FUSED_NDIM and cache.shape[-1] % 2 == 0:
            blocks, heads, block_size, width = cache.shape
            return cls(cache.ndim, blocks, heads, block_size, width // 2)
        if cache.ndim == SPLIT_NDIM and cache.shape[0] == 2:  # noqa: PLR2004 - keys and values
            _, blocks, heads, block_size, head_size = cache.shape
            return cls(cache.ndim, blocks, heads, block_size, head_size)
        raise ValueError(
            f"a KV cache of shape {list(cache.shape)} has no layout of vLLM's CPU attention: "
            "[blocks, heads, block_size, 2 * head_size] or [2, blocks, heads, block_size, head_size]"
        )


def split_pages(cache: Tensor) -> tuple[Tensor, Tensor]:
    """Views of a layer's cache as key pages and value pages, each [blocks, heads, block_size * head_size]."""
    shape = CacheShape.of(cache)
    page = shape.block_size * shape.head_size
    if shape.ndim == SPLIT_NDIM:
        keys, values = (half.view(shape.blocks, shape.heads, page) for half in cache.unbind(0))
    else:
        keys, values = cache.view(shape.blocks, shape.heads, 2, page).unbind(2)
    return keys, values


@dataclass(frozen=True, slots=True)
class PageOrder:
    """Where a token's element lies inside a page.

    Attributes:
        index: [block_size, head_size]; `index[t, d]` is the position of element d of the block's token t.
        strides: (per token, per element) when the order is regular, else None.
    """

    index: Tensor
    strides: tuple[int, int] | None

    @classmethod
    def from_index(cls, index: Tensor) -> Self:
        """Recognise a regular order, which is copied several times faster than an arbitrary one."""
        block_size, head_size = index.shape
        per_token = int(index[1, 0]) if block_size > 1 else head_size
        per_element = int(index[0, 1]) if head_size > 1 else 1
        regular = per_token * torch.arange(block_size)[:, None] + per_element * torch.arange(head_size)
        return cls(index, (per_token, per_element) if torch.equal(index, regular) else None)

    @property
    def description(self) -> str:
        """The order in words, for a log."""
        block_size, head_size = self.index.shape
        names = {(head_size, 1): "row by row", (1, block_size): "transposed", None: "in tiles"}
        return names.get(self.strides, f"with strides {self.strides}")

    def read(self, pages: Tensor, slots: Tensor) -> Tensor:
        """The tokens at `slots`, [tokens, heads, head_size], from pages [blocks, heads, page]."""
        blocks, offsets = self._locate(slots)
        if self.strides is not None:
            return self._tokens(pages, self.strides)[blocks, :, offsets]
        return pages[blocks[:, None], :, self.index[offsets]].transpose(1, 2)

    def write(self, pages: Tensor, slots: Tensor, tokens: Tensor) -> None:
        """Put `tokens` [tokens, heads, head_size] at `slots`; every other slot keeps what it holds."""
        blocks, offsets = self._locate(slots)
        if self.strides is not None:
            self._tokens(pages, self.strides)[blocks, :, offsets] = tokens
        else:
            pages[blocks[:, None], :, self.index[offsets]] = tokens.transpose(1, 2)

    def _locate(self, slots: Tensor) -> tuple[Tensor, Tensor]:
        block_size = self.index.shape[0]
        return slots // block_size, slots % block_size

    def _tokens(self, pages: Tensor, strides: tuple[int, int]) -> Tensor:
        """A regular order's pages as [blocks, heads, block_size, head_size], without copying."""
        shape = (*pages.shape[:2], *self.index.shape)
        return pages.as_strided(shape, (*pages.stride()[:2], *strides), pages.storage_offset())


def learn_order(shape: CacheShape, dtype: torch.dtype, write: CacheWriter) -> tuple[PageOrder, PageOrder]:
    """The page orders of keys and of values, found by writing numbered elements into a cache of one block and head.

    Raises:
        ValueError: what was written cannot be found again, as in a quantised cache.
    """
    block_size, head_size = shape.block_size, shape.head_size
    number = torch.arange(block_size * head_size)
    found = {"keys": torch.zeros_like(number), "values": torch.zeros_like(number)}
    place = 1
    while place < len(number):
        digit = (number // place % _DIGIT_BASE).to(dtype).view(block_size, 1, head_size)
        if shape.ndim == SPLIT_NDIM:
            cache = torch.zeros(2, 1, 1, block_size, head_size, dtype=dtype)
            key_cache, value_cache = cache.unbind(0)
        else:
            cache = torch.zeros(1, 1, block_size, 2 * head_size, dtype=dtype)
            key_cache, value_cache = cache.view(1, 1, 2 * block_size, head_size).chunk(2, dim=2)
        write(digit, digit.clone(), key_cache, value_cache, torch.arange(block_size))
        for name, pages in zip(found, split_pages(cache), strict=True):
            found[name] += place * pages.flatten().long()
        place *= _DIGIT_BASE
    for name, content in found.items():
        if not torch.equal(content.sort().values, number):
            raise ValueError(
                f"vLLM's CPU attention does not store {name} as they are (block size {block_size}, head size "
                f"{head_size}, {dtype}): serve with --kv-cache-dtype=auto"
            )
    # found[p] names the element at position p; the orders need the position of each element.
    keys, values = (PageOrder.from_index(content.argsort().view(block_size, head_size)) for content in found.values())
    return keys, values
