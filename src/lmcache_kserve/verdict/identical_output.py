"""Check `identical-output`: a prompt has one answer, whichever replica computed its cache."""

from lmcache_kserve.evidence import Evidence, Restart
from lmcache_kserve.verdict.check import Check, Judgement
from lmcache_kserve.verdict.wording import judged, unread


def _judge(evidence: Evidence) -> Judgement:
    # `pairs`, not `measured`: a warm-up pair after which the experiment stopped was never warm.
    pairs = evidence.pairs
    if not pairs:
        return unread(evidence, None)
    faults = []
    compared = 0
    for pair in pairs:
        others = {"warm": pair.warm, "without LMCache": pair.no_cache, "vLLM's own prefix cache": pair.limit}
        for where, other in others.items():
            if other is None:
                continue
            compared += 1
            if other.text != pair.cold.text:
                faults.append(f"prompt {pair.index + 1}: cold gave {pair.cold.text!r}, {where} gave {other.text!r}")
    if isinstance(evidence.restart, Restart):
        compared += 1
        given, expected = evidence.restart.repeated.text, evidence.restart.expected
        if given != expected:
            faults.append(f"after the restart the answer was {given!r} instead of {expected!r}")
    distinct = len({pair.cold.text for pair in pairs})
    return judged(
        faults,
        f"{compared} answers equal the cold answer to the same prompt. {len(pairs)} prompts gave {distinct} different "
        "answers.",
        {"compared": compared, "prompts": len(pairs), "distinct_answers": distinct},
    )


CHECK = Check(
    id="identical-output",
    title="Answers do not change",
    rule="At temperature 0, the answers cold, warm, after the restart and without LMCache are the same text.",
    judge=_judge,
)
