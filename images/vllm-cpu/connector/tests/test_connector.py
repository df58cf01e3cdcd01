"""The connector against LMCache's contract, with a fake kernel in the place of vLLM's."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from lmcache.v1.memory_management import MemoryFormat
from reference import PACKINGS, Packing, ReferenceWriter, empty_cache, position
from torch import Tensor

from lmcache_cpu_connector import connector as module
from lmcache_cpu_connector.connector import PagedCpuConnector

LAYERS = 2
every_packing = pytest.mark.parametrize("packing", PACKINGS.values(), ids=PACKINGS)


@pytest.fixture(autouse=True)
def kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    _use_packing(monkeypatch, PACKINGS["avx"])


@every_packing
@pytest.mark.parametrize("ndim", [4, 5])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize(("heads", "block_size"), [(1, 32), (2, 16), (4, 48)])
def test_a_chunk_arrives_token_by_token_and_goes_back_to_other_slots(
    monkeypatch: pytest.MonkeyPatch,
    packing: tuple[Packing, Packing],
    ndim: int,
    dtype: torch.dtype,
    heads: int,
    block_size: int,
) -> None:
    _use_packing(monkeypatch, packing)
    head_size, start, end = 6, 5, 5 + block_size + 3
    source = _caches(ndim, heads, block_size, head_size, dtype)
    slots = torch.randperm(8 * block_size, generator=torch.Generator().manual_seed(3))[: end + 4]
    connector = _connector(heads, head_size, dtype)
    chunk = _memory(connector, end - start, dtype)

    connector.from_gpu(chunk, start, end, kvcaches=source, slot_mapping=slots, offset=start)

    for token in range(start, end):
        block, row = divmod(int(slots[token]), block_size)
        for kind, layer, head, element in torch.cartesian_prod(
            *map(torch.arange, (2, LAYERS, heads, head_size))
        ).tolist():
            place = position(packing[kind], source[layer], kind, block, head, row, element)
            assert (
                chunk.tensor[kind, layer, token - start, head * head_size + element] == source[layer].flatten()[place]
            )

    target = _caches(ndim, heads, block_size, head_size, dtype, fill=0)
    other_slots = slots.flip(0)
    again = _memory(connector, end - start, dtype)
    connector.to_gpu(chunk, start, end, kvcaches=target, slot_mapping=other_slots)
    connector.from_gpu(again, start, end, kvcaches=target, slot_mapping=other_slots)
    assert torch.equal(again.tensor, chunk.tensor)
    assert sum(int(cache.count_nonzero()) for cache in target) <= chunk.tensor.numel()


def test_tokens_without_a_slot_are_left_alone_in_both_directions() -> None:
    connector = _connector(2, 4, torch.float32)
    source, target = _caches(4, 2, 16, 4, torch.float32), _caches(4, 2, 16, 4, torch.float32, fill=0)
    slots = torch.tensor([-1, 17, -1, 3])
    chunk = _memory(connector, 4, torch.float32, fill=9)

    connector.from_gpu(chunk, 0, 4, kvcaches=source, slot_mapping=slots)
    connector.to_gpu(chunk, 0, 4, kvcaches=target, slot_mapping=slots)

    assert (chunk.tensor[:, :, [0, 2]] == 9).all()
    assert not (target[0] == 9).any()
    assert sum(int(cache.count_nonzero()) for cache in target) == 2 * LAYERS * 2 * 2 * 4


@pytest.mark.parametrize(("cached", "written"), [(0, 8), (4, 8), (7, 5), (12, 0), (40, 0)])
def test_tokens_that_vllm_holds_already_are_not_written(cached: int, written: int) -> None:
    connector = _connector(1, 4, torch.float32)
    target = _caches(5, 1, 16, 4, torch.float32, fill=0)
    chunk = _memory(connector, 8, torch.float32, fill=1)

    connector.to_gpu(chunk, 4, 12, kvcaches=target, slot_mapping=torch.arange(12), vllm_cached_tokens=cached)

    touched = _tokens_touched(target[0])
    assert touched == set(range(12 - written, 12))


def test_each_row_keeps_its_token_when_leading_ones_are_skipped() -> None:
    connector = _connector(1, 4, torch.float32)
    target = _caches(5, 1, 16, 4, torch.float32, fill=0)
    chunk, back = _memory(connector, 8, torch.float32), _memory(connector, 8, torch.float32, fill=0)
    chunk.tensor.copy_(torch.arange(8.0)[:, None].expand_as(chunk.tensor))
    slots = torch.tensor([*range(8)])
    slots[6] = -1

    connector.to_gpu(chunk, 0, 8, kvcaches=target, slot_mapping=slots, vllm_cached_tokens=3)
    connector.from_gpu(back, 0, 8, kvcaches=target, slot_mapping=slots)

    assert back.tensor[0, 0, :, 0].tolist() == [0, 0, 0, 3, 4, 5, 0, 7]


def test_batches_move_every_chunk() -> None:
    connector = _connector(2, 4, torch.float32)
    source, target = _caches(4, 2, 16, 4, torch.float32), _caches(4, 2, 16, 4, torch.float32, fill=0)
    slots = torch.arange(32)
    chunks = [_memory(connector, 16, torch.float32) for _ in range(2)]

    connector.batched_from_gpu(chunks, [0, 16], [16, 32], kvcaches=source, slot_mapping=slots)
    connector.batched_to_gpu(chunks, [0, 16], [16, 32], kvcaches=target, slot_mapping=slots)

    for before, after in zip(source, target, strict=True):
        assert torch.equal(after[:2], before[:2])


def test_caches_given_once_are_remembered_and_new_ones_replace_them() -> None:
    connector = _connector(2, 4, torch.float32)
    first, second = _caches(4, 2, 16, 4, torch.float32), _caches(4, 2, 16, 4, torch.float32, fill=5)
    slots = torch.arange(16)
    chunk = _memory(connector, 16, torch.float32)

    connector.initialize_kvcaches_ptr(kvcaches=first)
    connector.from_gpu(chunk, 0, 16, slot_mapping=slots)
    assert not (chunk.tensor == 5).all()
    connector.from_gpu(chunk, 0, 16, slot_mapping=slots, kvcaches=second)
    assert (chunk.tensor == 5).all()


def test_the_shape_of_a_memory_object_is_what_lmcache_allocates() -> None:
    assert _connector(3, 64, torch.float32).get_shape(100) == torch.Size([2, LAYERS, 100, 192])


@pytest.mark.parametrize(
    ("config", "metadata", "remedy"),
    [
        ({}, {"use_mla": True}, "without --kv-transfer-config"),
        ({}, {"kv_shape": (LAYERS, 1, 256, 1, 576)}, "without --kv-transfer-config"),
        ({"use_layerwise": True}, {}, "LMCACHE_USE_LAYERWISE=false"),
        ({}, {"kv_dtype": torch.uint8}, "--kv-cache-dtype=auto"),
    ],
)
def test_what_cannot_work_is_refused_at_start_with_its_remedy(
    config: dict[str, Any], metadata: dict[str, Any], remedy: str
) -> None:
    with pytest.raises(ValueError, match=remedy):
        _connector(2, 64, torch.float32, config=config, metadata=metadata)


def test_layers_that_differ_are_refused() -> None:
    caches = [*_caches(4, 2, 16, 4, torch.float32)[:1], empty_cache(4, 8, 1, 16, 4, torch.float32)]

    with pytest.raises(ValueError, match="hybrid models"):
        _connector(2, 4, torch.float32).initialize_kvcaches_ptr(kvcaches=caches)


@pytest.mark.parametrize(("heads", "dtype"), [(3, torch.float32), (2, torch.bfloat16)])
def test_a_cache_other_than_lmcache_was_told_is_refused(heads: int, dtype: torch.dtype) -> None:
    with pytest.raises(ValueError, match=f"told LMCache of {heads} KV heads"):
        _connector(heads, 4, dtype).initialize_kvcaches_ptr(kvcaches=_caches(4, 2, 16, 4, torch.float32))


def test_a_transfer_before_any_cache_is_known_says_so() -> None:
    connector = _connector(2, 4, torch.float32)

    with pytest.raises(ValueError, match="no kvcaches"):
        connector.from_gpu(_memory(connector, 1, torch.float32), 0, 1, slot_mapping=torch.arange(1))


def test_a_memory_object_in_another_format_is_refused() -> None:
    connector = _connector(2, 4, torch.float32)
    chunk = _memory(connector, 1, torch.float32)
    chunk.metadata.fmt = MemoryFormat.KV_MLA_FMT

    with pytest.raises(ValueError, match="KV_2LTD"):
        connector.to_gpu(chunk, 0, 1, slot_mapping=torch.arange(1), kvcaches=_caches(4, 2, 16, 4, torch.float32))


def test_lmcache_0_4_keeps_the_shape_of_chunks_that_vllm_told_it() -> None:
    class Groups:
        """KVLayerGroupsManager of LMCache 0.4.2, as far as the shape of chunks goes."""

        def __init__(self) -> None:
            self.kv_layer_groups: list[Any] = []

        def build_kv_layer_groups(self, kv_caches: dict[str, Tensor]) -> None:
            self.kv_layer_groups = [cache.shape for cache in kv_caches.values()]

    groups = Groups()
    _connector(2, 8, torch.float32, metadata={"kv_layer_groups_manager": groups})

    groups.build_kv_layer_groups({"layer": _caches(4, 2, 16, 8, torch.float32)[0]})

    assert groups.kv_layer_groups == []


def _use_packing(monkeypatch: pytest.MonkeyPatch, packing: tuple[Packing, Packing]) -> None:
    monkeypatch.setattr(module, "vllm_cache_writer", lambda _shape, _dtype: ReferenceWriter(*packing))


def _connector(
    heads: int,
    head_size: int,
    dtype: torch.dtype,
    *,
    config: dict[str, Any] | None = None,
    metadata: dict[str, Any] | None = None,
) -> PagedCpuConnector:
    told = {"use_mla": False, "kv_dtype": dtype, "kv_shape": (LAYERS, 2, 256, heads, head_size)}
    return PagedCpuConnector(
        SimpleNamespace(**{"use_layerwise": False} | (config or {})), SimpleNamespace(**told | (metadata or {}))
    )


def _caches(
    ndim: int, heads: int, block_size: int, head_size: int, dtype: torch.dtype, fill: float | None = None
) -> list[Tensor]:
    caches = [empty_cache(ndim, 8, heads, block_size, head_size, dtype) + layer for layer in range(LAYERS)]
    return caches if fill is None else [torch.full_like(cache, fill) for cache in caches]


def _memory(connector: PagedCpuConnector, tokens: int, dtype: torch.dtype, fill: float = 0) -> Any:  # noqa: ANN401 - LMCache's memory object has no types
    return SimpleNamespace(
        tensor=torch.full(connector.get_shape(tokens), fill, dtype=dtype),
        metadata=SimpleNamespace(fmt=MemoryFormat.KV_2LTD),
    )


def _tokens_touched(cache: Tensor) -> set[int]:
    """Tokens of the first block whose values changed from zero."""
    return set(cache[1, 0, 0].any(dim=1).nonzero().flatten().tolist())
