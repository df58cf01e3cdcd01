import pytest
import torch
from reference import PACKINGS, Packing, ReferenceWriter, empty_cache, position

from lmcache_cpu_connector.pages import CacheShape, PageOrder, learn_order, split_pages

DTYPES = [torch.float32, torch.bfloat16, torch.float16]

every_packing = pytest.mark.parametrize("packing", PACKINGS.values(), ids=PACKINGS)


@every_packing
@pytest.mark.parametrize("ndim", [4, 5])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("block_size", "head_size"), [(16, 32), (32, 6), (48, 80)])
def test_the_order_inside_a_page_is_learned_from_what_the_kernel_writes(
    ndim: int, dtype: torch.dtype, block_size: int, head_size: int, packing: tuple[Packing, Packing]
) -> None:
    shape = CacheShape(ndim=ndim, blocks=9, heads=3, block_size=block_size, head_size=head_size)

    orders = learn_order(shape, dtype, ReferenceWriter(*packing))

    for order, places in zip(orders, packing, strict=True):
        expected = [[places(t, d, block_size, head_size) for d in range(head_size)] for t in range(block_size)]
        assert order.index.tolist() == expected


def test_regular_orders_are_recognised_and_tiles_are_not() -> None:
    shape = CacheShape(ndim=4, blocks=1, heads=1, block_size=32, head_size=64)

    avx = learn_order(shape, torch.float32, ReferenceWriter(*PACKINGS["avx"]))
    amx = learn_order(shape, torch.float32, ReferenceWriter(*PACKINGS["amx"]))

    assert [order.strides for order in avx] == [(1, 32), (64, 1)]
    assert amx[0].strides is None


def test_a_cache_that_changes_what_it_stores_is_refused() -> None:
    def quantise(key: torch.Tensor, value: torch.Tensor, keys: torch.Tensor, values: torch.Tensor, _: object) -> None:
        keys.copy_((key // 8).view_as(keys))
        values.copy_(value.view_as(values))

    with pytest.raises(ValueError, match="--kv-cache-dtype=auto"):
        learn_order(CacheShape(ndim=5, blocks=1, heads=1, block_size=16, head_size=32), torch.float16, quantise)


@every_packing
@pytest.mark.parametrize("ndim", [4, 5])
@pytest.mark.parametrize("heads", [1, 2, 5])
def test_reading_finds_each_element_where_the_packing_puts_it(
    ndim: int, heads: int, packing: tuple[Packing, Packing]
) -> None:
    block_size, head_size = 16, 8
    cache = empty_cache(ndim, 6, heads, block_size, head_size, torch.float32)
    slots = torch.tensor([16 * 4 + 15, 3, 0, 16 * 4, 16 * 5 + 7])  # any order, blocks only partly used
    flat = cache.flatten()

    for kind, pages in enumerate(split_pages(cache)):
        read = _order(packing[kind], block_size, head_size).read(pages, slots)

        for row, slot in enumerate(slots.tolist()):
            for head in range(heads):
                for element in range(head_size):
                    place = position(packing[kind], cache, kind, slot // 16, head, slot % 16, element)
                    assert read[row, head, element] == flat[place]


@every_packing
@pytest.mark.parametrize("ndim", [4, 5])
def test_writing_changes_the_given_slots_and_nothing_else(ndim: int, packing: tuple[Packing, Packing]) -> None:
    heads, block_size, head_size = 3, 32, 4
    cache = empty_cache(ndim, 5, heads, block_size, head_size, torch.bfloat16)
    slots = torch.tensor([32 * 2 + 31, 32 * 2, 32 * 4 + 1])
    expected = cache.clone()
    tokens = torch.randn(2, len(slots), heads, head_size, generator=torch.Generator().manual_seed(7)).bfloat16()
    for kind in range(2):
        for row, slot in enumerate(slots.tolist()):
            for head in range(heads):
                for element in range(head_size):
                    place = position(packing[kind], cache, kind, slot // 32, head, slot % 32, element)
                    expected.view(-1)[place] = tokens[kind, row, head, element]

    for kind, pages in enumerate(split_pages(cache)):
        _order(packing[kind], block_size, head_size).write(pages, slots, tokens[kind])

    assert torch.equal(cache, expected)


def test_a_block_padded_in_memory_is_read_through_its_strides() -> None:
    padded = torch.randn(4, 2 * 16 * 8 + 64, generator=torch.Generator().manual_seed(1))
    cache = padded[:, : 2 * 16 * 8].view(4, 2, 16, 8)
    order = _order(PACKINGS["avx"][0], 16, 4)

    read = order.read(split_pages(cache)[0], torch.tensor([16 * 3 + 5]))

    assert torch.equal(read, order.read(split_pages(cache.contiguous())[0], torch.tensor([16 * 3 + 5])))


@pytest.mark.parametrize("shape", [(7, 16, 576), (3, 10, 2, 16, 64), (4, 2, 16, 65)])
def test_a_tensor_in_neither_cpu_layout_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="no layout of vLLM's CPU attention"):
        CacheShape.of(torch.zeros(shape))


def _order(packing: Packing, block_size: int, head_size: int) -> PageOrder:
    index = [[packing(t, d, block_size, head_size) for d in range(head_size)] for t in range(block_size)]
    return PageOrder.from_index(torch.tensor(index))
