"""What a client sees of the cache: the same answers, sooner, whatever fails meanwhile."""

from collections.abc import Sequence
from typing import Any

from lmcache_kserve.evidence import Answer, Evidence, Outage, ReplicaKill, Restart, Unreadable
from lmcache_kserve.verdict import statistics
from lmcache_kserve.verdict.check import Check, Thresholds, first, unread


def identical_output(evidence: Evidence, _limits: Thresholds) -> Check:
    """A prompt has one answer, whoever computed its cache."""
    name = "identical-output"
    # A warm-up pair alone proves nothing: where it is all there is, nothing was warm.
    pairs = evidence.pairs
    if not pairs:
        return unread(name, evidence, None)
    faults = []
    compared = 0
    for pair in pairs:
        for label, other in (("warm", pair.warm), ("without LMCache", pair.no_cache), ("at the limit", pair.limit)):
            if other is None:
                continue
            compared += 1
            if other.text != pair.cold.text:
                faults.append(f"prompt {pair.index + 1}: cold gave {pair.cold.text!r}, {label} gave {other.text!r}")
    if isinstance(evidence.restart, Restart):
        compared += 1
        if evidence.restart.repeated.text != evidence.restart.expected:
            faults.append(
                f"after the restart {evidence.restart.repeated.text!r} came instead of {evidence.restart.expected!r}"
            )
    distinct = len({pair.cold.text for pair in pairs})
    return Check(
        id=name,
        passed=not faults,
        observed=first(faults)
        or f"{compared} answers are identical to the cold one of the same prompt; {len(pairs)} prompts gave {distinct} "
        "different answers.",
        evidence={"compared": compared, "prompts": len(pairs), "distinct_answers": distinct, "faults": faults},
    )


def ttft(evidence: Evidence, limits: Thresholds) -> Check:
    """The cache makes the time to first token shorter, by more than chance."""
    name = "ttft"
    count = len(evidence.pairs)
    if count < max(limits.pairs, statistics.MINIMUM_SAMPLES):
        if evidence.stopped:
            return unread(name, evidence, None)
        needed = max(limits.pairs, statistics.MINIMUM_SAMPLES)
        why = f"{count} pairs were measured; the rule needs {needed}: raise --pairs."
        return Check(id=name, passed=False, observed=why, evidence={"pairs": count})
    summary = statistics.summarize(evidence.pairs)
    passed = summary.median_ratio >= limits.median_ratio and summary.lower_bound_5pct > limits.lower_bound
    return Check(
        id=name,
        passed=passed,
        observed=f"Median TTFT {summary.cold_s:.2f} s cold, {summary.warm_s:.2f} s warm: {summary.median_ratio:.1f} "
        f"times, 5 % bound {summary.lower_bound_5pct:.1f}, over {count} pairs"
        + ("." if passed else f"; needed are {limits.median_ratio:g} and more than {limits.lower_bound:g}."),
        evidence={
            "pairs": count,
            "median_ratio": summary.median_ratio,
            "lower_bound_5pct": summary.lower_bound_5pct,
            "needed_median_ratio": limits.median_ratio,
            "needed_lower_bound": limits.lower_bound,
        },
    )


def backend_outage(evidence: Evidence, _limits: Thresholds) -> Check:
    """Without its backend the service answers, and hits return with it."""
    return _outage(evidence, "backend-outage", evidence.outage, "the backend")


def cache_server_outage(evidence: Evidence, _limits: Thresholds) -> Check:
    """The same without an LMCache server of mode multiprocess."""
    return _outage(evidence, "cache-server-outage", evidence.server_outage, "an LMCache server")


def replica_kill(evidence: Evidence, _limits: Thresholds) -> Check:
    """A killed replica costs its client a retry, and others nothing."""
    name, seen = "replica-kill", evidence.kill
    if not isinstance(seen, ReplicaKill):
        return unread(name, evidence, seen)
    faults = _answer_faults(seen.survivors)
    last = seen.attempts[-1]
    if not seen.interrupted:
        faults.append("the request in flight was answered before the kill, so nothing was proven")
    if last.text is None:
        faults.append(f"the request in flight was never answered: {last.error}")
    # A character cut in half by the shorter answer's end is no difference.
    elif not last.text.startswith(seen.expected.rstrip("\ufffd")):
        faults.append(f"the retried answer {last.text!r} does not begin with {seen.expected!r}")
    return Check(
        id=name,
        passed=not faults,
        observed=first(faults)
        or f"{seen.victim} was killed in mid-request: {last.replica} answered the client's retry correctly, and all "
        f"{len(seen.survivors)} requests to the other replica(s) meanwhile; back after {seen.restart_s:.0f} s.",
        evidence={
            "victim": seen.victim,
            "interrupted": seen.interrupted,
            "attempts": [
                {"replica": attempt.replica, "request_id": attempt.request_id, "error": attempt.error}
                for attempt in seen.attempts
            ],
            "survivors": _answer_facts(seen.survivors),
            "restart_s": seen.restart_s,
            "faults": faults,
        },
    )


def _outage(evidence: Evidence, name: str, seen: Outage | Unreadable | None, what: str) -> Check:
    if not isinstance(seen, Outage):
        return unread(name, evidence, seen)
    during = [answer for answer in seen.answers if answer.phase == "during"]
    faults = _answer_faults(seen.answers)
    silent = {facts.name for facts in evidence.engines} - {answer.replica for answer in during}
    faults += [f"{replica} was not asked during the outage" for replica in sorted(silent)]
    if seen.client_reconnects and seen.hits_returned_s is None:
        faults.append(f"hits did not return after {what} was back ({seen.probes} fresh prompts tried)")
    if seen.hits_returned_s is not None:
        back = f"hits were back {seen.hits_returned_s:.1f} s after it was."
    else:
        back = "this backend's client does not reconnect, so no hits are expected until the replicas restart."
    return Check(
        id=name,
        passed=not faults,
        observed=first(faults)
        or f"All {len(seen.answers)} requests, {len(during)} of them during {seen.down_s:.1f} s without {what}, "
        f"were answered correctly; {back}",
        evidence={
            **_answer_facts(seen.answers),
            "down_s": seen.down_s,
            "client_reconnects": seen.client_reconnects,
            "hits_returned_s": seen.hits_returned_s,
            "probes": seen.probes,
            "faults": faults,
        },
    )


def _answer_faults(answers: Sequence[Answer]) -> list[str]:
    faults = []
    for answer in answers:
        if answer.error is not None:
            faults.append(f"a request {answer.phase} the fault was not answered: {answer.error}")
        elif not answer.correct:
            faults.append(f"{answer.replica} answered request {answer.request_id} {answer.phase} the fault wrongly")
    return faults


def _answer_facts(answers: Sequence[Answer]) -> dict[str, Any]:
    return {
        "requests": len(answers),
        "answered": sum(answer.error is None for answer in answers),
        "correct": sum(bool(answer.correct) for answer in answers),
        "slowest_s": max((answer.total_s for answer in answers), default=None),
    }
