"""The connector's own tests need torch, vLLM and LMCache, so they run with the engine's Python."""

import subprocess

import pytest

from lmcache_kserve import resources
from lmcache_kserve.engine.find import ensure_engine

pytestmark = pytest.mark.local


def test_the_cpu_connector_passes_its_own_tests() -> None:
    engine = ensure_engine(lambda *_: None)
    done = subprocess.run(
        [engine.python, "-m", "pytest", "-q", "-p", "no:cacheprovider"],
        cwd=resources.image_path() / "connector",
        check=False,
    )
    assert done.returncode == 0
