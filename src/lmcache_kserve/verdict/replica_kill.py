"""Check `replica-kill`: a killed replica costs its client one retry, and costs other clients nothing."""

from lmcache_kserve.evidence import Evidence, ReplicaKill
from lmcache_kserve.verdict import needs
from lmcache_kserve.verdict.check import Check, Judgement
from lmcache_kserve.verdict.traffic import answer_facts, answer_faults
from lmcache_kserve.verdict.wording import judged, unread


def _judge(evidence: Evidence) -> Judgement:
    seen = evidence.kill
    if not isinstance(seen, ReplicaKill):
        return unread(evidence, seen)
    faults = answer_faults(seen.survivors)
    last = seen.attempts[-1]
    if not seen.interrupted:
        faults.append("the request was answered before the kill, so the kill proved nothing")
    if last.text is None:
        faults.append(f"the interrupted request was never answered: {last.error}")
    # The shorter answer may end in half a character, which decodes as U+FFFD.
    elif not last.text.startswith(seen.expected.rstrip("\ufffd")):
        faults.append(f"the answer to the retry, {last.text!r}, does not begin with {seen.expected!r}")
    return judged(
        faults,
        f"{seen.victim} was killed during a request, and {last.replica} answered the client's retry correctly. "
        f"Other replicas answered all {len(seen.survivors)} request(s) correctly. {seen.victim} was ready again after "
        f"{seen.restart_s:.0f} s.",
        {
            "victim": seen.victim,
            "interrupted": seen.interrupted,
            "attempts": [
                {"replica": attempt.replica, "request_id": attempt.request_id, "error": attempt.error}
                for attempt in seen.attempts
            ],
            "survivors": answer_facts(seen.survivors),
            "restart_s": seen.restart_s,
        },
    )


CHECK = Check(
    id="replica-kill",
    title="A killed replica costs a retry, nothing else",
    rule="A replica is killed during a request. The client retries that request on another replica and gets the "
    "correct answer, and so does all other traffic.",
    needs=(needs.faults,),
    judge=_judge,
)
