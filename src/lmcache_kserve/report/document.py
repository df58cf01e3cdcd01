"""The report, and its JSON document: stable, versioned, validated against `report.schema.json` before it is written."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from jsonschema_rs import Draft202012Validator

from lmcache_kserve.evidence import Evidence, Pair, Pass, ReplicaFacts, ScaleOut
from lmcache_kserve.verdict import CHECKS, Check, Result, not_applicable
from lmcache_kserve.verdict.statistics import MINIMUM_SAMPLES, LoadSummary, TtftSummary, loads, summarize

SCHEMA = "lmcache-kserve/report/v1"
OPENMP = ("OMP_NUM_THREADS", "VLLM_CPU_OMP_THREADS_BIND")
"""The variables that decide how many cores an engine on a CPU uses. A comparison is only fair where they are equal."""


@dataclass(frozen=True, slots=True)
class Row:
    """One check in a report: either judged, or not applicable with the reason."""

    check: Check
    result: Result | None
    reason: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """Evidence, its verdict, and the command that produced them.

    Attributes:
        evidence: what the experiment saw.
        results: the judged checks.
        ttft: TTFT over the measured pairs; None where they were too few.
        load: how fast hits were loaded; None where no log tells it.
        command: the command line that made the report.
        chart_values_digest: identifies the chart's values (`sha256:...`); None where they are not known.
        origin: what the release was made from (`commands.origin.Origin`); None where that is not known.
    """

    evidence: Evidence
    results: tuple[Result, ...]
    ttft: TtftSummary | None
    load: LoadSummary | None
    command: str
    chart_values_digest: str | None
    origin: Mapping[str, Any] | None = None

    @property
    def passed(self) -> bool:
        """Whether every judged check passed, and at least one was judged."""
        return bool(self.results) and all(result.passed for result in self.results)

    @property
    def failed(self) -> tuple[Result, ...]:
        """The checks that failed."""
        return tuple(result for result in self.results if not result.passed)

    @property
    def rows(self) -> tuple[Row, ...]:
        """Every check that was judged or is not applicable, in the order of `CHECKS`."""
        results = {result.id: result for result in self.results}
        reasons = not_applicable(self.evidence)
        rows = (Row(check, results.get(check.id), reasons.get(check.id)) for check in CHECKS)
        return tuple(row for row in rows if row.result or row.reason)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What a user should know although no check fails because of it."""
        if self.load is None or not self.load.slower_than_computing:
            return ()
        times = f"{self.load.s_per_token * 1000:.2f} ms for a token, computing takes"
        advice = "Choose a backend or a client that moves more (docs/rates.md), or a faster network"
        warning = (
            f"A hit loads slower than the same tokens compute: {times} {self.load.compute_s_per_token * 1000:.2f} ms. "
            f"Such a hit does not pay. {advice}"
        )
        return (warning,)

    @property
    def causes(self) -> tuple[str, ...]:
        """Why checks failed. Each cause is listed once: one mistake often fails several checks."""
        return tuple(dict.fromkeys(cause for result in self.results for cause in result.causes))


def make(
    evidence: Evidence,
    results: Sequence[Result],
    *,
    command: str,
    chart_values_digest: str | None = None,
    origin: Mapping[str, Any] | None = None,
) -> Report:
    """Put a report together."""
    enough = len(evidence.pairs) >= MINIMUM_SAMPLES
    return Report(
        evidence=evidence,
        results=tuple(results),
        ttft=summarize(evidence.pairs) if enough else None,
        load=loads(evidence.pairs),
        command=command,
        chart_values_digest=chart_values_digest,
        origin=origin,
    )


def document(report: Report) -> dict[str, Any]:
    """The report as JSON values, as `docs/report.md` describes them."""
    evidence = report.evidence
    subject = evidence.subject
    return {
        "schema": SCHEMA,
        "passed": report.passed,
        "command": report.command,
        "chart_values_digest": report.chart_values_digest,
        "origin": report.origin,
        "started": evidence.started.isoformat(),
        "finished": evidence.finished.isoformat(),
        "duration_s": _round((evidence.finished - evidence.started).total_seconds()),
        "seed": evidence.seed,
        "target": subject.kind,
        "backend": subject.backend_type,
        "mode": subject.mode,
        "model": subject.model_name,
        "chunk_size": subject.chunk_size,
        "versions": dict(subject.versions),
        "omp": _openmp(evidence.replicas),
        "engines": [_engine(facts) for facts in evidence.replicas],
        "checks": [_check(result) for result in report.results],
        "not_applicable": {row.check.id: row.reason for row in report.rows if row.reason},
        "stopped": evidence.stopped,
        "ttft": _ttft(evidence, report.ttft),
        "load": _load(report.load),
        "scale_out": _scale_out(evidence),
        "warnings": list(report.warnings),
        "timeline": _timeline(evidence),
        "fault_windows": [
            {
                "start_s": _round((fault.start - evidence.started).total_seconds()),
                "end_s": _round((fault.end - evidence.started).total_seconds()) if fault.end else None,
                "reason": fault.reason,
            }
            for fault in evidence.faults
        ],
    }


