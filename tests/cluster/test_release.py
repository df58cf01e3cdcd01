"""One release with Redis from its installation to its end, under Helm 4: what is promised about it, in this order."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from kube import ALL_AT_ONCE, Installed, Kubectl
from rendering import REPOSITORY
from running import HEED_SIGINT

from lmcache_kserve.cluster.target import ClusterTarget
from lmcache_kserve.evidence import Outage, Unreadable
from lmcache_kserve.experiment.bench import Bench
from lmcache_kserve.experiment.faults import Fault, disturb
from lmcache_kserve.experiment.journal import Journal
from lmcache_kserve.experiment.measurement import Measurement
from lmcache_kserve.waiting import wait_for

pytestmark = pytest.mark.cluster

PASSWORD = "correct-horse/battery@staple"  # noqa: S105 (has what a URL must encode)
SETTINGS = (
    "remoteBackend.redis.auth.existingSecret=cache",
    "remoteBackend.redis.auth.existingSecretKey=password",
    "networkPolicy.enabled=true",
    *ALL_AT_ONCE,
)
ARGO_CD = "argocd-controller"
HASH_SEED_OF_THE_POD = "export PYTHONHASHSEED=$(hostname | cksum | cut -d' ' -f1); exec \"$@\""
_REACH = """
import socket
try:
    socket.create_connection(("{host}", 6379), timeout=5).close()
    print("reached")
except OSError as error:
    print("refused:", error)
