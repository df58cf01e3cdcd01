"""Real processes of this machine: small servers stand for the pods, nothing else is imitated."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx2
import psutil
import pytest

from lmcache_kserve.chart.environment import Configuration
from lmcache_kserve.chart.manifests import Manifests
from lmcache_kserve.errors import HarnessError
from lmcache_kserve.local.plan import PodPlan, plan_pods
from lmcache_kserve.local.pod import LocalPod, Release
from lmcache_kserve.local.ports import assign_ports, service_addresses
from lmcache_kserve.local.probes import Readiness
from lmcache_kserve.local.process import (
    ContainerProcess,
    Log,
    end_leftovers,
    owner,
    runs_folder,
    temporary_folder,
    temporary_folders,
)
from lmcache_kserve.local.programs import Programs
from lmcache_kserve.waiting import WaitTimeoutError, wait_for

SERVER = """
import http.server, os, sys
class Handler(http.server.SimpleHTTPRequestHandler):
    def do_GET(self):
        body = open(os.environ["GREETING_FILE"]).read().encode()
        self.send_response(200); self.end_headers(); self.wfile.write(body)
print("serving", flush=True)
http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""


GREETING = "hello from web.models.svc:8080"
SLEEP = [sys.executable, "-c", "import time; time.sleep(600)"]


def container(**changes: Any) -> dict[str, Any]:
    return {
        "name": "main",
        "image": "server:1",
        "command": ["python3", "-c", SERVER],
        "args": ["8080"],
        "ports": [{"name": "http", "containerPort": 8080}],
        "env": [{"name": "GREETING_FILE", "value": "/etc/greeting/text"}],
        "volumeMounts": [{"name": "greeting", "mountPath": "/etc/greeting"}],
        "startupProbe": {"httpGet": {"port": "http", "path": "/"}, "periodSeconds": 1, "failureThreshold": 20},
    } | changes


def plan(*containers: dict[str, Any], init: list[dict[str, Any]] | None = None) -> PodPlan:
    return PodPlan(
        name="web-0",
        component="web",
        labels={"app": "web"},
        spec={
            "containers": list(containers),
            "initContainers": init or [],
            "volumes": [{"name": "greeting", "configMap": {"name": "greeting"}}, {"name": "data", "emptyDir": {}}],
        },
    )


