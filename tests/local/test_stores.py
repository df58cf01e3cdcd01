"""Every backend that runs here, through LMCache's connectors with the chart's configuration, without an engine."""

import json
import shutil
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from rendering import REPOSITORY, Render, environment, pod

from lmcache_kserve.chart.contract import BACKEND_COMPONENT, PREDICTOR_COMPONENT
from lmcache_kserve.chart.environment import Configuration
from lmcache_kserve.engine.find import Engine, ensure_engine
from lmcache_kserve.local.plan import plan_pods
from lmcache_kserve.local.pod import LocalPod, Release
from lmcache_kserve.local.ports import assign_ports, service_addresses
from lmcache_kserve.local.programs import Programs

pytestmark = pytest.mark.local

ROUND_TRIP = Path(__file__).parent / "round_trip.py"
CPU = REPOSITORY / "values" / "cpu.yaml"
CHUNKS = 4
PATIENCE_S = 300


@dataclass(frozen=True)
class Running:
    """A release's backend, whose predictor is played by `round_trip.py`."""

    replicas: list[LocalPod]
    servers: list[LocalPod]

    def __call__(
        self, action: str, *, replica: int = 0, chunks: int = CHUNKS, adapter: str = "", **changes: str
    ) -> dict[str, Any]:
        """One trip to its end; `changes` are of the model's name or of variables."""
        with self.under_way(action, replica=replica, chunks=chunks, adapter=adapter, **changes) as trip:
            output, errors = trip.communicate(timeout=PATIENCE_S)
        assert trip.returncode == 0, errors
        answer: dict[str, Any] = json.loads(output.splitlines()[-1])
        return {**answer, "log": errors}

    @contextmanager
    def under_way(
        self,
        action: str,
        *,
        replica: int = 0,
        model: str = "a/b",
        chunks: int = CHUNKS,
        adapter: str = "",
        **changes: str,
    ) -> Iterator[subprocess.Popen[str]]:
        """A trip that may read from its input."""
        pod = self.replicas[replica]
        program = ["python3", str(ROUND_TRIP), action, model, str(chunks), *([adapter] if adapter else [])]
        invocation = pod.in_place_of(pod.main, program)
        with subprocess.Popen(
            invocation.arguments,
            env={**invocation.environment, **changes},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as trip:
            try:
                yield trip
            finally:
                trip.kill()

    def start(self) -> None:
        """Start the servers, side by side as they may wait for each other."""
        with ThreadPoolExecutor(max_workers=len(self.servers) or 1) as pool:
            list(pool.map(LocalPod.start, self.servers))

    def stop(self) -> None:
        """End the servers at once."""
        for server in self.servers:
            server.kill()


@pytest.fixture(scope="module")
def engine() -> Engine:
    return ensure_engine(lambda *_: None)


@pytest.fixture
def running(request: pytest.FixtureRequest, render: Render, engine: Engine, tmp_path: Path) -> Iterator[Running]:
    """A release's backend, running; the test's parameter is the values."""
    manifests = render(request.param, files=[CPU])
    plans = plan_pods(manifests)
    ports = assign_ports(plans)
    release = Release(
        namespace="models",
        directory=tmp_path,
        configuration=Configuration.of(manifests),
        addresses=service_addresses(manifests.of_kind("Service"), plans, ports, namespace="models"),
        programs=Programs.find(engine, folder=tmp_path / "programs"),
        compiled=engine.compiled,
    )
    pods = [LocalPod(plan, release=release, ports=ports[plan.name]) for plan in plans]
    backend = Running(
        [pod for pod in pods if pod.plan.component == PREDICTOR_COMPONENT],
        [pod for pod in pods if pod.plan.component == BACKEND_COMPONENT],
    )
    try:
        backend.start()
        yield backend
    finally:
        backend.stop()
        shutil.rmtree(tmp_path / "pods", ignore_errors=True)


def backend(kind: str, **values: Any) -> dict[str, Any]:
    key = {"lmcache-server": "lmcacheServer"}.get(kind, kind)
    return {"remoteBackend": {"type": kind, "waitSeconds": 0, key: values}, "lmcache": {"localCpu": {"sizeGB": 0.2}}}


MOONCAKE = backend("mooncake", localBuffer="64Mi", store={"segmentSize": "256Mi"})
CAPACITY = 128
"""Chunks of `round_trip.py` without LMCache's header, with which they no longer fit a power of two, in 16 MiB."""
SMALL_MOONCAKE = backend("mooncake", localBuffer="64Mi", store={"segmentSize": "16Mi"})
LATE_MOONCAKE = backend(
    "mooncake", localBuffer="64Mi", store={"segmentSize": "16Mi"}, master={"evictionHighWatermarkRatio": 0.95}
)
"""Its store is full before its master evicts."""
LOST = "Chunks that Mooncake did not store"
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
def test_what_one_replica_stores_another_finds_intact(running: Running) -> None:
    assert running("load")["found"] == 0
    assert running("store")["stored"] == CHUNKS
    assert running("load", replica=1)["intact"] == CHUNKS


@pytest.mark.parametrize("running", [pytest.param(MOONCAKE, id="mooncake")], indirect=True)
def test_a_replica_without_a_mooncake_master_finds_nothing_and_joins_one_that_comes(running: Running) -> None:
    running.stop()
    with running.under_way("watch") as replica:

        def found() -> int:
            assert replica.stdin
            assert replica.stdout
            replica.stdin.write("\n")
            replica.stdin.flush()
            lines = iter(replica.stdout.readline, "")
            line = next((line for line in lines if line.startswith("{")), None)
            assert line, f"the replica ended with code {replica.wait(PATIENCE_S)}"
            answer: dict[str, int] = json.loads(line)
            return answer["found"]

        assert found() == 0
        running.start()
        assert running("store", replica=1)["stored"] == CHUNKS
        assert found() == CHUNKS
        running.stop()
        assert found() == 0


@pytest.mark.parametrize("running", [pytest.param(SMALL_MOONCAKE, id="mooncake")], indirect=True)
def test_a_full_store_goes_on_storing(running: Running) -> None:
    stored = 2 * CAPACITY
    store = running("store", chunks=stored)
    assert store["stored"] == stored
    missing = running("load", chunks=stored)["missing"]
    assert set(range(CAPACITY // 2)) & set(missing), "it was never full"
    assert [number for number in missing if number >= stored - CAPACITY // 2] == []
    assert LOST not in store["log"]


@pytest.mark.parametrize("running", [pytest.param(LATE_MOONCAKE, id="mooncake")], indirect=True)
def test_a_chunk_for_which_there_is_no_room_is_in_the_log(running: Running) -> None:
    assert LOST in running("store", chunks=2 * CAPACITY)["log"]


@pytest.mark.parametrize("running", [pytest.param(FILESYSTEM, id="filesystem")], indirect=True)
def test_models_of_one_path_and_shape_do_not_find_each_other(running: Running, render: Render) -> None:
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
def test_a_request_that_names_its_adapter_finds_that_adapters_chunks_alone(running: Running) -> None:
    assert running("store", adapter="english")["stored"] == CHUNKS
    assert running("load", adapter="french")["found"] == 0
    assert running("load")["found"] == 0
    assert running("load", adapter="english")["intact"] == CHUNKS
