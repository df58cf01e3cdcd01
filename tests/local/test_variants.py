"""The whole proof, for each way to configure the cache; three pairs, since `make demo` measures TTFT with twelve."""

import pytest
import yaml
from running import ALL, SERVER, Demo

from lmcache_kserve import resources

pytestmark = pytest.mark.local

QUICK = ("--pairs", "3", "--no-baseline")
NODE = ("lmcache.mode=multiprocess", "lmcache.multiprocess.placement=daemonset")


@pytest.mark.parametrize(
    ("settings", "checks"),
    [
        pytest.param(
            ("remoteBackend.type=lmcache-server", "lmcache.localCpu.enabled=false"),
            ALL,
            id="lmcache-server-without-cpu-tier",
        ),
        pytest.param(("remoteBackend.type=valkey", "lmcache.configStyle=env"), ALL, id="valkey-env-style"),
        pytest.param(("remoteBackend.type=redis-sentinel",), ALL, id="redis-sentinel"),
        pytest.param(
            ("remoteBackend.type=filesystem", "lmcache.localDisk.enabled=true", "lmcache.localDisk.sizeGB=2"),
            ALL - {"backend-outage"},  # nobody can stop a folder
            id="filesystem-with-disk-tier",
        ),
        pytest.param(
            (
                "remoteBackend.type=mooncake",
                "remoteBackend.mooncake.localBuffer=256Mi",
                "remoteBackend.mooncake.store.segmentSize=1Gi",
            ),
            ALL,
            id="mooncake",
        ),
        pytest.param(("lmcache.mode=multiprocess",), ALL | SERVER, id="multiprocess"),
        pytest.param(
            (*NODE, "remoteBackend.type=none"),
            ALL - {"backend-grew", "backend-outage"} | SERVER,
            id="multiprocess-daemonset",
        ),
    ],
)
def test_every_check_passes(demo: Demo, settings: tuple[str, ...], checks: frozenset[str]) -> None:
    outcome = demo(*QUICK, *(argument for setting in settings for argument in ("--set", setting)))
    assert outcome.code == 0, outcome.output
    assert outcome.passed == checks
    assert outcome.report
    tested = yaml.safe_load((resources.chart_path() / "Chart.yaml").read_text(encoding="utf-8"))["annotations"]
    for name in ("vllm", "lmcache"):
        assert outcome.report["versions"][name] == tested[f"lmcache-kserve/tested-{name}"]
