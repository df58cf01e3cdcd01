"""LMCache's connector interface over vLLM's paged CPU cache.

What LMCache expects of a connector is told by `VLLMPagedMemGPUConnectorV2` in LMCache 0.5.6
(lmcache/v1/gpu_connector/gpu_connectors.py):

- `slot_mapping` covers the whole token sequence; a chunk is `slot_mapping[start:end]`. A negative slot is padding.
- A memory object in format `KV_2LTD` is `[2, layers, tokens, heads * head_size]`, keys first.
- `vllm_cached_tokens` counts the leading tokens that vLLM holds already. The blocks they lie in may be shared with
  running requests, so loading must not write them, even when a chunk begins before that boundary.
- `offset` tells how many tokens were skipped when storing; `start` and `end` include them already.
- `from` and `to` "gpu" mean out of and into vLLM's cache, whatever the device.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from lmcache.logging import init_logger
from lmcache.v1.config import LMCacheEngineConfig
from lmcache.v1.gpu_connector.gpu_connectors import GPUConnectorInterface
from lmcache.v1.memory_management import MemoryFormat, MemoryObj
from lmcache.v1.metadata import LMCacheMetadata
from torch import Tensor

from lmcache_cpu_connector.pages import CacheShape, CacheWriter, PageOrder, learn_order, split_pages

logger = init_logger(__name__)

DTYPES = (torch.float32, torch.bfloat16, torch.float16)


class PagedCpuConnector(GPUConnectorInterface):  # type: ignore[misc]  # LMCache is not typed
    """Copies KV between vLLM's CPU cache and LMCache's memory objects.

    Raises:
        ValueError: the model or the configuration is one that this connector cannot serve.
    """

    def __init__(self, config: LMCacheEngineConfig, metadata: LMCacheMetadata) -> None:
        if metadata.use_mla or metadata.kv_shape[1] != 2:  # noqa: PLR2004 - keys and values
            raise ValueError(
                "LMCache on CPU cannot cache a model with multi-head latent attention (MLA): "
                "serve it without --kv-transfer-config"
            )
        if config.use_layerwise:
            raise ValueError(
                "LMCache on CPU moves all layers at once: set use_layerwise to false (LMCACHE_USE_LAYERWISE=false)"
            )
        if metadata.kv_dtype not in DTYPES:
            raise ValueError(
                f"LMCache on CPU cannot cache a KV cache of type {metadata.kv_dtype}: serve with --kv-cache-dtype=auto"
            )
        self._layers, _, _, self._heads, self._head_size = metadata.kv_shape
        self._dtype = metadata.kv_dtype
        self._cache: _BoundCache | None = None
        _keep_the_shape_of(metadata)

    def get_shape(self, num_tokens: int) -> torch.Size:
        """Shape of the memory object for so many tokens."""
        return torch.Size([2, self._layers, num_tokens, self._heads * self._head_size])

    def initialize_kvcaches_ptr(self, **kwargs: Any) -> None:  # noqa: ANN401 - the signature is LMCache's
        """Remember vLLM's cache tensors, one per layer, when they are given.

        Raises:
            ValueError: the layers differ from each other or from what LMCache was told.
        """
        caches: Sequence[Tensor] | None = kwargs.get("kvcaches")
        if caches is None:
            return
        addresses = tuple(cache.data_ptr() for cache in caches)
        if self._cache is not None and self._cache.addresses == addresses:
            return
        shape = self._common_shape(caches)
        orders = learn_order(shape, self._dtype, vllm_cache_writer(shape, self._dtype))
        self._cache = _BoundCache(addresses, [split_pages(cache) for cache in caches], orders)
        logger.info(
            "CPU connector: %d layers, %d KV heads of %d elements, blocks of %d tokens, %s, keys %s, values %s",
            len(caches),
            shape.heads,
            shape.head_size,
            shape.block_size,
            self._dtype,
            *(order.description for order in orders),
        )

    @torch.inference_mode()
    def from_gpu(self, memory_obj: MemoryObj, start: int, end: int, **kwargs: Any) -> None:  # noqa: ANN401 - the signature is LMCache's
        """Copy tokens `start` to `end` out of vLLM's cache into the memory object."""
        cache = self._bind(**kwargs)
        rows, slots = _present(kwargs["slot_mapping"], start, end)
        for layer, pages in enumerate(cache.pages):
            for kind, order in enumerate(cache.orders):
                self._tokens(memory_obj, kind, layer)[rows] = order.read(pages[kind], slots)

    @torch.inference_mode()
    def to_gpu(self, memory_obj: MemoryObj, start: int, end: int, **kwargs: Any) -> None:  # noqa: ANN401 - the signature is LMCache's
        """Copy tokens `start` to `end` from the memory object into vLLM's cache, but none that vLLM holds already."""
        cache = self._bind(**kwargs)
        first = max(start, kwargs.get("vllm_cached_tokens", 0))
        rows, slots = _present(kwargs["slot_mapping"], first, end, row=first - start)
        for layer, pages in enumerate(cache.pages):
            for kind, order in enumerate(cache.orders):
                order.write(pages[kind], slots, self._tokens(memory_obj, kind, layer)[rows])

    def batched_from_gpu(
        self,
        memory_objs: Sequence[MemoryObj],
        starts: Sequence[int],
        ends: Sequence[int],
        **kwargs: Any,  # noqa: ANN401 - the signature is LMCache's
    ) -> None:
        """`from_gpu` for several chunks."""
        for memory_obj, start, end in zip(memory_objs, starts, ends, strict=True):
            self.from_gpu(memory_obj, start, end, **kwargs)

    def batched_to_gpu(
        self,
        memory_objs: Sequence[MemoryObj],
        starts: Sequence[int],
        ends: Sequence[int],
        **kwargs: Any,  # noqa: ANN401 - the signature is LMCache's
    ) -> None:
        """`to_gpu` for several chunks."""
        for memory_obj, start, end in zip(memory_objs, starts, ends, strict=True):
            self.to_gpu(memory_obj, start, end, **kwargs)

    def _bind(self, **kwargs: Any) -> "_BoundCache":  # noqa: ANN401 - the signature is LMCache's
        self.initialize_kvcaches_ptr(**kwargs)
        if self._cache is None:
            raise ValueError("LMCache passed no kvcaches: vLLM has registered no KV cache with it")
        return self._cache

    def _tokens(self, memory_obj: MemoryObj, kind: int, layer: int) -> Tensor:
        """One layer's keys (kind 0) or values (1) of a memory object as [tokens, heads, head_size]."""
        if memory_obj.metadata.fmt != MemoryFormat.KV_2LTD:
            raise ValueError(f"memory object in format {memory_obj.metadata.fmt}, this connector speaks KV_2LTD")
        tensor: Tensor = memory_obj.tensor
        return tensor[kind, layer].view(-1, self._heads, self._head_size)

    def _common_shape(self, caches: Sequence[Tensor]) -> CacheShape:
        """The shape that every layer's cache has."""
        shapes = {CacheShape.of(cache) for cache in caches}
        dtypes = {cache.dtype for cache in caches}
        registered = f"{len(caches)} layers of {_words(list(cache.shape) for cache in caches)} in {_words(dtypes)}"
        if len(shapes) != 1 or len(caches) != self._layers:
            raise ValueError(
                f"LMCache on CPU needs the same KV cache in each of the model's {self._layers} layers, which hybrid "
                f"models do not have (vLLM registered {registered}): serve it without --kv-transfer-config"
            )
        shape = shapes.pop()
        if (shape.heads, shape.head_size) != (self._heads, self._head_size) or dtypes != {self._dtype}:
            raise ValueError(
                f"vLLM registered {registered}, but told LMCache of {self._heads} KV heads of {self._head_size} "
                f"elements in {self._dtype}: serve with --kv-cache-dtype=auto, or without --kv-transfer-config"
            )
        return shape


