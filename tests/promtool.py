"""Prometheus' own promtool, which judges rules and evaluates queries."""

import os
import shutil
import subprocess
from pathlib import Path


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run promtool in a folder."""
    found = os.environ.get("LMCACHE_KSERVE_PROMTOOL") or shutil.which("promtool")
    assert found, "promtool comes with Prometheus (Debian: apt install prometheus); put it on the PATH"
    return subprocess.run([found, *arguments], cwd=folder, capture_output=True, text=True, check=False, timeout=120)
