"""An engine that pretends to be one whose cache LMCache is not known to read right: it serves without LMCache."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from running import ALL, Demo, Outcome

pytestmark = pytest.mark.local

QUICK = ("--pairs", "3", "--no-baseline")

GPU = ("files/unproven.py", "return current_platform.device_type", 'return "cuda"')
"""The chart's file, its text, and the text that pretends. vLLM 0.32 keeps keys and values in one tensor on CPUs too."""

MAMBA = ("files/unproven.py", "found = set()", 'found = {"recurrent"}')

SHARED = frozenset({"cross-replica-hit", "restart-hit", "backend-grew", "external-hits-metric"})
"""Checks of what replicas share."""

ANSWERED = frozenset({"identical-output", "replica-kill", "clean-logs"})
"""Checks of what requests get."""


def refused(outcome: Outcome) -> dict[str, Any]:
    """The failed check of a hit, in a run that went on to its end without a hit."""
    assert outcome.code == 1
    assert "Traceback" not in outcome.output
    assert outcome.passed & SHARED == set()
    assert outcome.passed >= ANSWERED
    assert "lmcache.allowUnproven" in outcome.output
    check = outcome.check("cross-replica-hit")
    assert [one for one in check["evidence"]["passes"] if one["warm_hit_tokens"]] == []
    return check


def test_keys_and_values_in_one_tensor_on_a_gpu_are_served_without_lmcache(
    demo: Demo, edited_chart: Callable[[str, str, str], Path]
) -> None:
    check = refused(demo(*QUICK, "--chart", str(edited_chart(*GPU))))
    assert "issues/4463" in str(check)


@pytest.mark.long
def test_recurrent_layers_in_mode_multiprocess_are_served_without_lmcache(
    demo: Demo, edited_chart: Callable[[str, str, str], Path]
) -> None:
    chart = edited_chart(*MAMBA)
    check = refused(demo(*QUICK, "--chart", str(chart), "--set", "lmcache.mode=multiprocess"))
    assert "issues/4247" in str(check)


@pytest.mark.long
def test_the_user_can_use_lmcache_all_the_same(demo: Demo, edited_chart: Callable[[str, str, str], Path]) -> None:
    outcome = demo(*QUICK, "--chart", str(edited_chart(*GPU)), "--set", "lmcache.allowUnproven=true")
    assert outcome.code == 0, outcome.output
    assert outcome.passed == ALL
