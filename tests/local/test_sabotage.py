"""What breaks the shared cache turns the proof red, and the message names the cause."""

from collections.abc import Callable
from pathlib import Path

import pytest
from running import Demo

pytestmark = pytest.mark.local

QUICK = ("--pairs", "3", "--no-baseline")


def test_a_missing_hash_seed_is_named(demo: Demo, edited_chart: Callable[[str, str, str], Path]) -> None:
    chart = edited_chart("templates/inference/_predictor.tpl", "- name: PYTHONHASHSEED\n", "- name: SOMETHING_ELSE\n")
    outcome = demo(*QUICK, "--chart", str(chart))
    assert outcome.code != 0
    assert "PYTHONHASHSEED" in outcome.output
    assert "Traceback" not in outcome.output


def test_a_missing_connector_is_named(demo: Demo, edited_chart: Callable[[str, str, str], Path]) -> None:
    chart = edited_chart("templates/inference/_predictor.tpl", '"--kv-transfer-config"', '"--seed=1"')
    outcome = demo(*QUICK, "--chart", str(chart))
    assert outcome.code == 1
    assert not outcome.check("cross-replica-hit")["passed"]
    assert "--kv-transfer-config" in outcome.output
    assert "Traceback" not in outcome.output


@pytest.mark.long
def test_a_chunk_longer_than_the_prompt_is_named(demo: Demo) -> None:
    outcome = demo(*QUICK, "--set", "lmcache.chunkSize=8192")
    assert outcome.code == 1
    assert not outcome.check("cross-replica-hit")["passed"]
    assert "lmcache.chunkSize" in outcome.output
    assert "Traceback" not in outcome.output


@pytest.mark.long
def test_a_backend_at_a_closed_port_is_named(demo: Demo) -> None:
    outcome = demo(
        *QUICK,
        "--set",
        "remoteBackend.redis.deploy=false,remoteBackend.redis.external.endpoint=127.0.0.1:1,remoteBackend.redis.auth.enabled=false",
        "--set",
        "remoteBackend.waitSeconds=1",
    )
    assert outcome.code == 1
    assert not outcome.check("cross-replica-hit")["passed"]
    assert "127.0.0.1:1" in outcome.output
    assert "Traceback" not in outcome.output


@pytest.mark.long
def test_hits_that_load_slower_than_they_compute_are_named(
    demo: Demo, edited_chart: Callable[[str, str, str], Path]
) -> None:
    received = "            connection.receive(chunk.byte_array"
    chart = edited_chart("files/direct_redis.py", received, f"            time.sleep(2.0)\n{received}")
    outcome = demo(*QUICK, "--chart", str(chart), "--set", "remoteBackend.redis.client=direct")
    assert outcome.report
    assert outcome.report["load"]["slower_than_computing"]
    assert "A hit loads slower than the same tokens compute" in outcome.words
