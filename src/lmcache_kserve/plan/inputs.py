"""What a plan is made from: the options of `lmcache-kserve plan`."""

from dataclasses import dataclass
from pathlib import Path

from lmcache_kserve.errors import HarnessError

SMALLEST_CHUNK = 16
"""The chart's smallest `lmcache.chunkSize`."""


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
        least = {
            "--tensor-parallel": (self.tensor_parallel, 1),
            "--pipeline-parallel": (self.pipeline_parallel, 1),
            "--replicas": (self.replicas, 1),
            "--chunk-size": (self.chunk_size, SMALLEST_CHUNK),
            "--prompt-tokens": (self.prompt_tokens, self.chunk_size),
            "--working-set": (self.working_set, 1),
        }
        for option, (number, smallest) in least.items():
            if number is not None and number < smallest:
                raise HarnessError(f"{option}={number}: give {smallest} or more")
        for option, size in {"--prefill-rate": self.prefill_rate, "--cache-size": self.cache_gib}.items():
            if size is not None and not 0 < size < float("inf"):
                raise HarnessError(f"{option}={size:g}: give more than 0")
        for option, price in {
            "--price-gpu-hour": self.price_gpu_hour,
            "--price-gib-month": self.price_gib_month,
        }.items():
            if price is not None and not 0 <= price < float("inf"):
                raise HarnessError(f"{option}={price:g}: give 0 or more")

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
