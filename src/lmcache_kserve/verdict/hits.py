"""What the log of a warm pass has to show before the pass counts as a hit."""

from lmcache_kserve.evidence import Pass, Unreadable, full_chunk_tokens
from lmcache_kserve.lmcache.logs import RequestLog

HIT_SHARE = 0.95
"""Least share of a prompt's full chunks that has to hit."""


def warm_faults(prompt: str, warm: Pass, chunk_size: int) -> list[str]:
    """Why `warm` is no proof of a hit; empty where the pass is a proof.

    Args:
        prompt: which prompt it is, in words: `prompt 3`.
        warm: the pass.
        chunk_size: LMCache's chunk size in tokens.
    """
    if not isinstance(warm.log, RequestLog):
        return [f"{prompt}: {no_log(warm.log)}"]
    full = full_chunk_tokens(warm.prompt_tokens, chunk_size)
    if not full:
        return [f"{prompt}: {warm.prompt_tokens} tokens do not fill a chunk of {chunk_size}"]
    if warm.log.lookup is None:
        return [f"{prompt}: {warm.replica} logged no lookup, so 0 of {full} tokens hit"]
    faults = []
    if warm.hit_tokens < HIT_SHARE * full:
        faults.append(f"{prompt}: {warm.replica} hit {warm.hit_tokens} of {full} tokens in full chunks")
    if not warm.log.retrieved_tokens:
        faults.append(f"{prompt}: {warm.replica} logged no 'Retrieved' line")
    return faults


def no_log(log: object) -> str:
    """Why a pass has no log, in words."""
    return f"cannot read {log.why}" if isinstance(log, Unreadable) else "the log was not read"