@dataclass(frozen=True, slots=True)
class _BoundCache:
    """vLLM's cache as this connector uses it.

    Attributes:
        addresses: where each layer's tensor lies, to notice another cache.
        pages: key pages and value pages of each layer.
        orders: of keys and of values, the same in every layer.
    """

    addresses: tuple[int, ...]
    pages: Sequence[tuple[Tensor, Tensor]]
    orders: tuple[PageOrder, PageOrder]


def _keep_the_shape_of(metadata: LMCacheMetadata) -> None:
    """Let LMCache make chunks of the shape that vLLM told it.

    LMCache 0.4.2 and 0.4.4 replace the shape by what `build_kv_layer_groups` (lmcache/v1/kv_layer_groups.py) reads
    from the cache tensors. The function takes the last two dimensions for heads and head size. On a CPU these two hold
    a whole block, so each chunk would be many times too large. Later releases have no such manager in their metadata.
    """
    groups = getattr(metadata, "kv_layer_groups_manager", None)
    if groups is not None:
        groups.build_kv_layer_groups = lambda _kv_caches: None


def _present(slot_mapping: Tensor, start: int, end: int, row: int = 0) -> tuple[slice | Tensor, Tensor]:
    """The tokens from `start` to `end` that have a slot.

    Returns:
        Their rows in the memory object, where token `start` has row `row`, and their slots.
    """
    slots = slot_mapping[start:end]
    present = slots >= 0
    if present.all():  # nearly always, and rows in a slice need no copy
        return slice(row, row + len(slots)), slots
    rows = present.nonzero().flatten()
    return rows + row, slots[rows]


def _words(things: Iterable[object]) -> str:
    """Each different thing once."""
    return " and ".join(sorted({str(thing) for thing in things}))


def vllm_cache_writer(shape: CacheShape, dtype: torch.dtype) -> CacheWriter:
    """The kernel with which vLLM's attention layers of this geometry put keys and values into the cache."""
    from vllm import _custom_ops as ops  # noqa: PLC0415 - vLLM loads this module only inside its worker
    from vllm.v1.attention.backends.cpu_attn import _get_attn_isa  # noqa: PLC0415 - loaded only inside a vLLM server

    isa = _get_attn_isa(dtype, shape.block_size, shape.head_size)

    def write(key: Tensor, value: Tensor, key_cache: Tensor, value_cache: Tensor, slots: Tensor) -> None:
        ops.cpu_attn_reshape_and_cache(key, value, key_cache, value_cache, slots, isa)

    return write
