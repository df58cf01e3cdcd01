"""`soak` with the real engine: a healthy release passes, and what is planted turns it red."""

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.local, pytest.mark.long]

SOAK = (sys.executable, "-m", "lmcache_kserve", "soak", "--seed", "22")
Edit = Callable[[str, str, str], Path]


@dataclass(frozen=True, slots=True)
class Soaked:
    """How a soak ended."""

    code: int
    output: str
    report: dict[str, Any]

    def promise(self, name: str) -> dict[str, Any]:
        """The invariant whose name begins so."""
        return next(one for one in self.report["invariants"] if one["name"].startswith(name))


def soaked(out: Path, *arguments: str, minutes: int = 3) -> Soaked:
    done = subprocess.run(
        [*SOAK, "--minutes", str(minutes), "--out", str(out), *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    sys.stdout.write(done.stdout)
    return Soaked(done.returncode, done.stdout, json.loads((out / "soak.json").read_text()))


def test_a_healthy_release_keeps_every_promise(tmp_path: Path) -> None:
    seen = soaked(tmp_path, minutes=6)
    assert seen.code == 0, seen.output
    assert (tmp_path / "soak.md").read_text().startswith("# ")
    assert list((tmp_path / "logs" / "release").glob("*.log"))


def test_a_descriptor_that_the_engine_keeps_for_each_request_turns_the_soak_red(
    tmp_path: Path, edited_chart: Edit
) -> None:
    forget = "            self._tainted.pop(request_id, None)\n"
    leak = f'{forget}            __import__("os").open("/dev/null", 0)\n'
    chart = edited_chart("files/checked_connector.py", forget, leak)
    seen = soaked(tmp_path / "out", "--chart", str(chart))
    assert seen.code == 1
    broken = seen.promise("growth of file descriptors")
    assert not broken["passed"]
    assert "predictor-0" in broken["why"]


def test_one_flipped_byte_of_one_chunk_with_the_checksum_off_turns_the_soak_red(
    tmp_path: Path, edited_chart: Edit
) -> None:
    checked = "        if CHECKSUM.pack(value) != expected:\n"
    # The highest byte of a number in the middle, where the values follow the keys; once in the life of a replica.
    flipped = (
        '        if not getattr(self, "_flipped", False):\n'
        "            self._flipped = True\n"
        "            _bytes(chunk)[body // 2 + 3] ^= 0x40\n"
        "        if self is None:\n"
    )
    chart = edited_chart("files/direct_redis.py", checked, flipped)
    seen = soaked(tmp_path / "out", "--chart", str(chart), "--set", "remoteBackend.redis.client=direct")
    assert seen.code == 1
    broken = seen.promise("answers other than")
    assert not broken["passed"]
    assert "was answered with" in broken["why"]
    assert "failed: answers other than" in seen.output
