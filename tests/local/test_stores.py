"""Every backend that runs here, through LMCache's connectors with the chart's configuration, without an engine."""

import json
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from rendering import REPOSITORY, Render, environment, pod

from lmcache_kserve.engine import Engine, ensure_engine
from lmcache_kserve.environment import Configuration
from lmcache_kserve.local.plan import BACKEND_COMPONENT, PREDICTOR_COMPONENT, plan_pods
from lmcache_kserve.local.pod import LocalPod, Release
from lmcache_kserve.local.ports import assign_ports, service_addresses
from lmcache_kserve.local.programs import Programs

pytestmark = pytest.mark.local

ROUND_TRIP = Path(__file__).parent / "round_trip.py"
CPU = REPOSITORY / "values" / "cpu.yaml"
CHUNKS = 4
PATIENCE_S = 300

Trip = Callable[..., dict[str, Any]]


@pytest.fixture(scope="module")
def engine() -> Engine:
    return ensure_engine(lambda *_: None)


@pytest.fixture
def running(request: pytest.FixtureRequest, render: Render, engine: Engine, tmp_path: Path) -> Iterator[Trip]:
    """A release's backend, running; the test's parameter is the values. The predictor is played by `round_trip.py`."""
    manifests = render(request.param, files=[CPU])
    plans = plan_pods(manifests)
    ports = assign_ports(plans)
    release = Release(
        namespace="models",
        directory=tmp_path,
        configuration=Configuration.of(manifests),
        addresses=service_addresses(manifests.of_kind("Service"), plans, ports, namespace="models"),
        programs=Programs.find(engine, folder=tmp_path / "programs"),
    )
    pods = [LocalPod(plan, release=release, ports=ports[plan.name]) for plan in plans]
    replicas = [pod for pod in pods if pod.plan.component == PREDICTOR_COMPONENT]
    servers = [pod for pod in pods if pod.plan.component == BACKEND_COMPONENT]

    def trip(action: str, *, replica: int = 0, model: str = "a/b", adapter: str = "", **changes: str) -> dict[str, Any]:
        pod = replicas[replica]
        invocation = pod.invocation(pod.main)
        if path := invocation.environment.get("LMCACHE_CONFIG_FILE"):
            pod.read_mounted(path)
        launcher = [part for part in invocation.command if part.endswith("launcher.py")]
        command = [str(engine.python), *launcher, *(["--", str(engine.python)] if launcher else [])]
        arguments = [action, model, str(CHUNKS), *([adapter] if adapter else [])]
        done = subprocess.run(
            [*command, ROUND_TRIP, *arguments],
            env={**invocation.environment, **changes},
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return answer

    try:
        for server in servers:
            server.start()
        yield trip
    finally:
        for server in servers:
            server.stop()
        shutil.rmtree(tmp_path / "pods", ignore_errors=True)


def backend(kind: str, **values: Any) -> dict[str, Any]:
    key = {"lmcache-server": "lmcacheServer"}.get(kind, kind)
    return {"remoteBackend": {"type": kind, "waitSeconds": 0, key: values}, "lmcache": {"localCpu": {"sizeGB": 0.2}}}


MOONCAKE = backend("mooncake", localBuffer="64Mi", store={"segmentSize": "256Mi"})
FILESYSTEM = backend("filesystem")


@pytest.mark.parametrize(
    "running",
    [
        pytest.param(backend("redis"), id="redis", marks=pytest.mark.long),
        pytest.param(backend("valkey"), id="valkey", marks=pytest.mark.long),
        pytest.param(backend("lmcache-server"), id="lmcache-server", marks=pytest.mark.long),
        pytest.param(FILESYSTEM, id="filesystem"),
        pytest.param(MOONCAKE, id="mooncake"),
    ],
    indirect=True,
)
def test_what_one_replica_stores_another_finds_intact(running: Trip) -> None:
    assert running("load")["found"] == 0
    assert running("store")["stored"] == CHUNKS
    assert running("load", replica=1)["intact"] == CHUNKS


@pytest.mark.parametrize("running", [pytest.param(FILESYSTEM, id="filesystem")], indirect=True)
def test_models_of_one_path_and_shape_do_not_find_each_other(running: Trip, render: Render) -> None:
    seeds = [
        environment(pod(render({"model": {"storageUri": uri}}, files=[CPU])).container)["PYTHONHASHSEED"]
        for uri in ("pvc://models/a", "pvc://models/b")
    ]
    first = running("store", model="/mnt/models", PYTHONHASHSEED=seeds[0])
    other = running("load", model="/mnt/models", PYTHONHASHSEED=seeds[1])
    again = running("load", model="/mnt/models", replica=1, PYTHONHASHSEED=seeds[0])
    assert first["stored"] == CHUNKS
    assert other["found"] == 0
    assert not set(first["keys"]) & set(other["keys"])
    assert again["intact"] == CHUNKS


@pytest.mark.parametrize("running", [pytest.param(FILESYSTEM, id="filesystem")], indirect=True)
def test_a_request_that_names_its_adapter_finds_that_adapters_chunks_alone(running: Trip) -> None:
    assert running("store", adapter="english")["stored"] == CHUNKS
    assert running("load", adapter="french")["found"] == 0
    assert running("load")["found"] == 0
    assert running("load", adapter="english")["intact"] == CHUNKS
