"""`compare` with real engines, the real load generator and a real backend."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.local, pytest.mark.long]

COMPARE = (sys.executable, "-m", "lmcache_kserve", "compare")
SMALL = ("--workload", "long-doc-qa", "--prompt-tokens", "512", "--concurrency", "1", "--engine-cache-tokens", "2048")


@pytest.mark.parametrize("mode", ["in-process", "multiprocess"])
def test_a_backend_gains_under_pressure_and_gains_nothing_without(mode: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [*COMPARE, "--out", str(tmp_path), "--backend", "redis", "--mode", mode, *SMALL],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    report = json.loads((tmp_path / "compare.json").read_text(encoding="utf-8"))
    assert report["complete"]
    cells = {(one["arm"], one["cell"]["pressure"]): one for one in report["cells"]}
    assert cells["no cache", "above"]["own_share"] == 0
    assert cells["prefix cache", "above"]["own_share"] < 0.1
    assert cells["prefix cache", "below"]["own_share"] > 0.9
    pressed, control = cells[f"redis, {mode}", "above"], cells[f"redis, {mode}", "below"]
    assert (
        pressed["remote_share"] > 0.4
    )  # one whole chunk of two: the tool's prompt is a little shorter than 512 tokens
    assert pressed["loaded_bytes"] > 0
    assert pressed["stored_bytes"] > 0
    assert pressed["gain"]["low"] > 1
    assert control["verdict"] != "pays"
    assert {"engine", "backend"} <= control["cpu_s"].keys()
    assert report["answers"][f"redis, {mode}"]["different"] == 0
    assert report["answers"][f"redis, {mode}"]["loaded_tokens"] > 0
