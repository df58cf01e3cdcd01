"""Check `restart-hit`: a replica that was started again loads what was cached before."""

from lmcache_kserve.evidence import Evidence, Restart, full_chunk_tokens
from lmcache_kserve.verdict import diagnosis, needs
from lmcache_kserve.verdict.check import Check, Judgement
from lmcache_kserve.verdict.hits import HIT_SHARE, warm_faults
from lmcache_kserve.verdict.wording import judged, unread


def _judge(evidence: Evidence) -> Judgement:
    seen = evidence.restart
    if not isinstance(seen, Restart):
        return unread(evidence, seen)
    warm, chunk = seen.repeated, evidence.subject.chunk_size
    return judged(
        warm_faults("the repeated prompt", warm, chunk),
        f"{warm.replica} started again with empty memory. It loaded {warm.hit_tokens} of "
        f"{full_chunk_tokens(warm.prompt_tokens, chunk)} tokens in full chunks that were cached before.",
        {
            "replica": warm.replica,
            "request_id": warm.request_id,
            "hit_tokens": warm.hit_tokens,
            "prompt_tokens": warm.prompt_tokens,
            "ttft_s": warm.ttft_s,
        },
    )


CHECK = Check(
    id="restart-hit",
    title="A new replica finds what was cached before it existed",
    rule="A replica is killed and starts again. It then hits a prompt that was cached before: at least "
    f"{HIT_SHARE * 100:g} % of the prompt's full chunks, with a `Retrieved` line in its log.",
    needs=(needs.faults, needs.sharing),
    judge=_judge,
    causes=diagnosis.NO_HITS,
)