def dump_json(report: Report) -> str:
    """The report as JSON text.

    Raises:
        jsonschema_rs.ValidationError: the document breaks its own schema; that is a fault of this program.
    """
    content = document(report)
    schema = json.loads(resources.files(__package__).joinpath("report.schema.json").read_text(encoding="utf-8"))
    Draft202012Validator(schema).validate(content)
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


def openmp_setting(facts: ReplicaFacts) -> str:
    """One engine's OpenMP setting in words."""
    values = [f"{name}={facts.environment[name]}" for name in OPENMP if name in facts.environment]
    return ", ".join(values) or "not set"


def _openmp(engines: Sequence[ReplicaFacts]) -> dict[str, Any]:
    settings = {facts.name: openmp_setting(facts) for facts in engines}
    same = len(set(settings.values())) <= 1
    text = next(iter(settings.values()), "not set") if same else "; ".join(f"{k}: {v}" for k, v in settings.items())
    return {"setting": text, "same_for_all_engines": same}


def _engine(facts: ReplicaFacts) -> dict[str, Any]:
    return {
        "name": facts.name,
        "role": facts.role,
        "arguments": [_without_home(argument) for argument in facts.arguments],
        "environment": {name: _without_home(value) for name, value in facts.environment.items()},
    }


def _without_home(text: str) -> str:
    """`text` without the path of the home folder: people share reports, and the folder names the user."""
    return text.replace(str(Path.home()), "~")


def _check(result: Result) -> dict[str, Any]:
    return {
        "id": result.id,
        "passed": result.passed,
        "summary": result.summary,
        "causes": list(result.causes),
        "evidence": dict(result.evidence),
    }


def _ttft(evidence: Evidence, summary: TtftSummary | None) -> dict[str, Any]:
    return {
        "pairs": [_pair(pair) for pair in evidence.pairs],
        "discarded_pairs": len(evidence.warmups),
        "median_ratio": _round(summary.median_ratio) if summary else None,
        "lower_bound_5pct": _round(summary.lower_bound_5pct) if summary else None,
        "cold_s": _round(summary.cold_s) if summary else None,
        "warm_s": _round(summary.warm_s) if summary else None,
        "limit_s": _round(summary.limit_s) if summary else None,
        "no_cache_cold_s": _round(summary.no_cache_cold_s) if summary else None,
        "overhead_ratio": _round(summary.overhead_ratio) if summary else None,
        "overhead_quartiles": _both(summary.overhead_quartiles) if summary else None,
        "noise_ratio": _round(summary.noise_ratio) if summary else None,
        "noise_quartiles": _both(summary.noise_quartiles) if summary else None,
        "gain_share": _round(summary.gain_share) if summary else None,
    }


def _load(summary: LoadSummary | None) -> dict[str, Any] | None:
    if summary is None:
        return None
    return {
        "gigabytes_per_s": _round(summary.gigabytes_per_s),
        "s_per_token": summary.s_per_token,
        "compute_s_per_token": summary.compute_s_per_token,
        "slower_than_computing": summary.slower_than_computing,
    }


def _scale_out(evidence: Evidence) -> dict[str, Any] | None:
    seen = evidence.scale_out
    if not isinstance(seen, ScaleOut):
        return None
    return {
        "start_s": _round(seen.start_s),
        "old": [_first_request(one) for one in seen.old],
        "shared": [_first_request(one) for one in seen.shared],
        "alone": [_first_request(one) for one in seen.alone],
    }


def _first_request(one: Pass) -> dict[str, Any]:
    return {"prompt_tokens": one.prompt_tokens, "hit_tokens": one.hit_tokens, "ttft_s": _round(one.ttft_s)}


def _pair(pair: Pair) -> dict[str, Any]:
    return {
        "prompt_tokens": pair.cold.prompt_tokens,
        "hit_tokens": pair.warm.hit_tokens,
        "cold_s": _round(pair.cold.ttft_s),
        "warm_s": _round(pair.warm.ttft_s),
        "no_cache_cold_s": _round(pair.no_cache.ttft_s) if pair.no_cache else None,
        "no_cache_again_s": _round(pair.no_cache_again.ttft_s) if pair.no_cache_again else None,
        "limit_s": _round(pair.limit.ttft_s) if pair.limit else None,
        "cold_replica": pair.cold.replica,
        "warm_replica": pair.warm.replica,
        "order": list(pair.order),
    }


def _timeline(evidence: Evidence) -> list[dict[str, Any]]:
    return [
        {
            "at": moment.at.isoformat(),
            "offset_s": _round((moment.at - evidence.started).total_seconds()),
            "kind": moment.kind,
            "text": moment.text,
        }
        for moment in evidence.timeline
    ]


def _round(value: float | None) -> float | None:
    """`value` to ten-thousandths: no measurement here is more precise."""
    return None if value is None else round(value, 4)


def _both(values: tuple[float, float] | None) -> list[float | None] | None:
    return None if values is None else [_round(value) for value in values]
