"""How large chunks are, how many tokens fit into a GiB, and how many the engine keeps by itself."""

from dataclasses import dataclass

from lmcache_kserve.errors import HarnessError
from lmcache_kserve.plan.hardware import GIB, Gpu, working_memory


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizing:
    """Sizes in the cache.

    Attributes:
        token_bytes: bytes of a token, on all workers together.
        chunk: tokens of a chunk.
    """

    token_bytes: float
    chunk: int

    @property
    def chunk_bytes(self) -> float:
        """Bytes of a chunk, on all workers together."""
        return self.token_bytes * self.chunk

    def tokens(self, gib: float) -> float:
        """Tokens in whole chunks that fit into `gib`."""
        return gib * GIB // self.chunk_bytes * self.chunk

    def gib(self, tokens: float) -> float:
        """GiB that hold `tokens` in whole chunks."""
        return -(-tokens // self.chunk) * self.chunk_bytes / GIB


def engine_tokens(gpu: Gpu, gpus: int, utilization: float, weight_bytes: float, token_bytes: float) -> float:
    """Tokens that the engine's own cache holds: GPU memory less the weights and the working memory.

    Args:
        gpu: type of the GPUs.
        gpus: how many hold the model together.
        utilization: `--gpu-memory-utilization`, the share of the memory that the engine takes.
        weight_bytes: size of all weights.
        token_bytes: bytes of a token on all these GPUs together.

    Raises:
        HarnessError: the weights do not fit.
    """
    memory = gpu.memory_bytes * gpus * utilization
    free = memory - weight_bytes - working_memory()[0] * gpus
    if free <= 0:
        raise HarnessError(
            f"the weights take {weight_bytes / GIB:.0f} GiB, {gpus} x --gpu={gpu.name} give {memory / GIB:.0f} GiB: "
            "raise --tensor-parallel or --pipeline-parallel, or choose a smaller --dtype"
        )
    return free / token_bytes
