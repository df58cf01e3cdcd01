"""`compare --backend-only` with real backends and LMCache's own clients."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.local

COMPARE = (sys.executable, "-m", "lmcache_kserve", "compare", "--backend-only")
ONE_CELL = ("--chunk-mib", "2", "--in-flight", "4")


def compared(out: Path, *arguments: str) -> tuple[int, str, dict[str, Any]]:
    done = subprocess.run(
        [*COMPARE, "--out", str(out), *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout, json.loads((out / "rates.json").read_text())


@pytest.mark.long
def test_the_clients_of_both_modes_are_measured_beside_sockets(tmp_path: Path) -> None:
    code, output, report = compared(tmp_path, "--backend", "valkey", "--backend", "filesystem", *ONE_CELL)
    assert code == 0, output
    assert [(arm["backend"], arm["mode"], arm["client"]) for arm in report["arms"]] == [
        ("valkey", "in-process", "redis-py"),
        ("valkey", "in-process", "direct"),
        ("valkey", "multiprocess", ""),
        ("valkey", "multiprocess", "direct"),
        ("filesystem", "in-process", ""),
        ("filesystem", "multiprocess", ""),
    ]
    for arm in report["arms"]:
        cells = {(cell["how"], cell["operation"]): cell for cell in arm["cells"]}
        assert {("client", "put"), ("client", "get"), ("socket", "put"), ("socket", "get")} <= cells.keys()
        assert cells["client", "get"]["bytes"] == cells["socket", "get"]["bytes"] == 4 * 256 * 2**20
        assert cells["client", "get"]["client_cpu_s"] > 0
    assert all(report["arms"][place]["cells"][-1]["server_cpu_s"] > 0 for place in (0, 1, 2, 3))
    assert "-a" not in report["command"].split()


def test_a_backend_too_small_for_a_cell_fails_with_the_reason(tmp_path: Path) -> None:
    code, output, report = compared(
        tmp_path, "--backend", "redis", "--mode", "in-process", "--set", "remoteBackend.redis.maxmemory=16Mi", *ONE_CELL
    )
    assert code == 1, output
    assert [arm["client"] for arm in report["arms"]] == ["redis-py", "direct"]
    for arm in report["arms"]:
        assert "is the backend too small" in arm["problem"]
        assert f"failed: redis, in-process, {arm['client']}" in output