@pytest.fixture
def programs(tmp_path: Path) -> Programs:
    return Programs(folder=tmp_path / "programs", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")


@pytest.fixture
def started(tmp_path: Path, programs: Programs) -> Iterator[Any]:
    pods: list[LocalPod] = []

    def start(pod_plan: PodPlan) -> LocalPod:
        ports = assign_ports([pod_plan])
        service = {"metadata": {"name": "web"}, "spec": {"selector": {"app": "web"}, "ports": [{"port": 8080}]}}
        release = Release(
            namespace="models",
            directory=tmp_path,
            configuration=Configuration(config_maps={"greeting": {"text": GREETING}}, secrets={}),
            addresses=service_addresses([service], [pod_plan], ports, namespace="models"),
            programs=programs,
        )
        pod = LocalPod(pod_plan, release=release, ports=ports[pod_plan.name])
        pods.append(pod)
        pod.check()
        pod.start()
        return pod

    yield start
    for pod in pods:
        pod.kill()


def answers(pod: LocalPod) -> bool:
    try:
        return read(pod).startswith("hello")
    except httpx2.TransportError:
        return False


def read(pod: LocalPod) -> str:
    return httpx2.get(f"http://127.0.0.1:{pod.local_port(8080)}", trust_env=False).text


def test_a_pod_serves_with_its_mounted_configuration_at_a_port_of_its_own(started: Any) -> None:
    pod = started(plan(container()))
    assert read(pod) == f"hello from 127.0.0.1:{pod.local_port(8080)}"
    assert "serving" in [line.text for line in pod.log.lines()]


def test_a_restarted_pod_answers_at_the_same_port_and_has_lost_its_empty_dirs(started: Any) -> None:
    keep = {"name": "data", "mountPath": "/data"}
    writes = {
        "name": "init",
        "image": "server:1",
        "volumeMounts": [keep],
        "command": ["sh", "-c", "echo files: $(ls /data); echo x > /data/x"],
    }
    pod = started(plan(container(), init=[writes]))
    first = pod.process
    pod.kill()
    assert first.exit_code == -signal.SIGKILL
    pod.start()
    assert read(pod).startswith("hello")
    init_log = (pod._release.directory / "logs" / "web-0.init.log").read_text()  # noqa: SLF001 - the folder and the process are what is tested
    assert init_log.count("files:") == 2
    assert "files: x" not in init_log


def test_a_pod_that_ends_before_it_is_ready_says_what_it_printed(started: Any) -> None:
    broken = container(command=["python3", "-c", "import sys; print('no such model'); sys.exit(3)"])
    with pytest.raises(HarnessError, match=r"ended with code 3(.|\n)*no such model"):
        started(plan(broken))


def refusing(file: Path, *, once: bool) -> dict[str, Any]:
    """A server that ends at once when there is this file; `once` removes it."""
    ends = (
        f"os.path.exists({str(file)!r}) and ({once} and os.remove({str(file)!r}), sys.exit('Address already in use'))"
    )
    return container(command=["python3", "-c", f"import os, sys\n{ends}\n{SERVER}"])


def test_a_container_that_was_ready_once_is_started_again_when_it_ends_too_soon(started: Any, tmp_path: Path) -> None:
    refused = tmp_path / "refused"
    pod = started(plan(refusing(refused, once=True)))
    pod.kill()
    refused.touch()
    pod.start()
    assert read(pod).startswith("hello")
    said = ("serving", "Address already in use")
    assert [line.text for line in pod.log.lines() if line.text in said] == [said[0], said[1], said[0]]


def test_a_container_that_ends_by_itself_is_started_again_and_its_log_says_so(started: Any) -> None:
    pod = started(plan(container()))
    first = pod.process
    os.kill(first._process.pid, signal.SIGTERM)  # noqa: SLF001 - a signal from outside needs the process id
    wait_for(lambda: pod.process is not first, timeout=10, delay=0.1, describe="another process")
    wait_for(lambda: answers(pod), timeout=10, delay=0.1, describe="the server")
    assert f"web-0/main ended with code {-signal.SIGTERM} and was started again" in [
        line.text for line in pod.log.lines()
    ]


def test_a_container_that_is_kept_down_stays_down(started: Any) -> None:
    server = container()
    pod = started(plan(server))
    pod.kill_container(server)
    time.sleep(2.5)  # longer than it takes to start one again
    assert not answers(pod)
    pod.start_container(server)
    assert answers(pod)


def test_a_restart_of_the_pod_ends_what_kept_a_container_down(started: Any) -> None:
    server = container()
    pod = started(plan(server))
    pod.kill_container(server)
    pod.kill()
    pod.start()
    first = pod.process
    os.kill(first._process.pid, signal.SIGTERM)  # noqa: SLF001 - a signal from outside needs the process id
    wait_for(lambda: pod.process is not first, timeout=10, delay=0.1, describe="another process")


def test_a_container_that_keeps_ending_is_given_up_with_what_it_printed(
    started: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused = tmp_path / "refused"
    pod = started(plan(refusing(refused, once=False)))
    pod.kill()
    refused.touch()
    monkeypatch.setattr(Readiness, "of", lambda _: Readiness({"tcpSocket": {"port": 8080}}, 1.0, 0.1))
    with pytest.raises(WaitTimeoutError, match=r"waited 1 s for web-0/main to be ready") as failure:
        pod.start()
    assert "Address already in use" in "".join(failure.value.__notes__)


def test_a_pod_that_is_ended_while_it_starts_again_stays_ended(started: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    pod = started(plan(container()))
    pod.kill()

    def killed(*_: object, **__: object) -> bool:
        pod.kill()
        return False

    monkeypatch.setattr(Readiness, "_check", killed)
    with pytest.raises(HarnessError, match="pod web-0 was ended before main was ready"):
        pod.start()
    with pytest.raises(HarnessError, match="pod web-0 is not running"):
        _ = pod.process


def test_a_failing_init_container_stops_the_pod(started: Any) -> None:
    fails = {"name": "init", "image": "server:1", "command": ["sh", "-c", "echo cannot reach; exit 1"]}
    with pytest.raises(HarnessError, match=r"web-0/init ended with code 1(.|\n)*cannot reach"):
        started(plan(container(), init=[fails]))


def test_a_port_that_no_argument_names_is_refused_before_anything_starts(started: Any) -> None:
    with pytest.raises(HarnessError, match="port 8080, but no argument names it"):
        started(plan(container(args=[])))


def test_an_image_entrypoint_is_refused(started: Any) -> None:
    entrypoint = container()
    del entrypoint["command"]
    with pytest.raises(HarnessError, match="entrypoint of image server:1"):
        started(plan(entrypoint))


def test_a_missing_program_is_refused_by_name(started: Any) -> None:
    with pytest.raises(HarnessError, match="'mooncake_master'"):
        started(plan(container(command=["mooncake_master", "8080"])))


def test_a_missing_program_that_a_shell_starts_is_refused_with_its_package(
    started: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.which", lambda program, **_: None if program == "haproxy" else f"/bin/{program}")
    with pytest.raises(HarnessError, match="apt-get install haproxy"):
        started(plan(container(command=["sh", "-ec", 'exec haproxy "$1"', "haproxy"])))


def test_a_missing_library_is_refused_with_its_package(started: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda program, **_: f"/bin/{program}")
    monkeypatch.setattr("ctypes.util.find_library", lambda _: None)
    with pytest.raises(HarnessError, match=r"needs the library libibverbs(.|\n)*apt-get install libibverbs1"):
        started(plan(container(command=["mooncake_master", "--rpc_port=50051"])))


def test_a_pod_of_a_stateful_set_has_a_name_and_ports_of_its_own() -> None:
    pods = [replace(plan(container()), name=f"web-{ordinal}", subdomain="web") for ordinal in range(2)]
    ports = assign_ports(pods)
    service = {"metadata": {"name": "web"}, "spec": {"selector": {"app": "web"}, "ports": [{"port": 8080}]}}
    addresses = service_addresses([service], pods, ports, namespace="models")
    local = [ports[pod.name][8080] for pod in pods]
    assert len(set(local)) == 2
    assert addresses.rewrite("web-0.web.models.svc:8080 web-1.web:8080 web:8080") == (
        f"127.0.0.1:{local[0]} 127.0.0.1:{local[1]} 127.0.0.1:{local[0]}"
    )


def test_no_socket_that_names_no_port_can_take_a_pods() -> None:
    ports = assign_ports([replace(plan(container()), name=f"web-{ordinal}") for ordinal in range(50)])
    first, last = map(int, Path("/proc/sys/net/ipv4/ip_local_port_range").read_text(encoding="ascii").split())
    local = [port for of_pod in ports.values() for port in of_pod.values()]
    assert len(set(local)) == 50
    assert [port for port in local if first <= port <= last] == []


def test_a_port_in_use_is_given_to_no_pod(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        used, free = taken.getsockname()[1], reserved.getsockname()[1]
        reserved.close()
        monkeypatch.setattr("random.sample", lambda *_: [used, free])
        pod_plan = plan(container())
        assert list(assign_ports([pod_plan])[pod_plan.name].values()) == [free]
        monkeypatch.setattr("random.sample", lambda *_: [used])
        with pytest.raises(HarnessError, match="1 ports above 20000 are needed"):
            assign_ports([pod_plan])


def test_a_volume_without_a_local_counterpart_is_refused(started: Any) -> None:
    pod_plan = plan(container())
    pod_plan.spec["volumes"][0] = {"name": "greeting", "hostPath": {"path": "/"}}
    with pytest.raises(HarnessError, match="hostPath volume"):
        started(pod_plan)


def test_killing_a_process_ends_its_descendants_too(tmp_path: Path) -> None:
    spawns = "import subprocess, time; subprocess.Popen(['sleep', '600']); print('ready', flush=True); time.sleep(600)"
    process = ContainerProcess(
        "parent",
        [sys.executable, "-c", spawns],
        environment=dict(os.environ),
        directory=tmp_path,
        log=Log(tmp_path / "log"),
    )
    while not process.log.lines():
        assert process.exit_code is None
    children = psutil.Process(process._process.pid).children()  # noqa: SLF001 - the folder and the process are what is tested
    assert len(children) == 1
    process.kill()
    assert not children[0].is_running() or children[0].status() == psutil.STATUS_ZOMBIE


def test_processes_of_a_killed_harness_are_ended_by_the_next_one() -> None:
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    orphan = subprocess.Popen(SLEEP, env={**os.environ, "LMCACHE_KSERVE_OWNER": f"{dead.pid}-1.00"})
    own = subprocess.Popen(SLEEP, env={**os.environ, "LMCACHE_KSERVE_OWNER": owner()})
    try:
        assert end_leftovers() >= 1
        orphan.wait(5)
        assert own.poll() is None
    finally:
        own.kill()
        own.wait()


def test_a_leftover_that_hides_its_environment_is_known_by_its_folder(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    folder = runs_folder() / f"{dead.pid}-1.00" / "release"
    folder.mkdir(parents=True)
    hidden = subprocess.Popen(SLEEP, cwd=folder)
    stranger = subprocess.Popen(SLEEP, cwd=tmp_path)
    try:
        end_leftovers()
        hidden.wait(5)
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


def test_temporary_files_of_a_run_are_known_by_its_harness(started: Any) -> None:
    pod = started(plan(container()))
    invocation = pod.invocation(pod.main)
    assert invocation.environment["TMPDIR"] == str(temporary_folder())
    temporary_folder().mkdir()
    try:
        assert (owner(), temporary_folder()) in list(temporary_folders())
    finally:
        temporary_folder().rmdir()


def test_hooks_are_no_part_of_a_running_release() -> None:
    hook = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "test", "annotations": {"helm.sh/hook": "test"}},
        "spec": {"containers": []},
    }
    service = {
        "apiVersion": "serving.kserve.io/v1beta1",
        "kind": "InferenceService",
        "metadata": {"name": "llm"},
        "spec": {"predictor": {"minReplicas": 1, "model": {"runtime": "rt"}}},
    }
    runtime = {
        "apiVersion": "serving.kserve.io/v1alpha1",
        "kind": "ServingRuntime",
        "metadata": {"name": "rt"},
        "spec": {"containers": [{"name": "kserve-container"}]},
    }
    assert [pod.name for pod in plan_pods(Manifests(objects=(hook, service, runtime), text=""))] == ["llm-predictor-0"]
    pod_without_hook = hook | {"metadata": {"name": "test"}}
    with pytest.raises(HarnessError, match="Pod/test cannot run as local processes"):
        plan_pods(Manifests(objects=(pod_without_hook, service, runtime), text=""))


STAYING = {
    "name": "beside",
    "args": ["8081"],
    "ports": [{"name": "beside", "containerPort": 8081}],
    "startupProbe": {"httpGet": {"port": "beside", "path": "/"}, "periodSeconds": 1, "failureThreshold": 20},
    "restartPolicy": "Always",
}


def test_a_sidecar_runs_before_and_beside_the_containers_and_has_a_port_of_its_own(started: Any) -> None:
    reads = "import sys, urllib.request as u; print(u.urlopen('http://' + sys.argv[1]).read().decode(), flush=True)"
    asks = {
        "name": "asks",
        "image": "server:1",
        "command": ["python3", "-c", reads],
        "args": ["localhost:8081"],
    }
    pod = started(plan(container(), init=[container(**STAYING), asks]))
    assert read(pod).startswith("hello")
    beside = pod.local_port(8081)
    assert beside not in {8081, pod.local_port(8080)}
    assert httpx2.get(f"http://127.0.0.1:{beside}", trust_env=False).text.startswith("hello")
    assert pod.container_log("asks").lines()[-1].text.startswith("hello")


def test_a_sidecar_that_ended_is_started_again_at_the_same_port_while_the_others_go_on(started: Any) -> None:
    sidecar = container(**STAYING)
    pod = started(plan(container(), init=[sidecar]))
    address = f"http://127.0.0.1:{pod.local_port(8081)}"
    pod.kill_container(sidecar)
    with pytest.raises(httpx2.HTTPError):
        httpx2.get(address, trust_env=False)
    assert read(pod).startswith("hello")
    pod.start_container(sidecar)
    assert httpx2.get(address, trust_env=False).text.startswith("hello")


def test_the_sidecars_end_with_the_pod(started: Any) -> None:
    pod = started(plan(container(), init=[container(**STAYING)]))
    address = f"http://127.0.0.1:{pod.local_port(8081)}"
    pod.kill()
    with pytest.raises(httpx2.HTTPError):
        httpx2.get(address, trust_env=False)
