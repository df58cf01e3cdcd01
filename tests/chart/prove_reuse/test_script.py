"""The script of `helm test` as the pod runs it."""

import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from types import ModuleType
from typing import Any

import pytest
from fake_replicas import Release, Replica, arguments
from fake_server import serving
from rendering import CHART, SCENARIO_FILES, Render, scenario_name

SCRIPT = CHART / "files" / "prove_reuse" / "prove_reuse.py"
PATIENCE_S = 30


def test_a_name_resolves_to_every_address_once(script: ModuleType) -> None:
    assert script.addresses("127.0.0.1", 8080) == [("127.0.0.1", 8080)]
    assert script.addresses("no-such-host.invalid", 8080) == []


@pytest.mark.parametrize("file", SCENARIO_FILES, ids=scenario_name)
def test_the_script_takes_what_the_chart_gives_it(render: Render, script: ModuleType, file: Any) -> None:
    pod = render(files=[file]).one("Pod")
    settings = script.parse(pod["spec"]["containers"][0]["args"], {})
    assert settings.service.startswith("models/")


def start(command: Sequence[str]) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, *command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_it_runs_as_the_pod_runs_it() -> None:
    replica = Replica(Release(), "a")
    with (
        serving(replica.answer, page=replica.page) as server,
        start([str(SCRIPT), *arguments(server.server_address[1])]) as process,
    ):
        output, errors = process.communicate(timeout=PATIENCE_S)
    assert (process.returncode, errors) == (0, "")
    assert output.splitlines()[-1].startswith("PASSED: one replica found what it had computed before.")


def test_a_test_that_is_stopped_leaves_its_reason() -> None:
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))  # bound, but nobody listens
        with start([str(SCRIPT), *arguments(reserved.getsockname()[1])]) as process:
            assert process.stdout is not None
            assert process.stdout.readline().startswith("waiting until 1 are ready: 127.0.0.1:")
            process.send_signal(signal.SIGTERM)
            output, _ = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 1
    assert output.splitlines()[-1] == "FAILED: stopped from outside (SIGTERM) before it was done"
