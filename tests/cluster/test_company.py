"""A release where a company has rules: a quota on limits, an API key, name servers at port 5353, injected containers.

Everything stands in one release, because each start of an engine takes a minute. The password changes last.
"""

import json
from pathlib import Path
from typing import Any

import pytest
from kube import ALL_AT_ONCE, CPU_VALUES, CommandError, Installed, Kubectl
from rendering import default_values

from lmcache_kserve.waiting import wait_for

pytestmark = [pytest.mark.cluster, pytest.mark.long]

COMPANY = Path(__file__).with_name("company.yaml")
SERVER_KEY = "a-key/of+the=company"
PASSWORDS = ("the-first-password", "the-second-password")
MOST = {"cpu": "64", "memory": "64Gi"}
NAMES_PORT, CLOSED_PORT, CONTROL_PLANE_PORT = 5353, 5399, 15012

_RESTRICTED = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
_FORWARD = """.:{port} {{
    forward . /etc/resolv.conf
}}
"""
_REACH = """
import socket
try:
    socket.create_connection(("{host}", {port}), timeout=5).close()
    print("reached")
except OSError as error:
    print("refused:", error)
"""
_ASK = """
import json, os, urllib.error, urllib.request
body = {"model": "tiny", "prompt": "Who may ask?", "max_tokens": 4}
for key in ("", "another-key", os.environ["VLLM_API_KEY"]):
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {key}"}
    request = urllib.request.Request("http://127.0.0.1:8080/v1/completions", json.dumps(body).encode(), headers)
    try:
        print(urllib.request.urlopen(request, timeout=60).status)
    except urllib.error.HTTPError as error:
        print(error.code)
"""


@pytest.fixture(scope="module")
def name_servers(namespace: Kubectl) -> str:
    """Name servers that listen at port 5353 behind their Service, as OpenShift's do; the Service's address."""
    found = namespace.text("get", "deployment/coredns", "--namespace=kube-system", "--output=json")
    image = json.loads(found)["spec"]["template"]["spec"]["containers"][0]["image"]
    corefile = "".join(_FORWARD.format(port=port) for port in (NAMES_PORT, CLOSED_PORT))
    settings = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "names"}, "data": {"Corefile": corefile}}
    container = {
        "name": "names",
        "image": image,
        "args": ["-conf", "/etc/coredns/Corefile"],
        "volumeMounts": [{"name": "settings", "mountPath": "/etc/coredns"}],
    }
    volumes = [{"name": "settings", "configMap": {"name": "names"}}]
    ports = [{"name": kind.lower(), "port": 53, "targetPort": NAMES_PORT, "protocol": kind} for kind in ("UDP", "TCP")]
    namespace.apply(settings, *_served("names", container, ports, volumes))
    namespace.run("rollout", "status", "deployment/names", "--timeout=2m")
    return namespace.text("get", "service/names", "--output=jsonpath={.spec.clusterIP}")


@pytest.fixture(scope="module")
def control_plane(namespace: Kubectl) -> str:
    """What the injected containers must reach; its host."""
    command = ["redis-server", "--port", str(CONTROL_PLANE_PORT), "--protected-mode", "no", "--save", ""]
    container = {"name": "server", "image": _redis(), "command": command}
    namespace.apply(*_served("control-plane", container, [{"port": CONTROL_PLANE_PORT}]))
    namespace.run("rollout", "status", "deployment/control-plane", "--timeout=2m")
    return "control-plane"


@pytest.fixture(scope="module")
def installed(namespace: Kubectl, helm4: Path, name_servers: str, control_plane: str) -> Installed:
    hard = {f"{when}.{what}": most for when in ("requests", "limits") for what, most in MOST.items()}
    quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "quota"}, "spec": {"hard": hard}}
    namespace.apply(quota, _secret("server-key", "key", SERVER_KEY), _secret("cache", "password", PASSWORDS[0]))
    domains = (f"{namespace.namespace}.svc.cluster.local", "svc.cluster.local", "cluster.local")
    names = (
        "predictor.dnsPolicy=None",
        f"predictor.dnsConfig.nameservers={{{name_servers}}}",
        f"predictor.dnsConfig.searches={{{','.join(domains)}}}",
    )
    agent = (f"image={_redis()}", f"env[0].value={control_plane}")
    settings = (*ALL_AT_ONCE, *names, *(f"predictor.sidecars[0].{one}" for one in agent))
    release = Installed(helm4, namespace, "demo", settings, (CPU_VALUES, COMPANY))
    release.install()
    release.wait_until_ready()
    return release


def test_the_quota_counts_every_container(installed: Installed) -> None:
    kubectl = installed.kubectl
    quota = json.loads(kubectl.text("get", "resourcequota/quota", "--output=json"))
    assert quota["status"]["used"]["limits.cpu"] != "0"
    with pytest.raises(CommandError, match=r"must specify limits\.cpu"):
        kubectl.run_pod("stranger", "")


