"""The traffic of a comparison as Mooncake's traces, which `lmcache-kserve plan --trace` reads."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

from lmcache_kserve.evidence.comparison import CHAT, LONG_DOCUMENT, Comparison, Measured, Request
from lmcache_kserve.plan.trace import MOONCAKE_BLOCK

_NAMES = {LONG_DOCUMENT: re.compile(r"doc(\d+)_q\d+"), CHAT: re.compile(r"s(\d+)_r\d+")}
"""Names of `lmcache bench engine` (LMCache 0.5.6): the document or session that a request begins with."""
_QUESTION_TOKENS = 32
"""At the end of a prompt about a document, which other questions about it do not share; on the safe side."""
_MILLI = 1000


def write_traces(seen: Comparison, folder: Path) -> None:
    """Write a file for each load whose prompts are known: all passes of the first arm that was filled.

    Shuffled documents are left out, because the tool does not say which documents a prompt had.
    """
    filled = next((arm for arm in seen.arms if any(one.number == 0 for m in arm.measured for one in m.rounds)), None)
    folder.mkdir(parents=True, exist_ok=True)
    for measured in filled.measured if filled else ():
        if measured.cell.workload in _NAMES:
            text = "".join(f"{line}\n" for line in lines(measured))
            (folder / f"{measured.cell}.jsonl").write_text(text, encoding="utf-8")


def lines(measured: Measured) -> Iterator[str]:
    """The requests of one load in the order of time: milliseconds, tokens, and names of blocks of 512 tokens.

    A name stands for the block and all before it. The last block of a prompt may be a part of one.
    """
    requests = [request for one in measured.rounds for request in one.requests]
    begin = min(request.sent_s for request in requests)
    names: dict[tuple[str, int], int] = {}
    for request in sorted(requests, key=lambda one: one.sent_s):
        yield json.dumps(
            {
                "timestamp": round((request.sent_s - begin) * _MILLI),
                "input_length": request.prompt_tokens,
                "output_length": request.answer_tokens,
                "hash_ids": [
                    names.setdefault((owner, block), len(names))
                    for block, owner in enumerate(_owners(measured, request))
                ],
            }
        )


def _owners(measured: Measured, request: Request) -> Iterator[str]:
    """Whose each block of a prompt is: the document's or session's, or the request's own."""
    match = _NAMES[measured.cell.workload].fullmatch(request.name)
    own = _QUESTION_TOKENS if measured.cell.workload == LONG_DOCUMENT else 0
    shared = (request.prompt_tokens - own) // MOONCAKE_BLOCK
    for block in range(-(-request.prompt_tokens // MOONCAKE_BLOCK)):
        yield match[1] if match and block < shared else request.name
