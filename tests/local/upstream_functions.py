"""Call the functions of LMCache in which a fault was reported, and say what they did. Runs with the engine's Python.

The one line of its output is JSON. The tensors are small and on the CPU.
"""

import json
import sys
from types import SimpleNamespace

import torch
from lmcache.integration.vllm.kv_cache_group_edits import apply_kv_cache_group_edits
from lmcache.lmcache_native import EngineKVFormat, TransferDirection
from lmcache.v1.platform.torch_ops.mem_kernels import multi_layer_kv_transfer
from lmcache.v1.storage_backend.naive_serde.naive_serde import NaiveDeserializer, NaiveSerializer
from vllm.v1.kv_cache_interface import FullAttentionSpec

BLOCKS, BLOCK, HEADS, HEAD = 8, 16, 2, 4
TOKENS = 24


def arrives(shape: tuple[int, ...], layout: EngineKVFormat, tokens_first: tuple[int, ...]) -> bool:
    """Whether tokens that are stored out of one place of a layer's cache and loaded into another are the same.

    `tokens_first` orders the dimensions with blocks and tokens first.
    """
    cache = torch.arange(BLOCKS * BLOCK * HEADS * HEAD * 2, dtype=torch.float32).view(shape)
    # What LMCache's connector of mode in-process keeps tokens in: keys, then values (`get_shape`).
    memory = torch.zeros(2, 1, TOKENS, HEADS * HEAD)
    there, here = torch.arange(TOKENS), torch.arange(TOKENS) + 3 * BLOCK
    stored = cache.permute(tokens_first).reshape(BLOCKS * BLOCK, -1)[there].clone()
    for slots, direction in ((there, TransferDirection.D2H), (here, TransferDirection.H2D)):
        multi_layer_kv_transfer(
            memory,
            torch.tensor([cache.data_ptr()], dtype=torch.int64),
            slots,
            torch.device("cpu"),
            BLOCKS * BLOCK,
            direction,
            layout,
            block_size=BLOCK,
            head_size=shape[-1],
        )
    return torch.equal(cache.permute(tokens_first).reshape(BLOCKS * BLOCK, -1)[here], stored)


def tokens_per_block_of_a_hybrid_model() -> int:
    """Tokens in a block of attention, as LMCache's server sees them, where vLLM's kernel uses smaller blocks."""
    spec = FullAttentionSpec(block_size=4 * BLOCK, num_kv_heads=HEADS, head_size=HEAD, dtype=torch.float32)
    group = SimpleNamespace(kv_cache_spec=spec, layer_names=["attention"])
    cache = torch.zeros(4 * BLOCKS, HEADS, BLOCK, 2 * HEAD)
    config = SimpleNamespace(kv_cache_groups=[group], has_mamba_layers=True)
    edited = apply_kv_cache_group_edits(config, {"attention": cache}, layout_hints={"kv_layout": "HND"})
    return int(edited["attention"].shape[2])


def travels_unchanged() -> bool:
    """Whether `naive` hands on the very memory that it was given, in both directions."""
    chunk = SimpleNamespace(ref_count_up=lambda: None)
    return NaiveDeserializer().deserialize(NaiveSerializer().serialize(chunk)) is chunk


def main() -> int:
    """Say what each function did."""
    seen = {
        "apart": arrives((BLOCKS, 2, BLOCK, HEADS, HEAD), EngineKVFormat.NL_X_NB_TWO_BS_NH_HS, (0, 2, 1, 3, 4)),
        "in one tensor": arrives((BLOCKS, BLOCK, HEADS, 2 * HEAD), EngineKVFormat.NL_X_NB_BS_NH_CS, (0, 1, 2, 3)),
        "tokens per block": tokens_per_block_of_a_hybrid_model(),
        "naive": travels_unchanged(),
    }
    sys.stdout.write(json.dumps(seen) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
