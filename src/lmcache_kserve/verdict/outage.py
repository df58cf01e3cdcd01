"""How an outage is judged, of whichever part of the cache."""

from lmcache_kserve.evidence import Evidence, Outage, Unreadable
from lmcache_kserve.verdict.check import Judgement
from lmcache_kserve.verdict.traffic import answer_facts, answer_faults
from lmcache_kserve.verdict.wording import judged, unread


def judge_outage(evidence: Evidence, seen: Outage | Unreadable | None, part: str) -> Judgement:
    """Every request has to be answered correctly, and hits have to return where LMCache's client reconnects.

    Args:
        evidence: everything that the experiment saw.
        seen: the outage.
        part: what was stopped, in words: `the backend`.
    """
    if not isinstance(seen, Outage):
        return unread(evidence, seen)
    during = [answer for answer in seen.answers if answer.phase == "during"]
    faults = answer_faults(seen.answers)
    silent = {facts.name for facts in evidence.engines} - {answer.replica for answer in during}
    faults += [f"{replica} got no request during the outage" for replica in sorted(silent)]
    if seen.client_reconnects and seen.hits_returned_s is None:
        faults.append(f"hits did not return after {part} was back ({seen.probes} fresh prompt(s) tried)")
    if seen.hits_returned_s is not None:
        back = f"Hits returned {seen.hits_returned_s:.1f} s after {part} was back."
    else:
        back = "LMCache's client for this backend does not reconnect: hits return when the replicas restart."
    return judged(
        faults,
        f"All {len(seen.answers)} requests were answered correctly, {len(during)} of them during {seen.down_s:.1f} s "
        f"without {part}. {back}",
        {
            **answer_facts(seen.answers),
            "down_s": seen.down_s,
            "client_reconnects": seen.client_reconnects,
            "hits_returned_s": seen.hits_returned_s,
            "probes": seen.probes,
        },
    )
