"""The whole proof, for each way to configure the cache; three pairs, since `make demo` measures TTFT with twelve."""

from typing import Any

import pytest
import yaml
from running import ALL, LONG_PROMPTS, SERVER, Demo

from lmcache_kserve import resources
from lmcache_kserve.engine.catalog import pairs

pytestmark = pytest.mark.local

ANNOTATIONS = yaml.safe_load((resources.chart_path() / "Chart.yaml").read_text(encoding="utf-8"))["annotations"]

QUICK = ("--pairs", "3", "--no-baseline")
MOONCAKE = (
    "remoteBackend.mooncake.localBuffer=256Mi",
    "remoteBackend.mooncake.store.segmentSize=1Gi",
)
DISK = ("lmcache.localDisk.enabled=true", "lmcache.localDisk.sizeGB=2")
NODE = ("lmcache.multiprocess.placement=daemonset",)
OUTAGE = frozenset({"backend-outage"})
SHARED = frozenset({"cross-replica-hit", "restart-hit", "backend-grew", "backend-outage"})
"""Checks of what replicas share through a backend."""


def case(name: str, backend: str, *settings: str, mode: str = "in-process", checks: frozenset[str] = ALL) -> Any:
    """A way to configure the cache, and the checks of `demo` that apply to it."""
    given = (f"remoteBackend.type={backend}", f"lmcache.mode={mode}", *settings)
    return pytest.param(given, checks, id=name, marks=pytest.mark.proves("local", backend, mode))


def multiprocess(backend: str, *settings: str, name: str = "", without: frozenset[str] = frozenset()) -> Any:
    """The same in mode multiprocess."""
    name = f"multiprocess-{name or backend}"
    return case(name, backend, *settings, mode="multiprocess", checks=(ALL | SERVER) - without)


@pytest.mark.long
@pytest.mark.parametrize(
    ("settings", "checks"),
    [
        case("redis", "redis"),
        case("redis-direct", "redis", "remoteBackend.redis.client=direct"),
        case("cpu-tier", "none", checks=ALL - SHARED),
        case("disk-tier", "none", *DISK, checks=ALL - SHARED),
        case("lmcache-server-without-cpu-tier", "lmcache-server", "lmcache.localCpu.enabled=false"),
        case("valkey-env-style", "valkey", "lmcache.configStyle=env"),
        case("redis-sentinel", "redis-sentinel"),
        case("redis-sentinel-direct", "redis-sentinel", "remoteBackend.redisSentinel.client=direct"),
        # Nobody can stop a folder.
        case("filesystem-with-disk-tier", "filesystem", *DISK, checks=ALL - OUTAGE),
        case("mooncake", "mooncake", *MOONCAKE),
        multiprocess("redis"),
        multiprocess("valkey"),
        multiprocess("redis-sentinel"),
        multiprocess("redis", "remoteBackend.redis.client=direct", name="redis-direct"),
        multiprocess("redis-sentinel", "remoteBackend.redisSentinel.client=direct", name="redis-sentinel-direct"),
        multiprocess("filesystem", without=OUTAGE),
        multiprocess("redis", *DISK, name="redis-with-disk-tier"),
        multiprocess("none", *NODE, name="daemonset", without=OUTAGE | {"backend-grew"}),
    ],
)
def test_every_check_passes(demo: Demo, settings: tuple[str, ...], checks: frozenset[str]) -> None:
    # A request of mode multiprocess takes longer before and after its load, so short prompts save little.
    prompts = LONG_PROMPTS if checks >= SERVER else ()
    outcome = demo(*QUICK, *prompts, *(argument for setting in settings for argument in ("--set", setting)))
    assert outcome.code == 0, outcome.output
    assert outcome.passed == checks
    assert outcome.report
    assert outcome.report["load"]["s_per_token"] > 0
    assert outcome.report["warnings"] == []
    for name in ("vllm", "lmcache"):
        assert outcome.report["versions"][name] == ANNOTATIONS[f"lmcache-kserve/tested-{name}"]


@pytest.mark.parametrize(
    ("server", "mode"),
    [
        # The gate proves mode in-process by `make demo`. Both default images carry the same releases.
        ("vllm", "multiprocess"),
        pytest.param("huggingfaceserver", "in-process", marks=pytest.mark.long),
        pytest.param("huggingfaceserver", "multiprocess", marks=pytest.mark.long),
        pytest.param("vllm", "in-process", marks=pytest.mark.long),
    ],
)
def test_the_releases_of_a_default_image_pass_in_each_mode(demo: Demo, server: str, mode: str) -> None:
    image = ANNOTATIONS[f"lmcache-kserve/image-{server}"]
    (engine,) = [one for one in pairs().values() if image in one.images]
    prompts = LONG_PROMPTS if mode == "multiprocess" else ()

    outcome = demo(*QUICK, *prompts, "--engine", engine.name, "--set", f"lmcache.mode={mode}")

    assert outcome.code == 0, outcome.output
    assert outcome.passed == ALL | (SERVER if mode == "multiprocess" else set())
    assert outcome.report
    assert outcome.report["versions"]["vllm"] == engine.vllm
    assert outcome.report["versions"]["lmcache"] == engine.lmcache