def test_names_are_found_at_the_port_of_the_name_servers(installed: Installed) -> None:
    kubectl = installed.kubectl
    (pod,) = kubectl.items("pods", labels={"app": "names"})

    def tried(port: int) -> str:
        return _in_a_predictor(installed, _REACH.format(host=pod["status"]["podIP"], port=port))

    assert tried(NAMES_PORT) == "reached\n"
    assert tried(CLOSED_PORT).startswith("refused"), "no policy holds the predictor back"
    found = _in_a_predictor(installed, f"import socket; print(socket.gethostbyname('{installed.service}-redis'))")
    service = kubectl.text("get", f"service/{installed.service}-redis", "--output=jsonpath={.spec.clusterIP}")
    assert found.strip() == service


def test_the_server_answers_only_who_has_the_key(installed: Installed) -> None:
    assert _in_a_predictor(installed, _ASK).split() == ["401", "401", "200"]


def test_helm_test_has_the_key_and_finds_a_hit_across_the_replicas(installed: Installed) -> None:
    done = installed.test()
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_container_injected_into_the_backends_pod_reaches_its_control_plane(installed: Installed) -> None:
    kubectl, backend = installed.kubectl, f"deployment/{installed.service}-redis"
    (predictor, _) = kubectl.items("pods", labels=installed.predictor)
    (agent,) = (one for one in predictor["spec"]["containers"] if one["name"] == "agent")
    patch = {"spec": {"template": {"spec": {"containers": [_only_agent(agent)]}}}}
    kubectl.run("patch", backend, f"--patch={json.dumps(patch)}")
    kubectl.run("rollout", "status", backend, "--timeout=3m")
    (names,) = kubectl.items("pods", labels={"app": "names"})
    closed = ("redis-cli", "-h", names["status"]["podIP"], "-p", str(CLOSED_PORT), "PING")
    asked = kubectl.run("exec", backend, "--container=agent", "--", "timeout", "5", *closed, check=False)
    assert asked.returncode != 0, "no policy holds the backend back"
    assert "onnect" in asked.stdout + asked.stderr or asked.returncode in {124, 143}


def test_a_replica_that_has_the_new_password_alone_answers(installed: Installed) -> None:
    kubectl = installed.kubectl
    kubectl.apply(_secret("cache", "password", PASSWORDS[1]))
    before = kubectl.uids(labels=installed.predictor)
    pod = kubectl.items("pods", labels=installed.predictor)[0]["metadata"]["name"]
    kubectl.run("delete", "pod", pod)
    installed.wait_until_ready()
    assert len(before & kubectl.uids(labels=installed.predictor)) == 1
    assert _in_a_predictor(installed, _ASK).split()[-1] == "200"
    assert installed.test().returncode != 0, "replicas with two passwords share one backend"


def test_the_recipe_of_the_documentation_brings_the_new_password_to_all(installed: Installed) -> None:
    kubectl = installed.kubectl
    parts = {"predictor": installed.predictor, "backend": installed.backend}
    before = {name: kubectl.uids(labels=labels) for name, labels in parts.items()}
    installed.upgrade("remoteBackend.pod.podAnnotations.restarted=now", "predictor.podAnnotations.restarted=now")
    for name, labels in parts.items():
        wait_for(
            lambda name=name, labels=labels: not before[name] & kubectl.uids(labels=labels),  # type: ignore[misc]  # bound now
            timeout=420,
            describe=f"the pods of the {name} to be replaced",
        )
    installed.wait_until_ready()
    done = installed.test()
    assert done.returncode == 0, done.stdout + done.stderr
    asked = [
        kubectl.text("exec", f"deployment/{installed.service}-redis", "--container=redis", "--", *words).strip()
        for words in _with_each_password("redis-cli", "-p", "6379", "PING")
    ]
    assert "PONG" not in asked[0]
    assert "PONG" in asked[1]


def _with_each_password(*words: str) -> list[list[str]]:
    return [["env", f"REDISCLI_AUTH={password}", *words] for password in PASSWORDS]


def _redis() -> str:
    image = default_values()["remoteBackend"]["redis"]["image"]
    return f"{image['repository']}:{image['tag']}"


def _secret(name: str, key: str, value: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": {key: value}}


def _only_agent(container: dict[str, Any]) -> dict[str, Any]:
    """The container without what the API server added for the predictor's pod."""
    return {key: value for key, value in container.items() if key != "volumeMounts"}


def _served(
    name: str, container: dict[str, Any], ports: list[dict[str, Any]], volumes: list[dict[str, Any]] | None = None
) -> list[dict[str, Any]]:
    """A Deployment of one pod under the restricted Pod Security Standard and within the quota, and its Service."""
    limits = {"limits": {"cpu": "100m", "memory": "64Mi"}}
    pod = {
        "automountServiceAccountToken": False,
        "securityContext": {"runAsNonRoot": True, "runAsUser": 65532, "seccompProfile": {"type": "RuntimeDefault"}},
        "volumes": volumes or [],
        "containers": [{**container, "resources": limits, "securityContext": _RESTRICTED}],
    }
    labels = {"app": name}
    template = {"metadata": {"labels": labels}, "spec": pod}
    deployment = {"selector": {"matchLabels": labels}, "template": template}
    service = {"selector": labels, "ports": ports}
    return [
        {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}, "spec": deployment},
        {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": service},
    ]


def _in_a_predictor(installed: Installed, script: str) -> str:
    pod = installed.kubectl.items("pods", labels=installed.predictor)[0]["metadata"]["name"]
    return installed.kubectl.text("exec", pod, "--container=kserve-container", "--", "python3", "-c", script)
