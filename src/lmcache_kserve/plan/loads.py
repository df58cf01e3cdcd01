"""How fast the tokens of a hit come: the slowest of the client, the network and the GPU's own link."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lmcache_kserve.errors import HarnessError
from lmcache_kserve.lmcache.backends import MULTIPROCESS
from lmcache_kserve.plan.hardware import GIGA, Gpu

MODES = ("in-process", "multiprocess")
BACKENDS = (
    "none",
    "redis",
    "valkey",
    "redis-sentinel",
    "lmcache-server",
    "filesystem",
    "mooncake",
    "infinistore",
    "s3",
)
"""Values of `remoteBackend.type` for which plan writes values; `custom` has an address that only its user knows."""
_RATES = "docs/reports/rates.json: one worker, two cores, loopback"


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """One part of the way from the cache to the GPU.

    Attributes:
        name: which part.
        rate: bytes a second, of all workers of a replica together.
        source: where that is from.
        error: how wrong it may be, in words.
    """

    name: str
    rate: float
    source: str
    error: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """The way of a hit.

    Attributes:
        stages: its parts.
        note: what a user should know of it; empty where nothing.
    """

    stages: Sequence[Stage]
    note: str = ""

    @property
    def slowest(self) -> Stage:
        """The part that limits a hit."""
        return min(self.stages, key=lambda stage: stage.rate)


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What the user asked for.

    Attributes:
        backend: the value of `remoteBackend.type`.
        mode: the value of `lmcache.mode`.
        client: the value of `client` below the backend's values; empty for the chart's default.
        network: bytes a second between a replica and the backend; None where the user did not say.
        workers: workers of a replica that load side by side.
    """

    backend: str
    mode: str
    client: str
    network: float | None
    workers: int


def way(asked: Asked, gpu: Gpu | None, rates: Path) -> Way:
    """The way of a hit from the backend to the GPU.

    Args:
        asked: what the user asked for.
        gpu: type of the GPUs; None where the user did not say.
        rates: a report of `lmcache-kserve compare --backend-only`.

    Raises:
        HarnessError: no such backend, mode or client is known, or nothing says how fast the way is.
    """
    check(asked)
    stages = []
    if gpu is not None:
        rate = gpu.link * asked.workers
        stages.append(Stage(name="GPU link", rate=rate, source=gpu.link_source, error="half, if GPUs share a switch"))
    if asked.backend == "none":
        if not stages:
            raise HarnessError(
                "--backend=none loads from the machine's memory: give --gpu, whose link decides how fast"
            )
        return Way(stages=stages)
    if asked.network is not None:
        stages.append(network_stage(asked.network))
    arms = _arms(rates, asked)
    chosen = next((arm for arm in arms if arm["client"] == _client(asked)), None)
    if chosen is not None:
        # In mode multiprocess one server loads for all workers of a replica.
        stages.append(_client_stage(chosen, 1 if asked.mode == "multiprocess" else asked.workers))
    if not stages:
        raise HarnessError(f"nobody measured --backend={asked.backend} in mode {asked.mode}: give --network")
    return Way(stages=stages, note=_note(asked, arms, chosen))


def network_stage(rate: float) -> Stage:
    """The network, at so many bytes a second."""
    source = "--network; 94 % of a line's bits are payload"
    return Stage(name="network", rate=rate, source=source, error="less, if others use the line")


def check(asked: Asked) -> None:
    """Refuse what no release can be.

    Raises:
        HarnessError: no such backend, mode or client is known.
    """
    if asked.backend not in BACKENDS:
        raise HarnessError(f"--backend={asked.backend}: choose among {', '.join(BACKENDS)}")
    if asked.mode not in MODES:
        raise HarnessError(f"--mode={asked.mode}: choose among {', '.join(MODES)}")
    if asked.mode == "multiprocess" and asked.backend not in MULTIPROCESS | {"none"}:
        known = ", ".join(sorted(MULTIPROCESS))
        raise HarnessError(f"--mode=multiprocess has no client for --backend={asked.backend}: choose none, {known}")
    clients = CLIENTS.get(asked.backend, ())
    if asked.client and asked.client not in clients:
        raise HarnessError(
            f"--client={asked.client}: --backend={asked.backend} in mode {asked.mode} "
            + (f"has {' and '.join(clients)}" if clients else "has one client, so leave the option out")
        )


CLIENTS = {"redis": ("redis-py", "direct"), "valkey": ("redis-py", "direct"), "redis-sentinel": ("redis-py", "direct")}
"""Values of `client` by backend; the first is the chart's default."""


def _client(asked: Asked) -> str:
    """The client as a report of rates names it; LMCache's own client of mode multiprocess has no name."""
    default = CLIENTS.get(asked.backend, ("",))[0]
    chosen = asked.client or default
    return "" if asked.mode == "multiprocess" and chosen == default else chosen


def _arms(rates: Path, asked: Asked) -> Sequence[Mapping[str, Any]]:
    """The measured clients of a backend in a mode."""
    loaded = json.loads(rates.read_text(encoding="utf-8"))
    return [
        arm for arm in loaded["arms"] if (arm["backend"], arm["mode"]) == (asked.backend, asked.mode) and _rates(arm)
    ]


def _rates(arm: Mapping[str, Any]) -> list[float]:
    """GB/s of loads with the largest chunk, from the slowest to the fastest number of chunks in flight."""
    cells = [cell for cell in arm["cells"] if (cell["how"], cell["operation"]) == ("client", "get")]
    largest = max((cell["chunk_bytes"] for cell in cells), default=0)
    return sorted(cell["gigabytes_per_s"] for cell in cells if cell["chunk_bytes"] == largest)


def _client_stage(arm: Mapping[str, Any], workers: int) -> Stage:
    measured = _rates(arm)
    return Stage(
        name=" ".join(filter(None, ("client", arm["client"]))),
        rate=measured[-1] * GIGA * workers,
        source=_RATES,
        error=f"{measured[0] / measured[-1]:.1f} to 2 times: one chunk at a time is slower, more cores are faster",
    )


def _note(asked: Asked, arms: Sequence[Mapping[str, Any]], chosen: Mapping[str, Any] | None) -> str:
    if chosen is None:
        name = f"{asked.backend}'s client in mode {asked.mode}"
        return f"Nobody measured {name}: the network alone counts, so hits may take longer."
    best = max(arms, key=lambda arm: _rates(arm)[-1])
    if _rates(best)[-1] <= _rates(chosen)[-1]:
        return ""
    faster = f"{_rates(best)[-1]:.2f} GB/s instead of {_rates(chosen)[-1]:.2f}"
    return f"--client={best['client']} loads {faster}, measured on one machine."
