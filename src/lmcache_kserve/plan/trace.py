"""Reads recorded traffic: Mooncake's traces, and the lookups that `lmcache server` records."""

import json
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lmcache_kserve.errors import HarnessError
from lmcache_kserve.plan import reading

MOONCAKE_BLOCK = 512
"""Tokens behind each of `hash_ids` (kvcache-ai/Mooncake, FAST25-release/traces)."""
_MILLI = 1000
_FAR = 1e15
"""The largest time: milliseconds since 1970 are 1e12 today."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One prompt.

    Attributes:
        at_s: when it came, in seconds.
        tokens: its length.
        blocks: names of its whole blocks, from the first; a name stands for the block and all before it.
        block_tokens: tokens of a block.
    """

    at_s: float
    tokens: int
    blocks: tuple[Hashable, ...]
    block_tokens: int


def read(path: Path) -> Sequence[Request]:
    """Read a trace, in the order of time.

    A line is an object with Mooncake's fields `timestamp` (milliseconds), `input_length`, `output_length` and
    `hash_ids`, or with those of `lmcache server --lookup-hash-log-dir` (LMCache 0.5.6): `timestamp` (seconds),
    `seq_len`, `chunk_size` and `chunk_hashes`.

    Raises:
        HarnessError: the file cannot be read as either; the message names the option and the line.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise HarnessError(f"--trace {path} cannot be read: {error}") from error
    requests = [
        _request(line, f"--trace {path}, line {number}") for number, line in enumerate(lines, 1) if line.strip()
    ]
    if not requests:
        raise HarnessError(f"--trace {path} holds no request")
    if len(sizes := {request.block_tokens for request in requests}) > 1:
        raise HarnessError(f"--trace {path} mixes blocks of {', '.join(map(str, sorted(sizes)))} tokens: give one kind")
    return sorted(requests, key=lambda request: request.at_s)


def requests_per_hour(requests: Sequence[Request]) -> float | None:
    """How many requests came in an hour; None where all came at once."""
    span = requests[-1].at_s - requests[0].at_s
    return (len(requests) - 1) / span * 3600 if span > 0 else None


def _request(line: str, where: str) -> Request:
    wrong = f"{where} is no request of Mooncake's or LMCache's form"
    try:
        fields = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise HarnessError(f"{wrong}: {error}") from error
    if not isinstance(fields, Mapping):
        raise HarnessError(f"{wrong}: it is no object")
    try:
        found = _lookup(fields, where) if "chunk_hashes" in fields else _mooncake(fields, where)
    except KeyError as error:
        raise HarnessError(f"{wrong}: it has no {error}") from error
    if not all(isinstance(name, int | str) for name in found.blocks):
        raise HarnessError(f"{wrong}: names of blocks are numbers or texts")
    return found


def _mooncake(fields: Mapping[str, Any], where: str) -> Request:
    tokens = reading.whole(fields["input_length"], f"{where}: input_length")
    names = reading.listed(fields["hash_ids"], f"{where}: hash_ids")
    return Request(
        at_s=_at(fields, where) / _MILLI,
        tokens=tokens,
        blocks=tuple(names[: tokens // MOONCAKE_BLOCK]),
        block_tokens=MOONCAKE_BLOCK,
    )


def _lookup(fields: Mapping[str, Any], where: str) -> Request:
    tokens = reading.whole(fields["seq_len"], f"{where}: seq_len")
    block = reading.whole(fields["chunk_size"], f"{where}: chunk_size")
    names = reading.listed(fields["chunk_hashes"], f"{where}: chunk_hashes")
    return Request(at_s=_at(fields, where), tokens=tokens, blocks=tuple(names), block_tokens=block)


def _at(fields: Mapping[str, Any], where: str) -> float:
    return reading.number(fields["timestamp"], f"{where}: timestamp", least=-_FAR, most=_FAR)