"""


@pytest.fixture(scope="module")
def installed(namespace: Kubectl, helm4: Path) -> Installed:
    release = Installed(helm4, namespace, "demo", settings=SETTINGS)
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "cache"}, "stringData": {"password": PASSWORD}}
    namespace.apply(secret)
    release.install()
    release.wait_until_ready()
    return release


@pytest.mark.smoke
def test_a_chat_is_answered_through_the_service(installed: Installed) -> None:
    answer = installed.complete("Which replica computed this?", chat=True)
    assert answer["choices"][0]["message"]["content"]
    assert answer["usage"]["completion_tokens"] > 0


@pytest.mark.smoke
def test_helm_test_finds_a_hit_across_the_replicas(installed: Installed) -> None:
    done = installed.test()
    assert done.returncode == 0, done.stdout + done.stderr
    assert "TTFT" in done.stdout


@pytest.mark.functional
def test_nothing_differs_after_installing(installed: Installed) -> None:
    assert _difference(installed.kubectl, installed.template()) == ""


@pytest.mark.upgrade
def test_an_upgrade_that_changes_nothing_restarts_nothing(installed: Installed) -> None:
    kubectl = installed.kubectl
    before = {name: kubectl.uids(labels=labels) for name, labels in _parts(installed).items()}
    installed.upgrade()
    installed.wait_until_ready()
    assert {name: kubectl.uids(labels=labels) for name, labels in _parts(installed).items()} == before


@pytest.mark.functional
def test_only_the_predictor_reaches_the_backend(installed: Installed) -> None:
    kubectl = installed.kubectl
    host = f"{installed.service}-redis.{kubectl.namespace}.svc"
    pod = kubectl.items("pods", labels=installed.predictor)[0]["metadata"]["name"]
    script = _REACH.format(host=host)
    assert kubectl.text("exec", pod, "--container=kserve-container", "--", "python3", "-c", script) == "reached\n"
    assert "refused" in kubectl.run_pod("stranger", script)


@pytest.mark.functional
def test_the_backend_refuses_who_has_no_password(installed: Installed) -> None:
    kubectl = installed.kubectl
    pod = kubectl.items("pods", labels=installed.backend)[0]["metadata"]["name"]
    asked = kubectl.run("exec", pod, "--", "env", "--unset=REDISCLI_AUTH", "redis-cli", "-p", "6379", "DBSIZE")
    assert "NOAUTH" in asked.stdout + asked.stderr


@pytest.mark.functional
def test_verify_passes_with_the_documented_role(
    installed: Installed, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    kubeconfig = _account_with_the_role(installed, tmp_path)
    out = tmp_path / "report"
    # Eight whole chunks and a little: what is left behind the last whole chunk is computed by either replica.
    done = installed.verify("--kubeconfig", str(kubeconfig), "--prompt-tokens", "2130", "--out", str(out))
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads((out / "report.json").read_text())
    record_property("ttft_median_ratio", report["ttft"]["median_ratio"])
    assert len(report["checks"]) == 9
    assert report["ttft"]["median_ratio"] >= 5
    kinds = {moment["kind"] for moment in report["timeline"]}
    assert {"fault", "recovery"} <= kinds


@pytest.mark.functional
def test_no_secret_is_in_a_log_a_configmap_a_pod_or_the_notes(installed: Installed) -> None:
    kubectl = installed.kubectl
    written = {
        "logs": installed.logs(),
        "configmaps": kubectl.text("get", "configmaps", "--output=yaml"),
        "pods": kubectl.text("get", "pods", "--output=yaml"),
        "events": kubectl.text("get", "events", "--output=yaml"),
        "notes": installed.upgrade(),
    }
    assert "redis://" in written["logs"], "the log that could show the password is not there"
    assert [name for name, text in written.items() if PASSWORD in text or "correct-horse" in text] == []


@pytest.mark.fault
def test_requests_are_answered_and_hits_return_when_the_backends_pod_is_killed(installed: Installed) -> None:
    kubectl = installed.kubectl

    def kill() -> None:
        for pod in kubectl.items("pods", labels=installed.backend):
            kubectl.run("delete", "pod", pod["metadata"]["name"], "--grace-period=0", "--force")

    def wait() -> None:
        kubectl.run("rollout", "status", f"deployment/{installed.service}-redis", "--timeout=2m")

    _assert_survived(_disturbed(installed, "the backend's pod killed", begin=kill, end=wait))


@pytest.mark.fault
def test_requests_are_answered_and_hits_return_when_the_network_to_the_backend_is_cut(installed: Installed) -> None:
    kubectl = installed.kubectl
    policy = f"networkpolicy/{installed.service}-redis"
    allowed = json.loads(kubectl.text("get", policy, "--output=json"))["spec"]["ingress"]

    def let_in(ingress: list[Any]) -> None:
        patch = [{"op": "replace", "path": "/spec/ingress", "value": ingress}]
        kubectl.run("patch", policy, "--type=json", f"--patch={json.dumps(patch)}")

    def cut() -> None:
        let_in([])
        # A policy holds for new connections; those to a pod that is gone are new.
        kubectl.run("delete", "pods", f"--selector={_selector(installed.backend)}", "--grace-period=0", "--force")
        kubectl.run("rollout", "status", f"deployment/{installed.service}-redis", "--timeout=2m")

    _assert_survived(_disturbed(installed, "the network cut", begin=cut, end=lambda: let_in(allowed)))


@pytest.mark.fault
def test_ctrl_c_during_an_outage_leaves_the_backend_running(installed: Installed) -> None:
    kubectl, backend = installed.kubectl, f"deployment/{installed.service}-redis"

    def replicas() -> int:
        return int(json.loads(kubectl.text("get", backend, "--output=json"))["spec"]["replicas"])

    verify = ("verify", installed.name, "--namespace", kubectl.namespace, "--pairs", "3")
    process = subprocess.Popen(
        [sys.executable, "-c", HEED_SIGINT, sys.executable, "-m", "lmcache_kserve", *verify],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        wait_for(lambda: replicas() == 0, timeout=300, delay=0.2, describe="verify to stop the backend")
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=120)
    finally:
        process.kill()
    assert process.returncode == 130, output
    assert "Traceback" not in output
    assert replicas() == 1


@pytest.mark.fault
def test_helm_test_fails_soon_when_the_backend_is_unreachable(installed: Installed) -> None:
    backend = f"deployment/{installed.service}-redis"
    installed.kubectl.run("scale", backend, "--replicas=0")
    try:
        done, seconds = _timed_test(installed)
    finally:
        installed.kubectl.run("scale", backend, "--replicas=1")
        installed.kubectl.run("rollout", "status", backend, "--timeout=2m")
    assert done.returncode != 0
    assert "FAILED" in done.stdout
    assert "cannot reach the remote backend redis" in done.stdout
    assert seconds < 180


@pytest.mark.upgrade
def test_a_change_of_the_configuration_restarts_the_predictor_and_only_it(installed: Installed) -> None:
    kubectl = installed.kubectl
    before = {name: kubectl.uids(labels=labels) for name, labels in _parts(installed).items()}
    installed.upgrade("lmcache.chunkSize=128")
    wait_for(
        lambda: not before["predictor"] & kubectl.uids(labels=installed.predictor),
        timeout=420,
        describe="the predictor's pods to be replaced",
    )
    installed.wait_until_ready()
    assert kubectl.uids(labels=installed.backend) == before["backend"]


@pytest.mark.fault
def test_helm_test_fails_soon_when_the_pods_hash_differently(installed: Installed, tmp_path: Path) -> None:
    values = tmp_path / "seeds.yaml"
    server = ["sh", "-ec", HASH_SEED_OF_THE_POD, "--", "python3", "-m", "vllm.entrypoints.openai.api_server"]
    values.write_text(yaml.safe_dump({"runtime": {"command": server}}), encoding="utf-8")
    sabotaged = Installed(installed.helm, installed.kubectl, installed.name, SETTINGS, (*installed.files, values))
    before = installed.kubectl.uids(labels=installed.predictor)
    sabotaged.upgrade()
    wait_for(
        lambda: not before & installed.kubectl.uids(labels=installed.predictor),
        timeout=420,
        describe="the predictor's pods to be replaced",
    )
    sabotaged.wait_until_ready()
    done, seconds = _timed_test(sabotaged)
    assert done.returncode != 0
    assert "FAILED" in done.stdout
    assert "another PYTHONHASHSEED" in done.stdout
    assert seconds < 180


@pytest.mark.functional
def test_a_second_sync_as_argo_cds_changes_nothing(installed: Installed) -> None:
    kubectl, rendered = installed.kubectl, installed.template()
    sync = ("apply", "--server-side", "--force-conflicts", f"--field-manager={ARGO_CD}", "--filename=-")
    kubectl.run(*sync, stdin=rendered)
    wait_for(lambda: _difference(kubectl, rendered) == "", timeout=30, describe="the first sync to be taken up")
    before = _generations(kubectl)
    kubectl.run(*sync, stdin=rendered)
    assert _difference(kubectl, rendered) == ""
    assert _generations(kubectl) == before


@pytest.mark.functional
def test_uninstalling_leaves_nothing_behind(installed: Installed) -> None:
    installed.uninstall()
    kinds = (
        "inferenceservices,servingruntimes,deployments,statefulsets,replicasets,pods,services,networkpolicies,"
        "configmaps,secrets,persistentvolumeclaims,horizontalpodautoscalers,poddisruptionbudgets,serviceaccounts,jobs"
    )
    left = installed.kubectl.text("get", kinds, "--output=name").split()
    theirs = {"configmap/kube-root-ca.crt", "serviceaccount/default", "secret/cache"}
    # Helm leaves the pod of its last test, as docs/verify.md says.
    theirs.add(f"pod/{installed.service}-test")
    ours = [name for name in left if name not in theirs and "lmcache-kserve-verify" not in name]
    assert ours == []


def _disturbed(
    installed: Installed, name: str, *, begin: Callable[[], None], end: Callable[[], None]
) -> Outage | Unreadable:
    """What the replicas' clients saw while something kept the replicas from the backend."""
    with ClusterTarget(installed.api, installed.name) as target:
        bench = Bench(target, None, measurement=Measurement(traffic_interval_s=1.0), journal=Journal())
        with bench.opened():
            bench.calibrate()
            return disturb(bench, Fault(name=name, client_reconnects=True, begin=begin, end=end), stage=name)


