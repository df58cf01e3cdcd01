"""Judges evidence: one check for each promise of a release.

Pure functions: the same evidence always gives the same verdict. A check whose evidence is missing or could not be read
fails and says why; a check that cannot apply to a release is not in the verdict but in `Evidence.not_applicable`.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from lmcache_kserve import diagnosis, statistics
from lmcache_kserve.evidence import (
    Answer,
    Evidence,
    Outage,
    Pair,
    Pass,
    ReplicaKill,
    Restart,
    Unreadable,
    full_chunk_tokens,
)
from lmcache_kserve.logparse import RequestLog

CHECKS = (
    "cross-replica-hit",
    "restart-hit",
    "backend-grew",
    "external-hits-metric",
    "identical-output",
    "ttft",
    "backend-outage",
    "cache-server-outage",
    "replica-kill",
    "clean-logs",
)
"""Every check's id, in order of report."""

_EXAMPLES = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Thresholds:
    """What counts as proof.

    Attributes:
        hit_share: least part of a prompt's whole chunks that has to hit.
        pairs: least number of measured pairs for a statement about TTFT.
        median_ratio: least median of cold / warm TTFT.
        lower_bound: the 5 % bound of that median has to be above this.
        counted_share: least part of the logged hit tokens that vLLM's own metric has to count.
    """

    hit_share: float = 0.95
    pairs: int = 12
    median_ratio: float = 1.3
    lower_bound: float = 1.0
    counted_share: float = 0.95


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One judged promise.

    Attributes:
        id: one of `CHECKS`.
        passed: whether the promise was kept.
        observed: what was seen, in one sentence.
        causes: why it failed, as far as the evidence tells.
        evidence: the numbers behind it, as JSON values.
    """

    id: str
    passed: bool
    observed: str
    causes: tuple[str, ...] = ()
    evidence: Mapping[str, Any] = field(default_factory=dict)

    @property
    def summary(self) -> str:
        """What was seen and, for a failed check, why."""
        return " ".join([self.observed, *(f"Cause: {cause}." for cause in self.causes)])


def judge(evidence: Evidence, thresholds: Thresholds | None = None) -> tuple[Check, ...]:
    """Judge every check that applies, in the order of `CHECKS`."""
    limits = thresholds or Thresholds()
    checks = (_JUDGES[name](evidence, limits) for name in CHECKS if name not in evidence.not_applicable)
    return tuple(
        check if check.passed else replace(check, causes=diagnosis.explain(evidence, check.id)) for check in checks
    )


def _cross_replica_hit(evidence: Evidence, limits: Thresholds) -> Check:
    name = "cross-replica-hit"
    seeds = diagnosis.seeds(evidence)
    pairs = evidence.measured
    chunk = evidence.subject.chunk_size
    faults = [fault for pair in pairs for fault in (*_hit_faults(pair, chunk, limits), *_tier_faults(evidence, pair))]
    if not pairs:
        faults.append(_not_run(evidence))
    if None in seeds.values() or len(set(seeds.values())) != 1:
        faults.append(f"the replicas have no common PYTHONHASHSEED ({_seed_words(seeds)})")
    hit = sum(pair.warm.hit_tokens for pair in pairs)
    possible = sum(full_chunk_tokens(pair.warm.prompt_tokens, chunk) for pair in pairs)
    return Check(
        id=name,
        passed=not faults,
        observed=_first(faults)
        or f"{hit} of {possible} tokens in full chunks, computed by one replica, were loaded by the other "
        f"in {len(pairs)} prompts.",
        evidence={
            "hit_tokens": hit,
            "full_chunk_tokens": possible,
            "share": hit / possible if possible else None,
            "cold_hit_tokens": sum(pair.cold.hit_tokens for pair in pairs),
            "pythonhashseed": seeds,
            "faults": faults,
            "passes": [_hit_facts(pair) for pair in pairs],
        },
    )


def _hit_faults(pair: Pair, chunk: int, limits: Thresholds) -> list[str]:
    where = f"prompt {pair.index + 1}"
    faults = []
    if pair.cold.replica == pair.warm.replica:
        faults.append(f"{where}: cold and warm ran on the same replica {pair.warm.replica}")
    if not isinstance(pair.cold.log, RequestLog):
        faults.append(f"{where}: {_why(pair.cold.log)}")
    elif pair.cold.log.lookup is None:
        faults.append(f"{where}: {pair.cold.replica} logged no lookup for the cold pass")
    elif pair.cold.hit_tokens:
        faults.append(f"{where}: the cold pass already hit {pair.cold.hit_tokens} tokens")
    return faults + _warm_faults(where, pair.warm, chunk, limits)


def _tier_faults(evidence: Evidence, pair: Pair) -> list[str]:
    """What another server of mode multiprocess stored, a replica can only have from the backend."""
    if evidence.subject.mode != "multiprocess" or evidence.share_a_server((pair.cold.replica, pair.warm.replica)):
        return []
    where = f"prompt {pair.index + 1}"
    tiers = pair.warm.log.tiers if isinstance(pair.warm.log, RequestLog) else None
    if tiers is None:
        return [f"{where}: the server of {pair.warm.replica} logged no tier of the hit"]
    if tiers.l1_objects or not tiers.l2_objects:
        l1, l2 = tiers.l1_objects, tiers.l2_objects
        return [
            f"{where}: {l1} objects came from the memory of {pair.warm.replica}'s own server, {l2} from the backend"
        ]
    return []


def _warm_faults(where: str, warm: Pass, chunk: int, limits: Thresholds) -> list[str]:
    if not isinstance(warm.log, RequestLog):
        return [f"{where}: {_why(warm.log)}"]
    full = full_chunk_tokens(warm.prompt_tokens, chunk)
    if not full:
        return [f"{where}: its {warm.prompt_tokens} tokens fill no chunk of {chunk}"]
    if warm.log.lookup is None:
        return [f"{where}: {warm.replica} logged no lookup, 0 of {full} tokens hit"]
    faults = []
    if warm.hit_tokens < limits.hit_share * full:
        faults.append(f"{where}: {warm.replica} hit {warm.hit_tokens} of {full} tokens in full chunks")
    if not warm.log.retrieved_tokens:
        faults.append(f"{where}: {warm.replica} logged no 'Retrieved' line")
    return faults


def _hit_facts(pair: Pair) -> dict[str, Any]:
    return {
        "cold_replica": pair.cold.replica,
        "cold_request_id": pair.cold.request_id,
        "cold_hit_tokens": pair.cold.hit_tokens,
        "stored_tokens": pair.cold.log.stored_tokens if isinstance(pair.cold.log, RequestLog) else None,
        "warm_replica": pair.warm.replica,
        "warm_request_id": pair.warm.request_id,
        "warm_hit_tokens": pair.warm.hit_tokens,
        "warm_tiers": _tiers(pair.warm.log),
        "retrieved_tokens": pair.warm.log.retrieved_tokens if isinstance(pair.warm.log, RequestLog) else None,
        "prompt_tokens": pair.warm.prompt_tokens,
    }


def _tiers(log: object) -> dict[str, int] | None:
    tiers = log.tiers if isinstance(log, RequestLog) else None
    return {"l1_objects": tiers.l1_objects, "l2_objects": tiers.l2_objects} if tiers else None


def _restart_hit(evidence: Evidence, limits: Thresholds) -> Check:
    name, seen = "restart-hit", evidence.restart
    if not isinstance(seen, Restart):
        return _unread(name, evidence, seen)
    warm = seen.repeated
    faults = _warm_faults("the repeated prompt", warm, evidence.subject.chunk_size, limits)
    return Check(
        id=name,
        passed=not faults,
        observed=_first(faults)
        or f"{warm.replica}, started anew with empty memory, loaded {warm.hit_tokens} of "
        f"{full_chunk_tokens(warm.prompt_tokens, evidence.subject.chunk_size)} tokens in full chunks that were cached "
        "before it existed.",
        evidence={
            "replica": warm.replica,
            "request_id": warm.request_id,
            "hit_tokens": warm.hit_tokens,
            "prompt_tokens": warm.prompt_tokens,
            "ttft_s": warm.ttft_s,
            "faults": faults,
        },
    )


def _backend_grew(evidence: Evidence, _limits: Thresholds) -> Check:
    name, seen = "backend-grew", evidence.growth
    if seen is None or isinstance(seen, Unreadable):
        return _unread(name, evidence, seen)
    before, after = seen.before, seen.after
    grown_bytes = after.size_bytes - before.size_bytes
    numbers: dict[str, Any] = {
        "chunks": seen.chunks,
        "workers": seen.workers,
        "size_bytes_before": before.size_bytes,
        "size_bytes_after": after.size_bytes,
        "entries_before": before.entries,
        "entries_after": after.entries,
    }
    if before.entries is None or after.entries is None:
        return Check(
            id=name,
            passed=grown_bytes > 0 and seen.chunks > 0,
            observed=f"The backend grew by {grown_bytes} bytes for {seen.chunks} chunks (it cannot count its entries).",
            evidence=numbers,
        )
    expected = seen.chunks * after.entries_per_chunk * seen.workers
    grown = after.entries - before.entries
    fits = grown >= expected > 0
    lost = "" if fits else " It may be evicting (its memory limit) or is not the one that the replicas write to."
    return Check(
        id=name,
        passed=fits,
        observed=f"The backend grew by {grown} entries and {grown_bytes} bytes; {seen.chunks} chunks of {seen.workers} "
        f"worker(s) make {expected} entries.{lost}",
        evidence=numbers | {"entries_expected": expected, "entries_grown": grown},
    )


def _external_hits_metric(evidence: Evidence, limits: Thresholds) -> Check:
    name, seen = "external-hits-metric", evidence.external_hits
    if seen is None or isinstance(seen, Unreadable):
        return _unread(name, evidence, seen)
    counted = seen.after - seen.before
    return Check(
        id=name,
        passed=seen.logged_hit_tokens > 0 and counted >= limits.counted_share * seen.logged_hit_tokens,
        observed=f"vllm:external_prefix_cache_hits_total grew by {counted:.0f} tokens; LMCache logged "
        f"{seen.logged_hit_tokens} hit tokens.",
        evidence={"before": seen.before, "after": seen.after, "logged_hit_tokens": seen.logged_hit_tokens},
    )


def _identical_output(evidence: Evidence, _limits: Thresholds) -> Check:
    name = "identical-output"
    # A warm-up pair alone proves nothing: where it is all there is, nothing was warm.
    pairs = evidence.pairs
    if not pairs:
        return _unread(name, evidence, None)
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
        observed=_first(faults)
        or f"{compared} answers are identical to the cold one of the same prompt; {len(pairs)} prompts gave {distinct} "
        "different answers.",
        evidence={"compared": compared, "prompts": len(pairs), "distinct_answers": distinct, "faults": faults},
    )


def _ttft(evidence: Evidence, limits: Thresholds) -> Check:
    name = "ttft"
    count = len(evidence.pairs)
    if count < max(limits.pairs, statistics.MINIMUM_SAMPLES):
        if evidence.stopped:
            return _unread(name, evidence, None)
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


def _backend_outage(evidence: Evidence, _limits: Thresholds) -> Check:
    return _outage(evidence, "backend-outage", evidence.outage, "the backend")


def _cache_server_outage(evidence: Evidence, _limits: Thresholds) -> Check:
    return _outage(evidence, "cache-server-outage", evidence.server_outage, "an LMCache server")


def _outage(evidence: Evidence, name: str, seen: Outage | Unreadable | None, what: str) -> Check:
    if not isinstance(seen, Outage):
        return _unread(name, evidence, seen)
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
        observed=_first(faults)
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


def _replica_kill(evidence: Evidence, _limits: Thresholds) -> Check:
    name, seen = "replica-kill", evidence.kill
    if not isinstance(seen, ReplicaKill):
        return _unread(name, evidence, seen)
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
        observed=_first(faults)
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


@dataclass(frozen=True, slots=True)
class _Forbidden:
    """What must not be in a log; `unless_provoked`: fault windows excuse it."""

    name: str
    pattern: re.Pattern[str]
    unless_provoked: bool = False


_FORBIDDEN = (
    _Forbidden("hash seed warning", re.compile("PYTHONHASHSEED")),
    _Forbidden("unknown LMCache key", re.compile("Unknown configuration key|Unknown config key")),
    _Forbidden("unknown backend URL", re.compile("No adapter found")),
    _Forbidden("LMCache not started", re.compile("Failed to initialize LMCache|No supported .* connector found")),
    _Forbidden("connection lost for good", re.compile("Failed to initialize/re-establish"), unless_provoked=True),
    _Forbidden(
        "connection error",
        re.compile(
            r"Connection refused|ConnectionRefusedError|Broken ?[Pp]ipe|Connection reset|ConnectionResetError"
            r"|Error \d+ connecting to|Connect call failed|Timeout connecting to|Connection closed by server"
            r"|Remote connection failed|Timeout reading from|put error"
        ),
        unless_provoked=True,
    ),
    _Forbidden("traceback", re.compile(r"Traceback \(most recent call last\)"), unless_provoked=True),
)


def _clean_logs(evidence: Evidence, _limits: Thresholds) -> Check:
    name, logs = "clean-logs", evidence.logs
    if isinstance(logs, Unreadable):
        return _unread(name, evidence, logs)
    found: list[dict[str, Any]] = []
    excused = 0
    # What runs on a cluster has a history: errors from before the experiment are not its own.
    begin = evidence.started if evidence.subject.kind == "cluster" else None
    for log in logs:
        found += [_found("secret", log.replica, line.time, line.text) for line in log.secret_lines]
        for line in log.lines:
            rule = next((rule for rule in _FORBIDDEN if rule.pattern.search(line.text)), None)
            if rule is None:
                continue
            if rule.unless_provoked and begin and line.time < begin:
                continue
            if rule.unless_provoked and any(fault.covers(line.time) for fault in evidence.faults):
                excused += 1
            else:
                found.append(_found(rule.name, log.replica, line.time, line.text))
    read = sum(len(log.lines) for log in logs)
    kinds = sorted({str(entry["rule"]) for entry in found})
    if not read:
        observed = "The replicas' logs are empty: nothing can be said about them."
    elif found:
        first = found[0]
        observed = f"{len(found)} forbidden log line(s), {', '.join(kinds)}: {first['replica']}: {first['text']}"
    else:
        observed = (
            f"{read} log lines hold no secret, no hash-seed warning and no error outside provoked faults "
            f"({excused} inside)."
        )
    return Check(
        id=name,
        passed=bool(read) and not found,
        observed=observed,
        evidence={"lines": read, "forbidden": len(found), "examples": found[:_EXAMPLES], "provoked": excused},
    )


def _found(rule: str, replica: str, time: datetime, text: str) -> dict[str, Any]:
    return {"rule": rule, "replica": replica, "time": time.isoformat(), "text": text[:400]}


def _unread(name: str, evidence: Evidence, seen: object) -> Check:
    why = f"The evidence cannot be read: {seen.why}" if isinstance(seen, Unreadable) else _not_run(evidence)
    return Check(id=name, passed=False, observed=why)


def _not_run(evidence: Evidence) -> str:
    return f"Not run: {evidence.stopped or 'the experiment did not get this far'}."


def _why(log: object) -> str:
    return f"{log.why} cannot be read" if isinstance(log, Unreadable) else "there is no log"


def _first(faults: Sequence[str]) -> str:
    """The first fault as a sentence, with how many more there are; empty without any."""
    if not faults:
        return ""
    more = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
    return f"{faults[0][:1].upper()}{faults[0][1:]}{more}."


def _seed_words(seeds: Mapping[str, str | None]) -> str:
    return ", ".join(f"{name}: {'not set' if seed is None else seed}" for name, seed in seeds.items())


_JUDGES: Mapping[str, Callable[[Evidence, Thresholds], Check]] = {
    "cross-replica-hit": _cross_replica_hit,
    "restart-hit": _restart_hit,
    "backend-grew": _backend_grew,
    "external-hits-metric": _external_hits_metric,
    "identical-output": _identical_output,
    "ttft": _ttft,
    "backend-outage": _backend_outage,
    "cache-server-outage": _cache_server_outage,
    "replica-kill": _replica_kill,
    "clean-logs": _clean_logs,
}
