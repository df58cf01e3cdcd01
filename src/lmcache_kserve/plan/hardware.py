"""What is published of GPUs, links and networks: the data file `hardware.yaml`, with the source of each figure."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

import yaml

from lmcache_kserve.errors import HarnessError

GIB = 2**30
GIGA = 1e9
_SLOWEST, _FASTEST = 0.0001, 1_000_000
"""GB/s that a network may have."""
_NETWORK = re.compile(r"(\d+(?:\.\d+)?)G", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Gpu:
    """A type of GPU.

    Attributes:
        name: as `--gpu` takes it.
        memory_bytes: its memory.
        peak: operations a second of its tensor cores, by data type of the weights.
        link: bytes a second from its machine's memory.
        link_source: where that figure is from.
        source: where memory and peak are from.
    """

    name: str
    memory_bytes: float
    peak: Mapping[str, float]
    link: float
    link_source: str
    source: str

    def peak_for(self, weights: str) -> float:
        """Operations a second with weights of a data type: the peak of that type, or of the next larger one it knows.

        Weights of int4 become 16 bits wide before they are multiplied.
        """
        order = {"fp4": ("fp4", "fp8", "bfloat16"), "fp8": ("fp8", "bfloat16")}.get(weights, ("bfloat16",))
        return next(self.peak[name] for name in order if name in self.peak)


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """A published prefill rate.

    Attributes:
        gpu: type of the GPUs.
        gpus: how many.
        model: which model, as in tests/unit/plan/configs.
        weights: data type of the weights.
        tokens: length of the prompts.
        rate: tokens a second.
        active: parameters that a token passes.
        score: floating-point operations for a token and a token before it.
        source: where it is published.
        experts: whether the model is a mixture of experts.
    """

    gpu: str
    gpus: int
    model: str
    weights: str
    tokens: int
    rate: float
    active: float
    score: float
    source: str
    experts: bool = False

    @property
    def efficiency(self) -> float:
        """Share of the peak that was reached."""
        operations = 2 * self.active + self.score * self.tokens / 2
        return self.rate * operations / (gpu(self.gpu).peak_for(self.weights) * self.gpus)


@dataclass(frozen=True, slots=True, kw_only=True)
class Engine:
    """What an engine needs beside computing and loading.

    Attributes:
        base_s: seconds of any request.
        per_token_s: seconds for each token of the prompt, found or not.
        per_hit_s: seconds of a request for which LMCache loads something.
        source: where the figures are from.
    """

    base_s: float
    per_token_s: float
    per_hit_s: float
    source: str


def gpu(name: str) -> Gpu:
    """The GPU of `--gpu`.

    Raises:
        HarnessError: it is not in the table.
    """
    known = _data()["gpus"]
    found = next((key for key in known if key.lower() == name.lower()), None)
    if found is None:
        raise HarnessError(f"--gpu={name}: choose among {', '.join(known)}, or give --prefill-rate")
    row, link = known[found], _data()["links"][known[found]["link"]]
    return Gpu(
        name=found,
        memory_bytes=row["memory"] * GIB,
        peak={dtype: tera * 1e12 for dtype, tera in row["peak"].items()},
        link=link["rate"] * GIGA,
        link_source=link["source"],
        source=row["source"],
    )


def measured() -> Sequence[Measured]:
    """The published prefill rates."""
    rows = []
    for row in _data()["prefill"]:
        fields = {key: value for key, value in row.items() if key != "work"}
        rows.append(Measured(**fields, **row["work"]))
    return rows


def engine() -> Engine:
    """What an engine needs beside computing and loading."""
    row = _data()["engine"]
    return Engine(base_s=row["base"], per_token_s=row["per_token"], per_hit_s=row["per_hit"], source=row["source"])


def working_memory() -> tuple[float, str]:
    """Bytes of each GPU that hold neither weights nor KV cache, and the source."""
    row = _data()["working_memory"]
    return row["gib"] * GIB, row["source"]


def network(value: str) -> float:
    """Bytes a second of `--network`: `25G` for a line of 25 gigabits a second, or a plain number of GB/s.

    Raises:
        HarnessError: it is neither, or out of range.
    """
    if line := _NETWORK.fullmatch(value.strip()):
        rate = float(line[1]) / 8 * float(_data()["payload_share"])
    else:
        try:
            rate = float(value)
        except ValueError as error:
            raise HarnessError(f"--network={value}: give a line such as 25G, or GB/s such as 3.1") from error
    if not _SLOWEST <= rate <= _FASTEST:
        raise HarnessError(f"--network={value}: give from {_SLOWEST:g} to {_FASTEST:,} GB/s")
    return rate * GIGA


@cache
def _data() -> Mapping[str, Any]:
    loaded: Mapping[str, Any] = yaml.safe_load(
        resources.files(__package__).joinpath("hardware.yaml").read_text(encoding="utf-8")
    )
    return loaded
