"""scripts/kind-up, kind-down and kind-operators, with stand-ins for docker, kind, kubectl and Helm in a small world."""

import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from lmcache_kserve.chart import schemas

REPOSITORY = Path(__file__).resolve().parents[2]
GIT = shutil.which("git") or "git"
SCRIPTS = REPOSITORY / "scripts"
VERSIONS_FILE = SCRIPTS / "cluster-versions.env"
VERSIONS = dict(re.findall(r"^(\w+)=(.+)$", VERSIONS_FILE.read_text(encoding="utf-8"), re.MULTILINE))
CHART = yaml.safe_load((REPOSITORY / "charts/lmcache-kserve/Chart.yaml").read_text(encoding="utf-8"))

TOOLS = ("docker", "kind", "kubectl", "helm")
ELSEWHERE = "https://production.example.com"
_BASICS = ("bash", "cat", "dirname", "env", "grep", "mkdir", "rm", "sed", "sleep", "tr")
_STAND_IN = r"""#!/usr/bin/env bash
cd "$WORLD"
tool=${0##*/}
printf '%s\n' "$tool $*" >>calls
env | grep -E '^(HELM_|KUBECONFIG)' | sed "s/^/$tool /" >>environment
[[ ! -f broken || "$tool $*" != $(<broken) ]] || { echo "broken on purpose" >&2; exit 1; }
case "$tool $*" in
  "docker container inspect "*) cat "nodes/$5" ;;
  "kind version "*) echo "${FOUND_KIND:?}" ;;
  "kind get clusters "*)
    for node in nodes/*-control-plane; do
      node=${node##*/}
      echo "${node%-control-plane}"
      sleep 0.05 # a reader that leaves early is noticed
    done ;;
  "kind create cluster "*)
    [[ ! -f nodes/$4-control-plane ]] || exit 1
    echo "id of $4, made by kind-up" >"nodes/$4-control-plane"
    echo kubeconfig >"$KUBECONFIG"
    [[ ! -f interrupted ]] || kill -TERM "$PPID" ;;
  "kind delete cluster "*) rm "nodes/$4-control-plane" ;;
  "helm get metadata "*) cat "releases/$3" ;;
  "helm install "*) printf 'NAME: %s\nVERSION: %s\nAPP_VERSION: other\nSTATUS: deployed\n' "$2" "$5" >"releases/$2" ;;
  "helm uninstall "*) rm "releases/$2" ;;
esac
"""


