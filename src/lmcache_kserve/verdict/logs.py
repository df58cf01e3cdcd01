"""Did the replicas log what they must not: secrets, a hash seed that differs, errors that nobody provoked."""

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from lmcache_kserve.evidence import Evidence, Unreadable
from lmcache_kserve.verdict.check import Check, Thresholds, unread

_EXAMPLES = 3


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


def clean_logs(evidence: Evidence, _limits: Thresholds) -> Check:
    """No log has a line that it must not have."""
    name, logs = "clean-logs", evidence.logs
    if isinstance(logs, Unreadable):
        return unread(name, evidence, logs)
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
