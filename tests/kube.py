"""What tests on a cluster share: kubectl, a release of the chart under one Helm, and traffic through its Service."""

import itertools
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pykube
import yaml
from rendering import CHART, REPOSITORY

from lmcache_kserve.cluster.api import Api
from lmcache_kserve.cluster.release import Release
from lmcache_kserve.errors import HarnessError
from lmcache_kserve.waiting import Pending, wait_for

APP_VERSION = yaml.safe_load((CHART / "Chart.yaml").read_text(encoding="utf-8"))["appVersion"]
IMAGE = os.environ.get("LMCACHE_KSERVE_TEST_IMAGE", f"lmcache-kserve/vllm-cpu:{APP_VERSION}-tiny")
"""The CPU image with the test models inside, which the nodes have or can pull."""

MODEL, OTHER_MODEL = "/models/tiny", "/models/other"
"""Two models of the same shape with different weights."""

ALL_AT_ONCE = (
    "predictor.deploymentStrategy.type=RollingUpdate",
    "predictor.deploymentStrategy.rollingUpdate.maxSurge=0",
    "predictor.deploymentStrategy.rollingUpdate.maxUnavailable=2",
)
ONE_BY_ONE = (*ALL_AT_ONCE[:2], "predictor.deploymentStrategy.rollingUpdate.maxUnavailable=1")
"""How replicas give way to new ones: by default a new one starts beside all old ones, which is slow on two cores."""

CPU_VALUES = REPOSITORY / "values" / "cpu.yaml"
READY_TIMEOUT_S = 420.0
_COMMAND_TIMEOUT_S = 600.0
_TRAFFIC_PAUSE_S = 0.5
QUESTIONS = itertools.repeat("What does the cache hold?")


class CommandError(AssertionError):
    """A command ended with an error; its output is the message."""


def command(
    *argv: str | Path,
    stdin: str | None = None,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    timeout: float = _COMMAND_TIMEOUT_S,
    check: bool = True,
) -> subprocess.CompletedProcess[str]:
    """Run a command with its output captured.

    Raises:
        CommandError: it failed, and `check` asks for success.
    """
    done = subprocess.run(
        [str(word) for word in argv],
        input=stdin,
        capture_output=True,
        text=True,
        env={**os.environ, **(env or {})},
        cwd=cwd,
        timeout=timeout,
        check=False,
    )
    if check and done.returncode:
        words = " ".join(str(word) for word in argv)
        raise CommandError(f"{words}: exit code {done.returncode}\n{done.stdout}{done.stderr}")
    return done


