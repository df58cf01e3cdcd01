"""Pods as groups of processes: started, ended, restarted, with their sidecars."""

import os
import signal
import time
from pathlib import Path
from typing import Any

import httpx2
import pytest
from small_pod import SERVER, answers, container, plan, read

from lmcache_kserve.errors import HarnessError
from lmcache_kserve.local.probes import Readiness
from lmcache_kserve.waiting import WaitTimeoutError, wait_for


def test_a_pod_serves_with_its_mounted_configuration_at_a_port_of_its_own(started: Any) -> None:
    pod = started(plan(container()))
    assert read(pod) == f"hello from 127.0.0.1:{pod.local_port(8080)}"
    assert "serving" in [line.text for line in pod.log.lines()]


def test_another_program_runs_in_the_place_of_a_container(started: Any) -> None:
    pod = started(plan(container()))
    pod.kill()
    asks = "import os; print('found', open(os.environ['GREETING_FILE']).read(), os.environ['MORE'])"
    printed = pod.run_in_place_of(pod.main, ["python3", "-c", asks], environment={"MORE": "more"}, timeout=60)
    assert printed == [f"found hello from 127.0.0.1:{pod.local_port(8080)} more"]


def test_another_program_is_started_by_the_launcher_that_the_container_has(started: Any) -> None:
    launched = ["sh", "-c", SERVER, "/etc/launcher.py", "--", "python3", "-m", "server"]
    pod = started(plan(container()))
    invocation = pod.in_place_of(container(command=launched, args=["8080"]), ["python3", "measure.py"])
    assert list(invocation.arguments) == [*launched[:5], "python3", "measure.py"]


def test_a_program_that_fails_in_the_place_of_a_container_says_so(started: Any) -> None:
    pod = started(plan(container()))
    with pytest.raises(HarnessError, match=r"(?s)ended with code 3.*no room"):
        pod.run_in_place_of(pod.main, ["python3", "-c", "print('no room'); exit(3)"], environment={}, timeout=60)


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


def test_an_engine_keeps_what_it_compiles_for_the_next_run(started: Any) -> None:
    caches = [
        {"name": "TORCHINDUCTOR_CACHE_DIR", "value": "/data/torchinductor"},
        {"name": "XDG_CACHE_HOME", "value": "/data/cache"},
    ]
    mount = {"name": "data", "mountPath": "/data"}
    engine = container(env=[*container()["env"], *caches])
    pod = started(plan({**engine, "volumeMounts": [*engine["volumeMounts"], mount]}))
    compiled = pod._release.compiled  # noqa: SLF001 - the folder is what is tested

    for _ in range(2):
        environment = pod.invocation(pod.main).environment
        (Path(environment["TORCHINDUCTOR_CACHE_DIR"]) / "kernel").touch()
        (Path(environment["XDG_CACHE_HOME"]) / "vllm" / "modelinfos" / "model").touch()
        pod.kill()
        assert {file.relative_to(compiled) for file in compiled.rglob("*") if file.is_file()} == {
            Path("torchinductor/kernel"),
            Path("modelinfos/model"),
        }
        pod.start()


def test_a_folder_outside_the_pod_is_left_alone(started: Any, tmp_path: Path) -> None:
    own = {"name": "TORCHINDUCTOR_CACHE_DIR", "value": str(tmp_path / "own")}
    pod = started(plan(container(env=[*container()["env"], own])))
    assert not (tmp_path / "own").exists()
    assert not pod._release.compiled.exists()  # noqa: SLF001 - the folder is what is tested


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
    said = f"web-0/main ended with code {-signal.SIGTERM} and was started again"
    wait_for(
        lambda: said in [line.text for line in pod.log.lines()], timeout=10, delay=0.1, describe="the log to say so"
    )


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
