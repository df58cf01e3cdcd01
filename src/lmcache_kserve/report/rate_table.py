"""How fast each remote backend takes chunks and gives them back: the table of `compare --backend-only`."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from lmcache_kserve.lmcache.rate import Cell

SCHEMA = "lmcache-kserve/rates/v1"

_MIB = 2**20
_EXCEPTION = re.compile(r"[A-Z]\w*Error: \S")


@dataclass(frozen=True, slots=True)
class Arm:
    """One backend in one mode, with one client.

    Attributes:
        backend: the value of `remoteBackend.type`.
        mode: the value of `lmcache.mode`.
        client: the value of `client` below the backend's values; empty where LMCache has one client.
        cells: what was measured, the bare machine and the server's benchmark in the same minutes.
        problem: why the client could not be measured; None where it was.
        origin: what the release was made from (`commands.origin.Origin`); None where that is not known.
    """

    backend: str
    mode: str
    client: str
    cells: Sequence[Cell]
    problem: str | None = None
    origin: Mapping[str, Any] | None = None

    def rate(self, how: str, operation: str, chunk_bytes: int, in_flight: int) -> Cell | None:
        """The cell that was measured so, or None."""
        for cell in self.cells:
            if (cell.how, cell.operation, cell.chunk_bytes, cell.in_flight) == (how, operation, chunk_bytes, in_flight):
                return cell
        return None


def document(arms: Sequence[Arm], *, command: str, versions: Mapping[str, str]) -> dict[str, Any]:
    """The table as JSON values: bytes, seconds, and gigabytes (10^9 bytes) a second."""
    return {
        "schema": SCHEMA,
        "passed": bool(arms) and not any(arm.problem for arm in arms),
        "command": command,
        "versions": dict(versions),
        "arms": [
            {
                "backend": arm.backend,
                "mode": arm.mode,
                "client": arm.client,
                "problem": arm.problem,
                "origin": arm.origin,
                "cells": [asdict(cell) | {"gigabytes_per_s": cell.gigabytes_per_s} for cell in arm.cells],
            }
            for arm in arms
        ],
    }


def markdown(arms: Sequence[Arm], *, command: str, versions: Mapping[str, str]) -> str:
    """The page for people."""
    known = ", ".join(f"{name} {version}" for name, version in versions.items())
    tables = "\n\n".join(_table(arms, size) for size in _sizes(arms))
    return f"""\
# How fast the remote backends move chunks

`make rates` wrote this page. It ran `{command}`. Versions: {known}.

Client and server share one machine and its loopback address. So the table compares clients; it says nothing about a
network. No engine runs. Each row moves chunks through the client that the chart's configuration selects, and the same
chunks through plain sockets in the same minutes.

What the columns say:

- **client**: the value `client` of the backend, where there is a choice.
- **in flight**: chunks on their way at once.
- **put**, **get**: gigabytes (10^9 bytes) a second. Every chunk was found again, with its first and its last element.
  lmcache-server does not confirm a store: its put is how fast the client hands chunks to the kernel. Servers of Redis
  and Valkey were full before: what is stored takes the memory of what is evicted. Each chunk was loaded four times.
- **of the socket**: the rate divided by the rate of a plain socket with as many connections.
- **cores**: processor seconds a second of LMCache's side and of the server's, while chunks were loaded.
- **server's benchmark**: put and get of the benchmark that comes with Redis or Valkey, with as many connections.

{tables}
"""


def _sizes(arms: Sequence[Arm]) -> list[int]:
    return sorted({cell.chunk_bytes for arm in arms for cell in arm.cells})


def _table(arms: Sequence[Arm], chunk_bytes: int) -> str:
    copied = [cell for arm in arms if (cell := arm.rate("memcpy", "get", chunk_bytes, 1))]
    lines = [
        f"## Chunks of {chunk_bytes / _MIB:g} MiB",
        "",
        f"A copy in memory: {_span(copied)} GB/s.",
        "",
        (
            "| backend | mode | client | in flight | put | of the socket | get | of the socket | cores "
            "| server's benchmark |"
        ),
        "|---|---|---|---|---|---|---|---|---|---|",
        *(line for arm in arms for line in _rows(arm, chunk_bytes)),
    ]
    return "\n".join(lines)


def _rows(arm: Arm, chunk_bytes: int) -> Iterator[str]:
    measured = sorted({cell.in_flight for cell in arm.cells if (cell.how, cell.chunk_bytes) == ("client", chunk_bytes)})
    if arm.problem and not measured:
        lines = arm.problem.replace("|", "\\|").splitlines()
        raised = [line for line in lines[1:] if _EXCEPTION.match(line)]
        reason = ": ".join(dict.fromkeys((lines[0], *raised[-1:])))
        yield f"| {arm.backend} | {arm.mode} | {arm.client} | | {reason} | | | | | |"
        return
    for in_flight in measured:
        moved = {name: arm.rate("client", name, chunk_bytes, in_flight) for name in ("put", "get")}
        sockets = {name: arm.rate("socket", name, chunk_bytes, in_flight) for name in moved}
        bench = [arm.rate("benchmark", name, chunk_bytes, in_flight) for name in moved]
        cells = [arm.backend, arm.mode, arm.client, str(in_flight)]
        for name, cell in moved.items():
            cells += [_rate(cell), _ratio(cell, sockets[name])]
        cells += [_cores(moved["get"]), ", ".join(_rate(cell) for cell in bench if cell)]
        yield f"| {' | '.join(cells)} |"


def _rate(cell: Cell | None) -> str:
    return f"{cell.gigabytes_per_s:.2f}" if cell else ""


def _ratio(cell: Cell | None, socket: Cell | None) -> str:
    return f"{cell.gigabytes_per_s / socket.gigabytes_per_s:.2f}" if cell and socket else ""


def _cores(cell: Cell | None) -> str:
    if cell is None or cell.client_cpu_s is None or cell.server_cpu_s is None:
        return ""
    return f"{cell.client_cpu_s / cell.seconds:.1f} and {cell.server_cpu_s / cell.seconds:.1f}"


def _span(cells: Sequence[Cell]) -> str:
    rates = sorted(cell.gigabytes_per_s for cell in cells)
    return f"{rates[0]:.1f} to {rates[-1]:.1f}" if rates else "not measured"