@dataclass(frozen=True, slots=True)
class Kubectl:
    """kubectl in one namespace."""

    kubeconfig: Path
    namespace: str

    def run(self, *words: str, stdin: str | None = None, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a kubectl command."""
        return command(
            "kubectl", "--kubeconfig", self.kubeconfig, "--namespace", self.namespace, *words, stdin=stdin, check=check
        )

    @contextmanager
    def started(self, *words: str) -> Iterator[None]:
        """A kubectl command whose standard input stays open for a while; its end has to end the command."""
        argv = ["kubectl", "--kubeconfig", str(self.kubeconfig), "--namespace", self.namespace, *words]
        with subprocess.Popen(argv, stdin=subprocess.PIPE) as process:
            try:
                yield
            finally:
                assert process.stdin
                process.stdin.close()
                process.wait(_COMMAND_TIMEOUT_S)

    def text(self, *words: str, stdin: str | None = None) -> str:
        """The standard output of a kubectl command that succeeds."""
        return self.run(*words, stdin=stdin).stdout

    def items(self, kind: str, *, labels: Mapping[str, str] | None = None) -> list[dict[str, Any]]:
        """All objects of a kind."""
        selector = ",".join(f"{key}={value}" for key, value in (labels or {}).items())
        found: dict[str, Any] = json.loads(self.text("get", kind, "--output=json", f"--selector={selector}"))
        return list(found["items"])

    def apply(self, *manifests: Mapping[str, Any]) -> None:
        """Apply objects."""
        self.run("apply", "--filename=-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": manifests}))

    def uids(self, *, labels: Mapping[str, str]) -> set[str]:
        """What identifies the pods with these labels."""
        return {pod["metadata"]["uid"] for pod in self.items("pods", labels=labels)}

    def run_pod(self, name: str, script: str, *, claim: str | None = None) -> str:
        """Run a Python script in a pod with the predictor's image under the restricted Pod Security Standard.

        Args:
            name: the pod's name.
            script: the script's text.
            claim: a PersistentVolumeClaim to mount at /claim.

        Returns:
            What it printed.

        Raises:
            CommandError: it ended with an error.
        """
        volumes = [{"name": "claim", "persistentVolumeClaim": {"claimName": claim}}] if claim else []
        mounts = [{"name": "claim", "mountPath": "/claim"}] if claim else []
        security = {"runAsNonRoot": True, "fsGroup": 1000, "seccompProfile": {"type": "RuntimeDefault"}}
        self.apply(
            {
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": {"name": name},
                "spec": {
                    "restartPolicy": "Never",
                    "automountServiceAccountToken": False,
                    "securityContext": security,
                    "volumes": volumes,
                    "containers": [
                        {
                            "name": "script",
                            "image": IMAGE,
                            "command": ["python3", "-c", script],
                            "volumeMounts": mounts,
                            "securityContext": {
                                "allowPrivilegeEscalation": False,
                                "capabilities": {"drop": ["ALL"]},
                            },
                        }
                    ],
                },
            }
        )
        try:
            phase = wait_for(
                lambda: ended if (ended := self._phase(name)) in {"Succeeded", "Failed"} else Pending(ended),
                timeout=READY_TIMEOUT_S,
                describe=f"pod {name} to end",
            )
            printed = self.text("logs", name)
            if phase == "Failed":
                raise CommandError(f"pod {name} failed:\n{printed}")
            return printed
        finally:
            self.run("delete", "pod", name, "--wait=true")

    def _phase(self, pod: str) -> str:
        return self.text("get", "pod", pod, "--output=jsonpath={.status.phase}")


@dataclass(frozen=True, slots=True)
class Installed:
    """A release of the chart under one Helm binary."""

    helm: Path
    kubectl: Kubectl
    name: str
    settings: tuple[str, ...] = ()
    files: tuple[Path, ...] = (CPU_VALUES,)
    chart: Path = field(default=CHART)

    @property
    def service(self) -> str:
        """Name of its InferenceService, and the start of all its names."""
        return f"{self.name}-lmcache-kserve"

    @property
    def predictor(self) -> dict[str, str]:
        """Labels of its predictor's pods."""
        return {"serving.kserve.io/inferenceservice": self.service, "component": "predictor"}

    @property
    def backend(self) -> dict[str, str]:
        """Labels of its backend's objects."""
        return {"app.kubernetes.io/instance": self.name, "app.kubernetes.io/component": "remote-backend"}

    @property
    def api(self) -> Api:
        """The harness's door to its namespace."""
        return Api.connect(namespace=self.kubectl.namespace, kubeconfig=self.kubectl.kubeconfig)

    def _values(self, settings: Sequence[str]) -> list[str]:
        repository, _, tag = IMAGE.rpartition(":")
        image = (f"runtime.image.repository={repository}", f"runtime.image.tag={tag}", f"model.id={MODEL}")
        words = [f"--values={file}" for file in self.files]
        return [*words, *(f"--set={setting}" for setting in (*image, *self.settings, *settings))]

    def _helm(self, *words: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        where = ["--kubeconfig", str(self.kubectl.kubeconfig), "--namespace", self.kubectl.namespace]
        return command(self.helm, *words, *where, check=check)

    def install(self, *settings: str) -> str:
        """Install it; returns what Helm printed, NOTES included."""
        return self._helm("install", self.name, str(self.chart), *self._values(settings)).stdout

    def upgrade(self, *settings: str, chart: Path | None = None) -> str:
        """Upgrade it with the values of its installation and more settings."""
        return self._helm("upgrade", self.name, str(chart or self.chart), *self._values(settings)).stdout

    def upgrade_with_the_values_of_the_release(self, chart: Path) -> str:
        """Upgrade it as `--reuse-values` does: the whole values of the last revision in place of the chart's."""
        return self._helm("upgrade", self.name, str(chart), "--reuse-values").stdout

    def roll_back(self, revision: int) -> None:
        """Go back to an earlier revision."""
        self._helm("rollback", self.name, str(revision))

    def template(self, *settings: str) -> str:
        """What the chart renders, as Argo CD would: without the cluster."""
        return self._helm("template", self.name, str(self.chart), "--no-hooks", *self._values(settings)).stdout

    def test(self) -> subprocess.CompletedProcess[str]:
        """Run the chart's tests."""
        return self._helm("test", self.name, "--logs", "--timeout=5m", check=False)

    def verify(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run the harness's proof."""
        where = ("--namespace", self.kubectl.namespace)
        return command(sys.executable, "-m", "lmcache_kserve", "verify", self.name, *where, *words, check=False)

    def uninstall(self) -> None:
        """Uninstall it and wait until its pods are gone."""
        self._helm("uninstall", self.name, "--wait", "--timeout=3m")
        for labels in (self.predictor, self.backend):
            wait_for(
                lambda labels=labels: not self.kubectl.items("pods", labels=labels),  # type: ignore[misc]  # bound now
                timeout=READY_TIMEOUT_S,
                describe=f"the pods of {self.name} to go",
            )

    def wait_until_ready(self, *, replicas: int = 2) -> None:
        """Wait until KServe calls it ready, no pod of an earlier state is left, and the rollout is through."""

        def ready() -> bool | Pending:
            try:
                release = Release.find(self.api, self.name)
                pods = release.pods()
                release.ready_pods(at_least=replicas)
            except HarnessError as error:
                return Pending(str(error))
            old = len(pods) - replicas
            return old == 0 or Pending(f"{len(pods)} pods, {replicas} wanted")

        wait_for(ready, timeout=READY_TIMEOUT_S, delay=2.0, describe=f"release {self.name} to be ready")

    def complete(self, prompt: str, *, chat: bool = False) -> dict[str, Any]:
        """One answer through KServe's Service of the predictor, by way of the API server's proxy.

        The proxy keeps the header Authorization for itself, so a server that wants an API key is asked otherwise.

        Raises:
            CommandError: there was none.
        """
        body: dict[str, Any] = {"model": "tiny", "max_tokens": 8, "temperature": 0}
        body |= {"messages": [{"role": "user", "content": prompt}]} if chat else {"prompt": prompt}
        route = "chat/completions" if chat else "completions"
        answer = self._client().post(
            version="v1",
            namespace=self.kubectl.namespace,
            url=f"services/{self.service}-predictor:80/proxy/v1/{route}",
            json=body,
        )
        if not answer.ok:
            raise CommandError(f"HTTP {answer.status_code}: {answer.text}")
        decoded: dict[str, Any] = answer.json()
        return decoded

    def _client(self) -> pykube.HTTPClient:
        """A client of its own for each request: the upgrade's traffic comes from another thread."""
        return pykube.HTTPClient(pykube.KubeConfig.from_file(str(self.kubectl.kubeconfig)), timeout=_COMMAND_TIMEOUT_S)

    def logs(self) -> str:
        """The logs of all its pods, init containers included."""
        pods = [pod for labels in (self.predictor, self.backend) for pod in self.kubectl.items("pods", labels=labels)]
        return "".join(self.kubectl.text("logs", pod["metadata"]["name"], "--all-containers") for pod in pods)

    @contextmanager
    def traffic(self, prompts: Iterable[str] = QUESTIONS) -> Iterator[list[str]]:
        """Steady requests in the background; the list collects those that two tries in a row did not get answered.

        The second try is the client's: a pod that ends takes its connections with it.
        """
        failed: list[str] = []
        stop = threading.Event()

        def ask() -> None:
            for prompt in prompts:
                if stop.is_set():
                    return
                for last in (False, True):
                    try:
                        self.complete(prompt)
                        break
                    except (CommandError, OSError) as error:
                        if last:
                            failed.append(str(error))
                stop.wait(_TRAFFIC_PAUSE_S)

        thread = threading.Thread(target=ask, name="traffic")
        thread.start()
        try:
            yield failed
        finally:
            stop.set()
            thread.join()


def sentinel(release: Installed, number: int, *words: str) -> list[str]:
    """The lines that a Sentinel of redis-sentinel answers."""
    pod = f"{release.service}-sentinel-{number}"
    return release.kubectl.text("exec", pod, "--", "redis-cli", "-p", "26379", "sentinel", *words, "lmcache").split(
        "\n"
    )


def master(release: Installed) -> str:
    """Name of the pod that the Sentinels call the master."""
    return sentinel(release, 0, "get-master-addr-by-name")[0].partition(".")[0]
