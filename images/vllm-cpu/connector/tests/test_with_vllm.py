"""The connector against vLLM's own kernels on this machine, whatever order its processor makes them choose."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from lmcache.v1.config import LMCacheEngineConfig
from lmcache.v1.memory_management import MemoryFormat
from lmcache.v1.metadata import LMCacheMetadata
from torch import Tensor

from lmcache_cpu_connector.connector import PagedCpuConnector, vllm_cache_writer
from lmcache_cpu_connector.pages import CacheShape

LAYERS = 2
BLOCKS = 6


@pytest.fixture(scope="module", autouse=True)
def _kernels() -> None:
    from vllm.platforms import current_platform  # noqa: PLC0415 - vLLM takes seconds to import

    current_platform.import_kernels()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize(("heads", "head_size", "block_size"), [(1, 64, 32), (3, 64, 128), (8, 128, 128), (2, 80, 16)])
def test_what_vllm_wrote_is_read_and_what_is_written_is_as_if_by_vllm(
    heads: int, head_size: int, block_size: int, dtype: torch.dtype
) -> None:
    shape = CacheShape(4, BLOCKS, heads, block_size, head_size)
    slots = torch.randperm(BLOCKS * block_size, generator=torch.Generator().manual_seed(1))
    middle = len(slots) // 2 + 3
    first, second = slots[:middle], slots[middle:]
    tokens = torch.randn(2, LAYERS, len(first), heads, head_size, generator=torch.Generator().manual_seed(2)).to(dtype)
    source = [_written_by_vllm(shape, tokens[:, layer], first) for layer in range(LAYERS)]
    metadata = LMCacheMetadata("model", 1, 1, 0, 0, dtype, (LAYERS, 2, 256, heads, head_size))
    connector = PagedCpuConnector(LMCacheEngineConfig.from_defaults(), metadata)
    chunk = _memory(connector, len(first), dtype)

    connector.from_gpu(chunk, 0, len(first), kvcaches=source, slot_mapping=first)

    assert torch.equal(chunk.tensor, tokens.flatten(-2))

    target = [torch.zeros_like(cache) for cache in source]
    connector.to_gpu(chunk, 0, len(second), kvcaches=target, slot_mapping=second)
    for layer, cache in enumerate(target):
        assert torch.equal(cache, _written_by_vllm(shape, tokens[:, layer, : len(second)], second))


def _written_by_vllm(shape: CacheShape, keys_and_values: Tensor, slots: Tensor) -> Tensor:
    keys, values = keys_and_values
    cache = torch.zeros(shape.blocks, shape.heads, shape.block_size, 2 * shape.head_size, dtype=keys.dtype)
    key_cache, value_cache = cache.view(shape.blocks, shape.heads, -1, shape.head_size).chunk(2, dim=2)
    write = vllm_cache_writer(shape, keys.dtype)
    write(keys.contiguous(), values.contiguous(), key_cache, value_cache, slots)
    return cache


def _memory(connector: PagedCpuConnector, tokens: int, dtype: torch.dtype) -> Any:  # noqa: ANN401 - LMCache's memory object has no types
    return SimpleNamespace(
        tensor=torch.zeros(connector.get_shape(tokens), dtype=dtype),
        metadata=SimpleNamespace(fmt=MemoryFormat.KV_2LTD),
    )
