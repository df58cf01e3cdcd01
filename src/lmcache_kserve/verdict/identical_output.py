"""Check `identical-output`: a prompt has one answer, whichever replica computed its cache."""

from lmcache_kserve.evidence import AtOnce, Evidence, Restart, Unreadable
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
    busy_faults, busy_words, busy = _at_once(evidence.at_once)
    distinct = len({pair.cold.text for pair in pairs})
    return judged(
        [*faults, *busy_faults],
        f"{compared} answers equal the cold answer to the same prompt. {len(pairs)} prompts gave {distinct} different "
        f"answers. {busy_words}".rstrip(),
        {"compared": compared, "prompts": len(pairs), "distinct_answers": distinct} | busy,
    )


def _at_once(seen: AtOnce | Unreadable | None) -> tuple[list[str], str, dict[str, int]]:
    """What requests at the same time showed: faults, words for a passed check, and numbers."""
    if seen is None:
        return [], "", {}
    if isinstance(seen, Unreadable):
        return [f"requests at the same time: {seen.why}"], "", {}
    count = len(seen.cached)
    changed = [one for one in seen.cached if one.alone != one.together]
    by_itself = sum(one.alone != one.together for one in seen.control)
    numbers = {"at_once": count, "at_once_changed": len(changed), "control_changed": by_itself}
    if by_itself:
        words = (
            f"Answers to {count} requests at the same time were not judged: the engine changed {by_itself} of "
            f"{len(seen.control)} answers to prompts that LMCache does not touch."
        )
        return [], words, numbers
    faults = [
        f"alone a prompt gave {one.alone!r}, among {count} requests at the same time it gave {one.together!r}"
        for one in changed
    ]
    return faults, f"{count} requests at the same time gave the same answers as alone.", numbers


CHECK = Check(
    id="identical-output",
    title="Answers do not change",
    rule="At temperature 0, the answers cold, warm, after the restart and without LMCache are the same text. So are "
    "the answers to 8 requests at the same time, whose prompts have a common beginning. Where the engine by itself "
    "changes answers to prompts below one chunk when it batches them, answers at the same time are not judged.",
    judge=_judge,
)
