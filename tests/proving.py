"""Runs an experiment against a fake release and judges what it saw."""

from dataclasses import dataclass, field
from typing import Any

from fake_release import FakeClock, FakeTarget, Faults

from lmcache_kserve.evidence import Evidence
from lmcache_kserve.experiment.measurement import Measurement
from lmcache_kserve.experiment.run import run_experiment
from lmcache_kserve.verdict import Result, judge, not_applicable

QUICK = Measurement(pairs=3, warmup_pairs=1, traffic_interval_s=0.001, log_timeout_s=1, recovery_timeout_s=3, seed=1)


@dataclass
class Run:
    """What came out of one experiment."""

    evidence: Evidence
    progress: list[tuple[str, int, int, str]] = field(default_factory=list)

    @property
    def checks(self) -> dict[str, Result]:
        return {check.id: check for check in judge(self.evidence)}

    @property
    def not_applicable(self) -> dict[str, str]:
        return not_applicable(self.evidence)

    @property
    def failed(self) -> dict[str, str]:
        # TTFT is real time here, and this release computes nothing: only its judgement is left out.
        return {
            name: check.summary
            for name, check in self.checks.items()
            if not check.passed and not (name == "ttft" and self.evidence.stopped is None)
        }


def prove(target: FakeTarget, *, baseline: FakeTarget | None = None, measurement: Measurement = QUICK) -> Run:
    steps: list[tuple[str, int, int, str]] = []
    evidence = run_experiment(
        target, baseline=baseline, measurement=measurement, progress=lambda *step: steps.append(step), clock=FakeClock()
    )
    return Run(evidence, steps)


def run(faults: Faults | None = None, **release: Any) -> Run:
    with FakeTarget(faults=faults, **release) as target:
        return prove(target)
