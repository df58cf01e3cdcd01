"""The whole proof, for each way to configure the cache; three pairs, since `make demo` measures TTFT with twelve."""

import pytest
import yaml
from running import Demo

from lmcache_kserve import resources

pytestmark = pytest.mark.local

QUICK = ("--pairs", "3", "--no-baseline")
ALL = {
    "cross-replica-hit",
    "restart-hit",
    "backend-grew",
    "external-hits-metric",
    "identical-output",
    "ttft",
    "backend-outage",
    "replica-kill",
    "clean-logs",
}


@pytest.mark.parametrize(
    "settings",
    [
        pytest.param(
            ("remoteBackend.type=lmcache-server", "lmcache.localCpu.enabled=false"),
            id="lmcache-server-without-cpu-tier",
        ),
        pytest.param(("remoteBackend.type=valkey", "lmcache.configStyle=env"), id="valkey-env-style"),
        pytest.param(("remoteBackend.type=redis-sentinel",), id="redis-sentinel"),
        pytest.param(
            ("remoteBackend.type=filesystem", "lmcache.localDisk.enabled=true", "lmcache.localDisk.sizeGB=2"),
            id="filesystem-with-disk-tier",
        ),
        pytest.param(
            (
                "remoteBackend.type=mooncake",
                "remoteBackend.mooncake.localBuffer=256Mi",
                "remoteBackend.mooncake.store.segmentSize=1Gi",
            ),
            id="mooncake",
        ),
    ],
)
def test_every_check_passes(demo: Demo, settings: tuple[str, ...]) -> None:
    outcome = demo(*QUICK, *(argument for setting in settings for argument in ("--set", setting)))
    assert outcome.code == 0, outcome.output
    # Nobody can stop a folder.
    assert outcome.passed == ALL - ({"backend-outage"} if "remoteBackend.type=filesystem" in settings else set())
    assert outcome.report
    tested = yaml.safe_load((resources.chart_path() / "Chart.yaml").read_text(encoding="utf-8"))["annotations"]
    for name in ("vllm", "lmcache"):
        assert outcome.report["versions"][name] == tested[f"lmcache-kserve/tested-{name}"]
