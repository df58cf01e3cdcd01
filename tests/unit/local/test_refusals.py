"""What this machine cannot run is refused before anything starts, and the message says why."""

from typing import Any

import pytest
from small_pod import container, plan

from lmcache_kserve.errors import HarnessError


def test_a_port_that_no_argument_names_is_refused_before_anything_starts(started: Any) -> None:
    with pytest.raises(HarnessError, match="port 8080, but no argument names it"):
        started(plan(container(args=[])))


def test_an_image_entrypoint_is_refused(started: Any) -> None:
    entrypoint = container()
    del entrypoint["command"]
    with pytest.raises(HarnessError, match="entrypoint of image server:1"):
        started(plan(entrypoint))


def test_a_missing_program_is_refused_by_name(started: Any) -> None:
    with pytest.raises(HarnessError, match="'mooncake_master'"):
        started(plan(container(command=["mooncake_master", "8080"])))


def test_a_missing_program_that_a_shell_starts_is_refused_with_its_package(
    started: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.which", lambda program, **_: None if program == "haproxy" else f"/bin/{program}")
    with pytest.raises(HarnessError, match="apt-get install haproxy"):
        started(plan(container(command=["sh", "-ec", 'exec haproxy "$1"', "haproxy"])))


def test_a_missing_library_is_refused_with_its_package(started: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda program, **_: f"/bin/{program}")
    monkeypatch.setattr("ctypes.util.find_library", lambda _: None)
    with pytest.raises(HarnessError, match=r"needs the library libibverbs(.|\n)*apt-get install libibverbs1"):
        started(plan(container(command=["mooncake_master", "--rpc_port=50051"])))


def test_a_volume_without_a_local_counterpart_is_refused(started: Any) -> None:
    pod_plan = plan(container())
    pod_plan.spec["volumes"][0] = {"name": "greeting", "hostPath": {"path": "/"}}
    with pytest.raises(HarnessError, match="hostPath volume"):
        started(pod_plan)
