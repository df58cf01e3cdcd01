"""Check `scale-out`: with the shared cache a new replica answers as soon as one that has served for a while."""

from lmcache_kserve.evidence import Evidence, ScaleOut
from lmcache_kserve.verdict import diagnosis, needs
from lmcache_kserve.verdict.check import Check, Judgement
from lmcache_kserve.verdict.hits import HIT_SHARE, warm_faults
from lmcache_kserve.verdict.promises import SCALE_OUT_RATIO as _MOST
from lmcache_kserve.verdict.statistics import scaled_out
from lmcache_kserve.verdict.wording import judged, unread


def _judge(evidence: Evidence) -> Judgement:
    seen = evidence.scale_out
    if not isinstance(seen, ScaleOut):
        return unread(evidence, seen)
    chunk = evidence.subject.chunk_size
    faults = [
        fault
        for number, one in enumerate(seen.shared, start=1)
        for fault in warm_faults(f"request {number} of the new replica", one, chunk)
    ]
    summary = scaled_out(seen)
    if summary.shared_ratio > _MOST:
        faults.append(
            f"90 % of the new replica's first {len(seen.shared)} requests had a token within {summary.shared_s:.2f} s, "
            f"{summary.shared_ratio:.1f} times the {summary.old_s:.2f} s of the old replica; the check allows {_MOST}"
        )
    if summary.shared_s >= summary.alone_s:
        faults.append(
            f"the new replica took {summary.shared_s:.2f} s for prompts that the cache holds, and "
            f"{summary.alone_s:.2f} s for prompts that nobody computed"
        )
    return judged(
        faults,
        f"90 % of a new replica's first {len(seen.shared)} requests have a token within {summary.shared_s:.2f} s, "
        f"{summary.shared_ratio:.1f} times as long as on the old replica. Of prompts that nobody computed they take "
        f"{summary.alone_s:.2f} s, {summary.alone_ratio:.1f} times as long. The first request hit "
        f"{seen.shared[0].hit_tokens} tokens.",
        {
            "requests": len(seen.shared),
            "old_p90_s": summary.old_s,
            "shared_p90_s": summary.shared_s,
            "alone_p90_s": summary.alone_s,
            "shared_ratio": summary.shared_ratio,
            "alone_ratio": summary.alone_ratio,
            "start_s": seen.start_s,
        },
    )


CHECK = Check(
    id="scale-out",
    title="A new replica answers as soon as an old one",
    rule="A new replica takes the place of another and gets prompts that the cache holds. Each request, the first one "
    f"too, hits at least {HIT_SHARE * 100:g} % of its full chunks. The 90th percentile of TTFT is at most {_MOST} "
    "times that of the old replica, and below that of prompts that nobody computed.",
    needs=(needs.scale_out, needs.sharing),
    judge=_judge,
    causes=diagnosis.NO_HITS,
)
