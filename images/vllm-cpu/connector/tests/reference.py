"""The packings vLLM's kernels use, spelled out element by element: what the tests compare against."""

from collections.abc import Callable

import torch
from torch import Tensor

Packing = Callable[[int, int, int, int], int]


def row_major(token: int, element: int, block_size: int, head_size: int) -> int:
    del block_size
    return token * head_size + element


def transposed(token: int, element: int, block_size: int, head_size: int) -> int:
    del head_size
    return element * block_size + token


def tiled(token: int, element: int, block_size: int, head_size: int) -> int:
    """Like AMX: groups of 16 tokens, inside them pairs of elements token by token."""
    del block_size
    group, row = divmod(token, 16)
    pair, side = divmod(element, 2)
    return group * 16 * head_size + pair * 32 + row * 2 + side


PACKINGS: dict[str, tuple[Packing, Packing]] = {
    "avx": (transposed, row_major),
    "amx": (tiled, transposed),
    "plain": (row_major, row_major),
}


def position(packing: Packing, cache: Tensor, kind: int, block: int, head: int, token: int, element: int) -> int:
    """Flat position of one element in a contiguous cache tensor of either layout."""
    if cache.ndim == 4:
        _, heads, block_size, width = cache.shape
        head_size = width // 2
        page = (block * heads + head) * 2 + kind
    else:
        _, blocks, heads, block_size, head_size = cache.shape
        page = (kind * blocks + block) * heads + head
    return page * block_size * head_size + packing(token, element, block_size, head_size)


def empty_cache(ndim: int, blocks: int, heads: int, block_size: int, head_size: int, dtype: torch.dtype) -> Tensor:
    split = (2, blocks, heads, block_size, head_size)
    fused = (blocks, heads, block_size, 2 * head_size)
    generator = torch.Generator().manual_seed(blocks * heads)
    return torch.randn(split if ndim == 5 else fused, generator=generator).to(dtype)


class ReferenceWriter:
    """Stands for vLLM's kernel: writes each element where the packing says."""

    def __init__(self, keys: Packing, values: Packing) -> None:
        self.packings = (keys, values)

    def __call__(self, key: Tensor, value: Tensor, key_cache: Tensor, value_cache: Tensor, slots: Tensor) -> None:
        _, heads, block_size, head_size = key_cache.shape
        for tokens, cache, packing in zip((key, value), (key_cache, value_cache), self.packings, strict=True):
            for row, slot in enumerate(slots.tolist()):
                block, token = divmod(slot, block_size)
                for head in range(heads):
                    page = cache[block, head].view(-1)
                    for element in range(head_size):
                        page[packing(token, element, block_size, head_size)] = tokens[row, head, element]
