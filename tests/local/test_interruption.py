"""Nothing is left behind: not by Ctrl-C, and not for long by a kill."""

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from running import COMMAND, HEED_SIGINT, Demo, processes_of_runs

from lmcache_kserve.local.process import temporary_folders
from lmcache_kserve.waiting import wait_for

pytestmark = pytest.mark.local


@pytest.fixture
def starting(tmp_path: Path) -> Iterator["subprocess.Popen[str]"]:
    """A run whose engines are just loading."""
    assert processes_of_runs() == []
    process = subprocess.Popen(
        [sys.executable, "-c", HEED_SIGINT, *COMMAND, "--no-baseline", "--out", str(tmp_path / "interrupted")],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    wait_for(lambda: len(processes_of_runs()) >= 4, timeout=120, describe="the engines to be started")
    yield process
    process.terminate()


def test_ctrl_c_leaves_no_process_and_no_file(starting: "subprocess.Popen[str]", tmp_path: Path) -> None:
    started = time.monotonic()
    starting.send_signal(signal.SIGINT)
    output, _ = starting.communicate(timeout=60)
    assert starting.returncode == 130
    assert "Traceback" not in output
    assert processes_of_runs() == []
    assert list(temporary_folders()) == []
    assert time.monotonic() - started < 30
    assert list((tmp_path / "interrupted" / "logs" / "release").glob("*.log"))


def test_a_run_after_a_killed_one_ends_what_that_left_and_works(starting: "subprocess.Popen[str]", demo: Demo) -> None:
    starting.kill()
    starting.communicate(timeout=60)
    assert processes_of_runs() != []
    outcome = demo("--no-baseline", "--pairs", "3")
    assert "of a run whose harness was killed" in outcome.output
    assert outcome.code == 0, outcome.output
    assert processes_of_runs() == []
    assert not any(process.name().startswith("VLLM") for process in psutil.process_iter())
