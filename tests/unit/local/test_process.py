"""Processes of a run: none outlives it."""

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import uuid
from pathlib import Path
from typing import Any

import psutil
import pytest
from small_pod import container, plan

from lmcache_kserve.errors import HarnessError
from lmcache_kserve.local.process import (
    ContainerProcess,
    Log,
    end_leftovers,
    make_temporary_folder,
    owner,
    runs_folder,
    temporary_folder,
    temporary_folders,
)

SLEEP = [sys.executable, "-c", "import time; time.sleep(600)"]


def test_killing_a_process_ends_its_descendants_too(tmp_path: Path) -> None:
    spawns = "import subprocess, time; subprocess.Popen(['sleep', '600']); print('ready', flush=True); time.sleep(600)"
    process = ContainerProcess(
        "parent",
        [sys.executable, "-c", spawns],
        environment=dict(os.environ),
        directory=tmp_path,
        log=Log(tmp_path / "log"),
    )
    while not process.log.lines():
        assert process.exit_code is None
    children = psutil.Process(process._process.pid).children()  # noqa: SLF001 - the folder and the process are what is tested
    assert len(children) == 1
    process.kill()
    assert not children[0].is_running() or children[0].status() == psutil.STATUS_ZOMBIE


HOLDS = """
import socket, subprocess, sys, threading, time
listener = socket.create_server(("127.0.0.1", 0))
near = socket.create_connection(listener.getsockname())
far, _ = listener.accept()
threading.Thread(target=time.sleep, args=(600,), daemon=True).start()
files = [open("/dev/null") for _ in range(50)]
script = "import time; print(flush=True); time.sleep(600)"
child = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE)
child.stdout.readline()  # its memory grows no more
print("ready", flush=True)
time.sleep(600)
"""


def test_what_a_container_holds_is_what_all_its_processes_hold(tmp_path: Path) -> None:
    command = [sys.executable, "-c", HOLDS]
    process = ContainerProcess(
        "holder", command, environment=dict(os.environ), directory=tmp_path, log=Log(tmp_path / "log")
    )
    while not process.log.lines():
        assert process.exit_code is None
    usage = process.usage
    assert usage.connections == 2  # both ends, not the listener
    assert usage.threads == 3
    assert 50 + 3 + 3 + 3 <= usage.descriptors < 80
    assert usage.resident_bytes == pytest.approx(process.resident_bytes, rel=0.2)
    process.kill()
    with pytest.raises(HarnessError, match="holder is not running"):
        _ = process.usage


def test_processes_of_a_killed_harness_are_ended_by_the_next_one() -> None:
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    orphan = subprocess.Popen(SLEEP, env={**os.environ, "LMCACHE_KSERVE_OWNER": f"{dead.pid}-1.00"})
    own = subprocess.Popen(SLEEP, env={**os.environ, "LMCACHE_KSERVE_OWNER": owner()})
    try:
        assert end_leftovers() >= 1
        orphan.wait(5)
        assert own.poll() is None
    finally:
        own.kill()
        own.wait()


def test_a_leftover_that_hides_its_environment_is_known_by_its_folder(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    folder = runs_folder() / f"{dead.pid}-1.00" / "release"
    folder.mkdir(parents=True)
    hidden = subprocess.Popen(SLEEP, cwd=folder)
    stranger = subprocess.Popen(SLEEP, cwd=tmp_path)
    try:
        end_leftovers()
        hidden.wait(5)
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


def test_temporary_files_of_a_run_are_known_by_its_harness(started: Any) -> None:
    pod = started(plan(container()))
    invocation = pod.invocation(pod.main)
    assert invocation.environment["TMPDIR"] == str(temporary_folder())
    make_temporary_folder()
    try:
        assert (owner(), temporary_folder()) in list(temporary_folders())
    finally:
        shutil.rmtree(temporary_folder())


@pytest.mark.parametrize("root", [None, "a-folder-for-temporary-files-with-a-long-name"])
def test_the_longest_socket_of_lmcache_fits_into_the_temporary_folder(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, root: str | None
) -> None:
    if root:
        (tmp_path / root).mkdir()
        monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / root))
    # LMCache 0.4.2 to 0.5.6, lmcache/v1/rpc_utils.py; vLLM's engine id is a UUID.
    name = f"engine_{uuid.uuid4()}_service_lookup_scheduler_lmcache_rpc_port_0"
    make_temporary_folder()
    try:
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(str(temporary_folder() / name))
        assert (owner(), temporary_folder()) in list(temporary_folders())
    finally:
        shutil.rmtree(temporary_folder())


def test_a_folder_without_an_owner_is_somebody_elses() -> None:
    stranger = Path(tempfile.mkdtemp(prefix="lk-"))
    try:
        assert stranger not in [folder for _, folder in temporary_folders()]
    finally:
        stranger.rmdir()