@dataclass(frozen=True, slots=True)
class Machine:
    """A machine with the stand-ins on PATH, and nothing else that a script could reach."""

    folder: Path

    @property
    def world(self) -> Path:
        return self.folder / "world"

    @property
    def state(self) -> Path:
        return self.folder / "state" / "lmcache-kserve" / "clusters"

    def run(self, script: str, *words: str, env: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        """Run one of the scripts; its calls of the tools are noted anew."""
        for note in ("calls", "environment"):
            (self.world / note).write_text("", encoding="utf-8")
        variables = {
            "HOME": str(self.folder),
            "FOUND_KIND": VERSIONS["KIND_VERSION"].removeprefix("v"),
            "PATH": str(self.folder / "bin"),
            "WORLD": str(self.world),
            "XDG_STATE_HOME": str(self.folder / "state"),
            **(env or {}),
        }
        return subprocess.run(
            [str(SCRIPTS / script), *words], capture_output=True, text=True, check=False, timeout=60, env=variables
        )

    def calls(self, start: str = "") -> list[str]:
        """The tools' calls during the last run that begin with `start`."""
        noted = (self.world / "calls").read_text(encoding="utf-8").splitlines()
        return [call for call in noted if call.startswith(start)]

    def nodes(self) -> set[str]:
        return {path.name for path in (self.world / "nodes").iterdir()}

    def make_cluster_by_hand(self, name: str) -> None:
        (self.world / "nodes" / f"{name}-control-plane").write_text("id of another\n", encoding="utf-8")

    def set_release(self, name: str, *, version: str, status: str) -> None:
        text = f"VERSION: {version}\nSTATUS: {status}\n"
        (self.world / "releases" / name).write_text(text, encoding="utf-8")

    def break_call(self, call: str) -> None:
        (self.world / "broken").write_text(call, encoding="utf-8")

    def interrupt_creation(self) -> None:
        (self.world / "interrupted").touch()

    def remove_tools(self, tools: Sequence[str]) -> None:
        for tool in tools:
            (self.folder / "bin" / tool).unlink()


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    binaries = tmp_path / "bin"
    for folder in (binaries, tmp_path / "world" / "nodes", tmp_path / "world" / "releases"):
        folder.mkdir(parents=True)
    for tool in TOOLS:
        (binaries / tool).write_text(_STAND_IN, encoding="utf-8")
        (binaries / tool).chmod(0o755)
    for tool in _BASICS:
        found = shutil.which(tool)
        assert found, tool
        (binaries / tool).symlink_to(found)
    return Machine(tmp_path)


def test_a_cluster_is_made_of_the_pinned_versions(machine: Machine) -> None:
    done = machine.run("kind-up")
    assert done.returncode == 0, done.stderr
    assert machine.calls("kind create") == [
        f"kind create cluster --name lmcache-kserve --image {VERSIONS['NODE_IMAGE']} --wait 2m"
    ]
    installed = [(*call.split()[2:4], call.split()[5]) for call in machine.calls("helm install")]
    assert installed == [
        ("cert-manager", "oci://quay.io/jetstack/charts/cert-manager", VERSIONS["CERT_MANAGER_VERSION"]),
        ("kserve-crd", "oci://ghcr.io/kserve/charts/kserve-crd", VERSIONS["KSERVE_VERSION"]),
        ("kserve", "oci://ghcr.io/kserve/charts/kserve-resources", VERSIONS["KSERVE_VERSION"]),
    ]


def test_kserve_is_installed_without_knative_and_without_an_ingress(machine: Machine) -> None:
    machine.run("kind-up")
    (call,) = machine.calls("helm install kserve ")
    assert {
        "--set=kserve.controller.deploymentMode=Standard",
        "--set=kserve.controller.gateway.disableIngressCreation=true",
        "--set=kserve.controller.gateway.disableIstioVirtualHost=true",
    } <= set(call.split())


def test_the_shell_gets_one_line_that_names_the_kubeconfig(machine: Machine) -> None:
    done = machine.run("kind-up", "--name", "one", env={"XDG_STATE_HOME": str(machine.folder / "a state")})
    words = shlex.split(done.stdout)
    assert words == ["export", f"KUBECONFIG={machine.folder}/a state/lmcache-kserve/clusters/one/kubeconfig"]
    assert Path(words[1].partition("=")[2]).is_file()


def test_a_second_run_makes_nothing_and_still_names_the_kubeconfig(machine: Machine) -> None:
    first = machine.run("kind-up")
    second = machine.run("kind-up")
    assert second.returncode == 0, second.stderr
    assert second.stdout == first.stdout
    assert not machine.calls("kind create")
    assert not machine.calls("helm install")
    assert not machine.calls("helm uninstall")
    assert machine.calls("docker start") == ["docker start lmcache-kserve-control-plane"]


def test_an_interrupted_installation_is_done_again(machine: Machine) -> None:
    machine.run("kind-up")
    machine.set_release("kserve", version=VERSIONS["KSERVE_VERSION"], status="pending-install")
    assert machine.run("kind-up").returncode == 0
    assert [call.split()[1:3] for call in machine.calls("helm ") if "metadata" not in call] == [
        ["uninstall", "kserve"],
        ["install", "kserve"],
    ]


def test_a_cluster_with_another_kserve_is_left_as_it_is(machine: Machine) -> None:
    machine.run("kind-up", "--kserve", "0.19.0")
    done = machine.run("kind-up")
    assert done.returncode == 1
    assert f"has kserve-crd v0.19.0, not {VERSIONS['KSERVE_VERSION']}: run kind-down first" in done.stderr
    assert not machine.calls("helm install")
    assert not machine.calls("helm uninstall")


@pytest.mark.parametrize(("words", "gpus"), [((), "4"), (("--gpus", "0"), "0"), (("--gpus", "8"), "8")])
def test_the_node_counts_gpus(machine: Machine, words: tuple[str, ...], gpus: str) -> None:
    machine.run("kind-up", *words)
    (call,) = machine.calls("kubectl patch node/lmcache-kserve-control-plane --subresource=status")
    count = {"nvidia.com/gpu": gpus}
    assert yaml.safe_load(call.partition("--patch ")[2]) == {"status": {"capacity": count, "allocatable": count}}


@pytest.mark.parametrize("version", ["0.19.0", "v0.19.0"])
def test_another_kserve_can_be_chosen(machine: Machine, version: str) -> None:
    machine.run("kind-up", "--kserve", version)
    assert [call.split()[5] for call in machine.calls("helm install kserve")] == ["v0.19.0", "v0.19.0"]


def test_settings_of_the_caller_do_not_lead_elsewhere(machine: Machine) -> None:
    names = ("HELM_KUBEAPISERVER", "HELM_KUBECONTEXT", "HELM_NAMESPACE", "KUBECONFIG")
    assert machine.run("kind-up", env=dict.fromkeys(names, ELSEWHERE)).returncode == 0
    noted = set((machine.world / "environment").read_text(encoding="utf-8").splitlines())
    assert noted == {f"{tool} KUBECONFIG={machine.state}/lmcache-kserve/kubeconfig" for tool in TOOLS}


def test_the_helm_that_the_harness_is_told_to_use_is_used(machine: Machine) -> None:
    named = machine.folder / "named" / "helm"
    named.parent.mkdir()
    (machine.folder / "bin" / "helm").rename(named)
    assert machine.run("kind-up", env={"LMCACHE_KSERVE_HELM": str(named)}).returncode == 0


def test_another_kind_than_the_tested_one_is_pointed_out(machine: Machine) -> None:
    done = machine.run("kind-up", env={"FOUND_KIND": "0.20.0"})
    assert done.returncode == 0
    assert f"kind is v0.20.0; the node image was built for {VERSIONS['KIND_VERSION']}" in done.stderr


@pytest.mark.parametrize("missing", [("docker",), ("kind",), ("kubectl",), ("helm",), TOOLS])
def test_each_missing_tool_is_named_with_where_to_get_it(machine: Machine, missing: tuple[str, ...]) -> None:
    machine.remove_tools(missing)
    done = machine.run("kind-up")
    assert done.returncode == 1
    lines = done.stderr.splitlines()
    assert lines[0] == "kind-up: missing:"
    assert len(lines) == 1 + len(missing)
    for line, tool in zip(lines[1:], missing, strict=True):
        assert line.startswith(f"  {tool}")
        assert "https://" in line
    assert not machine.calls()


def test_a_docker_without_its_daemon_is_an_error_that_repeats_what_docker_said(machine: Machine) -> None:
    machine.break_call("docker info")
    done = machine.run("kind-up")
    assert done.returncode == 1
    assert "docker does not reach its daemon: broken on purpose" in done.stderr


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--version",), "unknown option --version"),
        (("up",), "unknown option up"),
        (("--name",), "--name needs a value"),
        (("--name", "../other"), "--name ../other: lower-case letters, digits, '-' and '.' only"),
        (("--name", ".."), "--name ..: lower-case letters"),
        (("--name", ""), "--name : lower-case letters"),
        (("--kserve", "0.20"), "--kserve v0.20: a full version"),
        (("--kserve", "latest"), "--kserve vlatest: a full version"),
        (("--kserve", "0.16.0"), "--kserve v0.16.0: before 0.17.0 the charts"),
        (("--kserve", "0.9.0"), "--kserve v0.9.0: before 0.17.0 the charts"),
        (("--gpus", "many"), "--gpus many: a number"),
    ],
)
def test_a_wrong_option_ends_before_anything_is_called(machine: Machine, words: tuple[str, ...], message: str) -> None:
    done = machine.run("kind-up", *words)
    assert done.returncode == 1
    assert message in done.stderr
    assert not machine.calls()


