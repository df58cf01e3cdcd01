"""Check `external-hits-metric`: vLLM's own counter of hits agrees with LMCache's log."""

from lmcache_kserve.evidence import Evidence, ExternalHits
from lmcache_kserve.verdict import diagnosis
from lmcache_kserve.verdict.check import Check, Judgement
from lmcache_kserve.verdict.wording import unread

_COUNTED_SHARE = 0.95
"""Least share of the logged hit tokens that vLLM's own metric has to count."""


def _judge(evidence: Evidence) -> Judgement:
    seen = evidence.external_hits
    if not isinstance(seen, ExternalHits):
        return unread(evidence, seen)
    counted = seen.after - seen.before
    return Judgement(
        passed=seen.logged_hit_tokens > 0 and counted >= _COUNTED_SHARE * seen.logged_hit_tokens,
        seen=f"vllm:external_prefix_cache_hits_total grew by {counted:.0f} tokens. LMCache logged "
        f"{seen.logged_hit_tokens} hit tokens.",
        evidence={"before": seen.before, "after": seen.after, "logged_hit_tokens": seen.logged_hit_tokens},
    )


CHECK = Check(
    id="external-hits-metric",
    title="vLLM's own metric counts the same hits",
    rule="`vllm:external_prefix_cache_hits_total` grows by at least "
    f"{_COUNTED_SHARE * 100:g} % of the hit tokens in LMCache's log.",
    judge=_judge,
    causes=(diagnosis.no_connector, diagnosis.chunk_size, *diagnosis.BACKEND, diagnosis.nothing_logged),
)
