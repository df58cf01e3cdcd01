"""What a namespace looked like when a test failed: objects, events, the last and the previous logs."""

import json
from pathlib import Path

from kube import Kubectl

_KINDS = (
    "inferenceservices.serving.kserve.io",
    "servingruntimes.serving.kserve.io",
    "deployments",
    "statefulsets",
    "daemonsets",
    "replicasets",
    "pods",
    "services",
    "endpointslices",
    "networkpolicies",
    "persistentvolumeclaims",
    "configmaps",
)
"""Secrets stay out of it."""


def write_report(kubectl: Kubectl, folder: Path) -> Path:
    """Write the report of a namespace into `folder` and return that; what cannot be read is said in its place."""
    folder.mkdir(parents=True, exist_ok=True)
    _write(folder / "overview.txt", kubectl, "get", ",".join(_KINDS), "--output=wide")
    _write(folder / "events.txt", kubectl, "get", "events", "--sort-by=.lastTimestamp")
    for kind in _KINDS:
        _write(folder / f"{kind.partition('.')[0]}.yaml", kubectl, "get", kind, "--output=yaml")
    listed = kubectl.run("get", "pods", "--output=json", check=False)
    pods = json.loads(listed.stdout)["items"] if not listed.returncode else []
    for pod in pods:
        spec = pod["spec"]
        for container in [*spec.get("initContainers", ()), *spec["containers"]]:
            name = f"{pod['metadata']['name']}.{container['name']}"
            words = ("logs", pod["metadata"]["name"], f"--container={container['name']}", "--timestamps")
            _write(folder / f"{name}.log", kubectl, *words)
            _write(folder / f"{name}.previous.log", kubectl, *words, "--previous")
    return folder


def _write(file: Path, kubectl: Kubectl, *words: str) -> None:
    done = kubectl.run(*words, check=False)
    file.write_text(done.stdout + done.stderr, encoding="utf-8")