def test_after_an_error_the_callers_eval_fails_too(machine: Machine) -> None:
    assert machine.run("kind-up", "--gpus", "many").stdout == "false\n"
    machine.break_call("kubectl rollout status deployment/kserve-controller-manager --namespace kserve --timeout=3m")
    assert machine.run("kind-up").stdout == "false\n"


@pytest.mark.parametrize("script", ["kind-up", "kind-down", "kind-operators"])
def test_help_is_no_line_for_the_shell(machine: Machine, script: str) -> None:
    done = machine.run(script, "--help")
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr.startswith("usage: ")
    assert not machine.calls()


def test_the_operators_go_to_the_cluster_that_was_named_and_to_no_other(machine: Machine) -> None:
    assert machine.run("kind-operators").stdout == "false\n"
    assert not machine.calls("helm")
    done = machine.run("kind-operators", env={"KUBECONFIG": "/a/kubeconfig"})
    assert done.stdout == "export LMCACHE_KSERVE_TEST_PROMETHEUS=monitoring/prometheus-prometheus:9090\n"
    versions = [re.findall(r"--version (\S+)", call) for call in machine.calls("helm upgrade --install ")]
    assert versions == [[VERSIONS["KUBE_PROMETHEUS_STACK_VERSION"]], [VERSIONS["KEDA_VERSION"]]]


def test_a_creation_that_fails_leaves_no_node(machine: Machine) -> None:
    machine.break_call("docker container inspect --format {{.Id}} lmcache-kserve-control-plane")
    done = machine.run("kind-up")
    assert done.returncode == 1
    assert done.stdout == "false\n"
    assert machine.nodes() == set()


def test_a_creation_that_is_interrupted_leaves_no_node(machine: Machine) -> None:
    machine.interrupt_creation()
    assert machine.run("kind-up").returncode != 0
    assert machine.nodes() == set()