def _assert_survived(outage: Outage | Unreadable) -> None:
    assert isinstance(outage, Outage)
    assert [answer for answer in outage.answers if answer.error or not answer.correct] == []
    assert {answer.phase for answer in outage.answers} == {"before", "during", "after"}
    assert outage.hits_returned_s is not None


def _selector(labels: Mapping[str, str]) -> str:
    return ",".join(f"{key}={value}" for key, value in labels.items())


def _parts(installed: Installed) -> dict[str, dict[str, str]]:
    return {"predictor": installed.predictor, "backend": installed.backend}


def _difference(kubectl: Kubectl, rendered: str) -> str:
    """What applying `rendered` as Argo CD does would change, in the words of `kubectl diff`."""
    words = ("diff", "--server-side", "--force-conflicts", f"--field-manager={ARGO_CD}", "--filename=-")
    done = kubectl.run(*words, stdin=rendered, check=False)
    assert done.returncode in {0, 1}, done.stderr
    return done.stdout


def _generations(kubectl: Kubectl) -> dict[str, int]:
    """How often the specification of each object has changed."""
    kinds = "inferenceservices,servingruntimes,deployments,networkpolicies"
    return {f"{one['kind']}/{one['metadata']['name']}": one["metadata"]["generation"] for one in kubectl.items(kinds)}


def _account_with_the_role(installed: Installed, folder: Path) -> Path:
    """A kubeconfig for an account that has the Role of the documentation and nothing else."""
    kubectl = installed.kubectl
    role = (REPOSITORY / "docs" / "verify-role.yaml").read_text(encoding="utf-8")
    role = role.replace("namespace: llm", f"namespace: {kubectl.namespace}")
    role = role.replace("[demo-lmcache-kserve-redis]\n    verbs: [get]", "[cache]\n    verbs: [get]")
    kubectl.run("apply", "--filename=-", stdin=role)
    account = "lmcache-kserve-verify"
    kubectl.run("create", "serviceaccount", account)
    kubectl.run(
        "create", "rolebinding", account, f"--role={account}", f"--serviceaccount={kubectl.namespace}:{account}"
    )
    config = yaml.safe_load(kubectl.text("config", "view", "--raw", "--minify"))
    config["users"] = [{"name": account, "user": {"token": kubectl.text("create", "token", account).strip()}}]
    config["contexts"][0]["context"]["user"] = account
    kubeconfig = folder / "kubeconfig"
    kubeconfig.write_text(yaml.safe_dump(config), encoding="utf-8")
    return kubeconfig


def _timed_test(installed: Installed) -> tuple[subprocess.CompletedProcess[str], float]:
    begin = time.monotonic()
    done = installed.test()
    return done, time.monotonic() - begin
