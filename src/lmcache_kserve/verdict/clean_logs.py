"""Check `clean-logs`: replicas log no secret, no wrong hash seed, and no error that the experiment did not provoke."""

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from lmcache_kserve.evidence import Evidence, Unreadable
from lmcache_kserve.verdict import diagnosis
from lmcache_kserve.verdict.check import Check, Judgement
from lmcache_kserve.verdict.wording import unread

_EXAMPLES = 3
_LONGEST_EXAMPLE = 400


@dataclass(frozen=True, slots=True)
class _Forbidden:
    """What a log must not contain; a fault window excuses the line where `unless_provoked` is set."""

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


def _judge(evidence: Evidence) -> Judgement:
    logs = evidence.logs
    if isinstance(logs, Unreadable):
        return unread(evidence, logs)
    found: list[dict[str, Any]] = []
    provoked = 0
    # A release on a cluster ran before the experiment: errors from that time are not judged.
    begin = evidence.started if evidence.subject.kind == "cluster" else None
    for log in logs:
        found += [_example("secret", log.replica, line.time, line.text) for line in log.secret_lines]
        for line in log.lines:
            rule = next((rule for rule in _FORBIDDEN if rule.pattern.search(line.text)), None)
            if rule is None:
                continue
            if rule.unless_provoked and begin and line.time < begin:
                continue
            if rule.unless_provoked and any(fault.covers(line.time) for fault in evidence.faults):
                provoked += 1
            else:
                found.append(_example(rule.name, log.replica, line.time, line.text))
    read = sum(len(log.lines) for log in logs)
    return Judgement(
        passed=bool(read) and not found,
        seen=_seen(read, provoked, found),
        evidence={"lines": read, "forbidden": len(found), "examples": found[:_EXAMPLES], "provoked": provoked},
    )


CHECK = Check(
    id="clean-logs",
    title="Logs hold no secret and no error that nobody provoked",
    rule="The logs contain no secret, no hash-seed warning, no unknown LMCache key and no failed start. They contain "
    "no connection error and no traceback, except while a fault is provoked or, on a cluster, before the run.",
    judge=_judge,
    causes=diagnosis.BACKEND,
)


def _seen(read: int, provoked: int, found: list[dict[str, Any]]) -> str:
    if not read:
        return "The replicas' logs are empty, so they prove nothing."
    if found:
        kinds = ", ".join(sorted({str(example["rule"]) for example in found}))
        first = found[0]
        return f"{len(found)} forbidden log line(s) ({kinds}). The first, on {first['replica']}: {first['text']}"
    return (
        f"{read} log lines contain no secret, no hash-seed warning and no error outside the provoked faults. "
        f"{provoked} line(s) are errors that the experiment provoked."
    )


def _example(rule: str, replica: str, time: datetime, text: str) -> dict[str, Any]:
    return {"rule": rule, "replica": replica, "time": time.isoformat(), "text": text[:_LONGEST_EXAMPLE]}