def test_a_cluster_of_that_name_made_otherwise_is_not_touched(machine: Machine) -> None:
    machine.make_cluster_by_hand("lmcache-kserve")
    done = machine.run("kind-up")
    assert done.returncode == 1
    assert "did not make the cluster lmcache-kserve" in done.stderr
    assert not machine.calls("helm")
    assert not machine.calls("kubectl")
    done = machine.run("kind-down")
    assert done.returncode == 1
    assert machine.nodes() == {"lmcache-kserve-control-plane"}


def test_a_cluster_made_by_hand_in_the_place_of_the_scripts_own_is_not_deleted(machine: Machine) -> None:
    machine.run("kind-up")
    machine.make_cluster_by_hand("lmcache-kserve")
    assert machine.run("kind-down").returncode == 1
    assert machine.nodes() == {"lmcache-kserve-control-plane"}


def test_kind_down_deletes_what_kind_up_made_and_nothing_else(machine: Machine) -> None:
    machine.make_cluster_by_hand("another")
    machine.run("kind-up", "--name", "one")
    machine.run("kind-up", "--name", "two")
    done = machine.run("kind-down", "--name", "one")
    assert done.returncode == 0, done.stderr
    assert machine.nodes() == {"another-control-plane", "two-control-plane"}
    assert [path.name for path in machine.state.iterdir()] == ["two"]


@pytest.mark.parametrize("script", ["kind-up", "kind-down"])
def test_clusters_that_kind_does_not_list_are_not_taken_for_none(machine: Machine, script: str) -> None:
    machine.run("kind-up")
    machine.break_call("kind get clusters --quiet")
    done = machine.run(script)
    assert done.returncode == 1
    assert "broken on purpose" in done.stderr
    assert f"{script}: kind does not list its clusters" in done.stderr
    assert not machine.calls("kind create")
    assert [path.name for path in machine.state.iterdir()] == ["lmcache-kserve"]


def test_kind_down_is_content_when_there_is_no_cluster(machine: Machine) -> None:
    done = machine.run("kind-down")
    assert done.returncode == 0
    assert "there is no cluster lmcache-kserve" in done.stderr


def test_kind_down_needs_neither_kubectl_nor_helm(machine: Machine) -> None:
    machine.run("kind-up")
    machine.remove_tools(["kubectl", "helm"])
    assert machine.run("kind-down").returncode == 0
    assert machine.nodes() == set()


def test_the_versions_are_stated_in_one_file_alone() -> None:
    listed = subprocess.run(
        [GIT, "-C", str(REPOSITORY), "ls-files", "Makefile", ".github", "docs/*.md", "scripts", "README.md"],
        capture_output=True,
        text=True,
        check=True,
    )
    files = [REPOSITORY / name for name in listed.stdout.splitlines()]
    assert VERSIONS_FILE in files
    # KServe's version is the chart's to state as well, and the README's to quote from there.
    pins = [pin for name, value in VERSIONS.items() if name != "KSERVE_VERSION" for pin in value.split("@")]
    repeated = {
        (file.name, pin) for file in files if file != VERSIONS_FILE for pin in pins if pin in file.read_text("utf-8")
    }
    assert repeated == set()


def test_the_kserve_release_is_the_one_that_the_chart_was_tested_with_and_the_schemas_know() -> None:
    version = VERSIONS["KSERVE_VERSION"].removeprefix("v")
    assert version == CHART["annotations"]["lmcache-kserve/tested-kserve"]
    assert version in schemas.KSERVE_VERSIONS


def test_the_node_image_is_pinned_by_digest_to_a_kubernetes_that_the_schemas_know() -> None:
    image = re.fullmatch(r"kindest/node:v(\d+\.\d+)\.\d+@sha256:[0-9a-f]{64}", VERSIONS["NODE_IMAGE"])
    assert image
    assert image[1] in schemas.KUBERNETES_VERSIONS


def test_every_shell_script_is_linted() -> None:
    listed = subprocess.run([GIT, "-C", str(REPOSITORY), "ls-files"], capture_output=True, text=True, check=True)
    scripts = {name for name in listed.stdout.splitlines() if _is_shell(REPOSITORY / name)}
    makefile = (REPOSITORY / "Makefile").read_text(encoding="utf-8")
    (linted,) = re.findall(r"shellcheck -x (.+)", makefile.replace("\\\n", ""))
    named = {str(file.relative_to(REPOSITORY)) for word in linted.split() for file in REPOSITORY.glob(word)}
    assert scripts == named
    assert all(os.access(REPOSITORY / name, os.X_OK) for name in scripts if not name.endswith(".sh"))


def _is_shell(file: Path) -> bool:
    if not file.is_file():
        return False
    with file.open("rb") as opened:
        start = opened.readline()
    return start.startswith((b"#!/usr/bin/env bash", b"#!/bin/bash", b"#!/bin/sh", b"# shellcheck shell="))
