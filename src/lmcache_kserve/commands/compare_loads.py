"""Which loads a comparison puts on every arm."""

import statistics
from dataclasses import dataclass

from lmcache_kserve.errors import HarnessError
from lmcache_kserve.evidence.comparison import ABOVE, BELOW, CHAT, DOCUMENTS, LONG_DOCUMENT, PRESSURES, WORKLOADS, Cell

BLOCK_TOKENS = 128
"""Tokens of a block of the engine's own cache."""
_TIMES_ABOVE, _PART_BELOW = 2, 2
"""A working set is twice as large as the engine's own cache, or half as large."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Loads:
    """What the user asked for; lengths in tokens.

    Attributes:
        workloads: names in `lmcache bench engine`.
        prompt_tokens: lengths of prompts.
        concurrency: requests at once.
        pressures: `above` and `below`.
        engine_cache_tokens: what the engine keeps by itself.
    """

    workloads: tuple[str, ...] = WORKLOADS
    prompt_tokens: tuple[int, ...] = (512, 1024, 2048)
    concurrency: tuple[int, ...] = (1, 4, 8)
    pressures: tuple[str, ...] = PRESSURES
    engine_cache_tokens: int = 8192

    def check(self) -> None:
        """See that the loads are possible.

        Raises:
            HarnessError: one is not; the message names the option.
        """
        for option, names, known in (
            ("--workload", self.workloads, WORKLOADS),
            ("--pressure", self.pressures, PRESSURES),
        ):
            if unknown := next((name for name in names if name not in known), None):
                raise HarnessError(f"{option}={unknown}: choose among {', '.join(known)}")
        if self.engine_cache_tokens % BLOCK_TOKENS:
            raise HarnessError(f"--engine-cache-tokens={self.engine_cache_tokens}: give a multiple of {BLOCK_TOKENS}")
        longest = self.engine_cache_tokens // _PART_BELOW
        if too_long := next((tokens for tokens in self.prompt_tokens if tokens > longest), None):
            raise HarnessError(
                f"--prompt-tokens={too_long}: half of "
                f"--engine-cache-tokens={self.engine_cache_tokens} has to hold a prompt"
            )
        if DOCUMENTS in self.workloads and ABOVE not in self.pressures and len(self.workloads) == 1:
            raise HarnessError(f"--pressure={BELOW}: {DOCUMENTS} has new documents in each pass, so give {ABOVE}")

    @property
    def cells(self) -> tuple[Cell, ...]:
        """The loads: one length, concurrency and pressure for all, and each other one of them by itself.

        A product of all would take hours. Long documents are measured at every length, then at every concurrency, then
        under every pressure. Shuffled documents are measured at the middle length, the chat at the shortest. Short
        prompts come first: a long document begins as the short one of the same number does, so the caches know its
        beginning.
        """
        lengths = sorted(set(self.prompt_tokens))
        middle = statistics.median_low(lengths)
        loads = sorted(set(self.concurrency))
        pressures = [one for one in PRESSURES if one in self.pressures]
        found: list[Cell] = []
        if LONG_DOCUMENT in self.workloads:
            found += [self._cell(LONG_DOCUMENT, length, loads[0], pressures[0]) for length in lengths]
            found += [self._cell(LONG_DOCUMENT, middle, load, pressures[0]) for load in loads[1:]]
            found += [self._cell(LONG_DOCUMENT, middle, loads[0], pressure) for pressure in pressures[1:]]
        if CHAT in self.workloads:
            found.append(self._cell(CHAT, lengths[0], loads[0], pressures[0]))
        if DOCUMENTS in self.workloads and ABOVE in pressures:
            found.append(self._cell(DOCUMENTS, middle, loads[0], ABOVE))
        return tuple(found)

    def _cell(self, workload: str, prompt_tokens: int, concurrency: int, pressure: str) -> Cell:
        size = self.engine_cache_tokens * _TIMES_ABOVE if pressure == ABOVE else self.engine_cache_tokens // _PART_BELOW
        return Cell(
            workload=workload,
            prompt_tokens=prompt_tokens,
            concurrency=concurrency,
            pressure=pressure,
            working_set_tokens=size,
        )


DEFAULTS = Loads()
