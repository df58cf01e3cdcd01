"""An engine that pretends to be one whose cache LMCache is not known to read right: it serves without LMCache."""

from collections.abc import Callable
from pathlib import Path

import pytest
from local_release import running
from running import ALL, Demo

from lmcache_kserve.experiment.bench import Bench
from lmcache_kserve.experiment.journal import Journal
from lmcache_kserve.experiment.measurement import Measurement
from lmcache_kserve.experiment.run import run_experiment
from lmcache_kserve.lmcache.logs import refusal
from lmcache_kserve.local.target import LocalTarget
from lmcache_kserve.verdict import judge

pytestmark = pytest.mark.local

Edit = Callable[[str, str, str], Path]

GPU = ("files/unproven.py", "return current_platform.device_type", 'return "cuda"')
"""The chart's file, its text, and the text that pretends. vLLM 0.32 keeps keys and values in one tensor on CPUs too."""

MAMBA = ("files/unproven.py", "found = set()", 'found = {"recurrent"}')

PROMPTS = 4


def answers(target: LocalTarget) -> list[set[str]]:
    """What two replicas answered to each prompt, one after the other and then the first again."""
    with Bench(target, None, measurement=Measurement(), journal=Journal()).opened() as bench:
        bench.calibrate()
        first, second = bench.probes
        prompts = [bench.long_prompt() for _ in range(PROMPTS)]
        return [{probe.send(prompt, max_tokens=8).text for probe in (first, second, first)} for prompt in prompts]


@pytest.mark.parametrize(
    ("pretence", "mode", "thread"),
    [
        pytest.param(GPU, "in-process", "issues/4463", id="keys and values in one tensor on a GPU"),
        pytest.param(MAMBA, "multiprocess", "issues/4247", id="recurrent layers", marks=pytest.mark.long),
    ],
)
def test_a_refused_engine_answers_every_request_without_lmcache_and_verify_says_why(
    edited_chart: Edit, pretence: tuple[str, str, str], mode: str, thread: str
) -> None:
    with running(f"lmcache.mode={mode}", chart=edited_chart(*pretence)) as target:
        assert [len(texts) for texts in answers(target)] == [1] * PROMPTS
        assert target.backend
        assert target.backend.contents().entries == 0
        for replica in target.replicas:
            (reason,) = [reason for line in replica.logs() if (reason := refusal(line.text))]
            assert thread in reason
        evidence = run_experiment(target, measurement=Measurement(pairs=1, faults=False))
    results = {result.id: result for result in judge(evidence)}
    assert not results["cross-replica-hit"].passed
    assert thread in results["cross-replica-hit"].summary
    assert results["clean-logs"].passed


@pytest.mark.long
def test_the_user_can_use_lmcache_all_the_same(demo: Demo, edited_chart: Edit) -> None:
    override = ("--set", "lmcache.allowUnproven=true")
    outcome = demo("--pairs", "3", "--no-baseline", "--chart", str(edited_chart(*GPU)), *override)
    assert outcome.code == 0, outcome.output
    assert outcome.passed == ALL
