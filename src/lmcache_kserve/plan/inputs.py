"""What a plan is made from: the options of `lmcache-kserve plan`."""

import reprlib
from dataclasses import dataclass
from pathlib import Path

from lmcache_kserve.errors import HarnessError

SMALLEST_CHUNK = 16
"""The chart's smallest `lmcache.chunkSize`."""
LARGEST_GIB = 2**20
"""A petabyte of chunks. Kubernetes counts bytes up to 2^63, and no backend here holds as much."""
_MOST_GPUS = 2**16
_MOST_REPLICAS = 10_000
_LONGEST_PROMPT = 2**24
"""Tokens; the longest context of any model is shorter."""
_MOST_TOKENS = 2**50
_LEAST, _MOST = 0.001, 1_000_000_000
"""Rates, sizes and prices beyond are slips of the keyboard, and their quotients no numbers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Inputs:
    """What the user said; see `lmcache-kserve plan --help`."""

    model: str
    dtype: str = "auto"
    kv_dtype: str = "auto"
    tensor_parallel: int = 1
    pipeline_parallel: int = 1
    replicas: int = 2
    gpu: str | None = None
    gpu_memory_utilization: float = 0.9
    prefill_rate: float | None = None
    verify_report: Path | None = None
    network: str | None = None
    backend: str = "redis"
    mode: str = "in-process"
    client: str = ""
    chunk_size: int = 256
    cache_gib: float | None = None
    working_set: int | None = None
    trace: Path | None = None
    prompt_tokens: int | None = None
    price_gpu_hour: float | None = None
    price_gib_month: float | None = None

    def __post_init__(self) -> None:
        """Refuse numbers that nothing can have.

        Raises:
            HarnessError: an option is out of its range, or two options contradict each other.
        """
        self._check_numbers()
        self._check_choices()

    def _check_numbers(self) -> None:
        ranges: dict[str, tuple[float | None, float, float]] = {
            "--tensor-parallel": (self.tensor_parallel, 1, _MOST_GPUS),
            "--pipeline-parallel": (self.pipeline_parallel, 1, _MOST_GPUS),
            "--replicas": (self.replicas, 1, _MOST_REPLICAS),
            "--chunk-size": (self.chunk_size, SMALLEST_CHUNK, _LONGEST_PROMPT),
            "--prompt-tokens": (self.prompt_tokens, self.chunk_size, _LONGEST_PROMPT),
            "--working-set": (self.working_set, 1, _MOST_TOKENS),
            "--gpu-memory-utilization": (self.gpu_memory_utilization, _LEAST, 1),
            "--prefill-rate": (self.prefill_rate, _LEAST, _MOST),
            "--cache-size": (self.cache_gib, _LEAST, LARGEST_GIB),
            "--price-gpu-hour": (self.price_gpu_hour, 0, _MOST),
            "--price-gib-month": (self.price_gib_month, 0, _MOST),
        }
        for option, (number, least, most) in ranges.items():
            if number is not None and not least <= number <= most:
                raise HarnessError(f"{option}={reprlib.repr(number)}: give a number from {least:,} to {most:,}")

    def _check_choices(self) -> None:
        if (self.price_gpu_hour is None) != (self.price_gib_month is None):
            raise HarnessError("give both --price-gpu-hour and --price-gib-month, or none of them")
        if self.working_set is not None and self.trace is not None:
            raise HarnessError("--working-set and --trace say the same thing in two ways: give one of them")
        if self.prefill_rate is not None and self.verify_report is not None:
            raise HarnessError("--prefill-rate and --verify-report both say how fast prompts compute: give one of them")
        if self.gpu is None and self.prefill_rate is None and self.verify_report is None:
            raise HarnessError("nothing says how fast prompts compute: give --gpu, --prefill-rate or --verify-report")

    @property
    def gpus(self) -> int:
        """GPUs of a replica."""
        return self.tensor_parallel * self.pipeline_parallel
