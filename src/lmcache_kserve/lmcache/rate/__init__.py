"""How fast chunks go to a remote backend and come back, and what the machine could do at best.

`client` and `bare` are programs of their own. `client` runs with the engine's Python in the place of the process that
holds LMCache, `bare` with any Python 3.10. Both print a line of JSON for each cell that they measured.
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

CHUNK_STEP_BYTES = 128 * 2**10
"""Keys and values of 256 tokens for one head of 128 elements in bfloat16: chunks are multiples of it."""
_START = '{"chunk_bytes":'


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """What was moved in one way, in one direction, with chunks of one size.

    Attributes:
        how: `client` for LMCache's own, `benchmark` for the one that comes with the server, `socket` or `memcpy`.
        operation: `put` or `get`.
        chunk_bytes: size of a chunk.
        in_flight: chunks on their way at once.
        bytes: what was moved in all.
        seconds: how long that took.
        client_cpu_s: processor seconds of the side that asks; None where they are not known.
        server_cpu_s: processor seconds of the backend's processes; None where they are not known.
    """

    how: str
    operation: str
    chunk_bytes: int
    in_flight: int
    bytes: int
    seconds: float
    client_cpu_s: float | None = None
    server_cpu_s: float | None = None

    @property
    def gigabytes_per_s(self) -> float:
        """10^9 bytes a second."""
        return self.bytes / self.seconds / 1e9


@dataclass(frozen=True, slots=True)
class Plan:
    """What is measured.

    Attributes:
        chunk_bytes: sizes of a chunk; multiples of CHUNK_STEP_BYTES.
        in_flight: numbers of chunks on their way at once.
        cell_bytes: what is moved for a cell in each direction, at least twice as many chunks as are in flight.
    """

    chunk_bytes: tuple[int, ...]
    in_flight: tuple[int, ...]
    cell_bytes: int

    def rounds(self, chunk_bytes: int, in_flight: int) -> int:
        """How often as many chunks as are in flight are moved; the programs count the same way."""
        return max(2, self.cell_bytes // (chunk_bytes * in_flight))

    def argument(self, **more: object) -> str:
        """The plan and more, as the programs read it."""
        own = {"chunk_bytes": self.chunk_bytes, "in_flight": self.in_flight, "cell_bytes": self.cell_bytes}
        return json.dumps({**own, **more})


def cells(lines: Iterable[str], *, how: str = "client") -> Iterator[Cell]:
    """The cells among the lines that a program printed; a line that names its way has that in place of `how`."""
    for line in lines:
        if line.startswith(_START):
            yield Cell(**({"how": how} | json.loads(line)))
