"""What a rendered release hands to parsers: arguments, environment and configuration of each process."""

from collections.abc import Iterator, Mapping
from typing import Any

from loading import module_at
from rendering import CHART, environment, lmcache_file, pod

from lmcache_kserve.chart.environment import expand
from lmcache_kserve.chart.manifests import POD_SPEC_PATHS, Manifest, Manifests

SECRET = "from-a-secret"  # noqa: S105 - stands for what a Secret or the pod itself would say
SERVER = "lmcache-server"


LAUNCHER = module_at(CHART / "files" / "launcher.py")


def release(manifests: Manifests) -> dict[str, Any]:
    """One release, as inside/ask.py wants it."""
    predictor = pod(manifests)
    command, variables = predictor.command_line, values_of(predictor.container)
    if any(word.endswith("/launcher.py") for word in command):
        command = command[command.index("--") + 1 :]
        variables = LAUNCHER.child_environment(variables)
    image = predictor.container["image"]
    return {
        "arguments": command[command.index("-m") + 2 :],
        "environment": variables,
        "config": lmcache_file(manifests) if "LMCACHE_CONFIG_FILE" in variables else None,
        "server": _server(manifests),
        "commands": [one["command"] for one in _containers(manifests) if one["image"] == image and "command" in one],
    }


def values_of(container: Mapping[str, Any]) -> dict[str, str]:
    """A container's environment as the kubelet computes it; what a Secret or the pod holds is `SECRET`."""
    found: dict[str, str] = {}
    for name, value in environment(container).items():
        found[name] = expand(value, found) if isinstance(value, str) else SECRET
    return found


def _server(manifests: Manifests) -> dict[str, Any] | None:
    """LMCache's server of mode multiprocess, or None in the other mode."""
    found = [one for one in _containers(manifests) if one["name"] == SERVER and "--" in one.get("args", ())]
    if not found:
        return None
    (container,) = found
    arguments = container["args"]
    return {"arguments": arguments[arguments.index("--") + 1 :], "environment": values_of(container)}


def _containers(manifests: Manifests) -> Iterator[Mapping[str, Any]]:
    """All containers of a release, the predictor's as KServe builds them."""
    specs: list[Mapping[str, Any]] = [pod(manifests).spec]
    specs += [
        _spec(one) for one in manifests if one["kind"] in POD_SPEC_PATHS.keys() - {"InferenceService", "ServingRuntime"}
    ]
    for spec in specs:
        yield from (*spec.get("initContainers", ()), *spec["containers"])


def _spec(manifest: Manifest) -> Mapping[str, Any]:
    spec: Any = manifest
    for step in POD_SPEC_PATHS[manifest["kind"]]:
        spec = spec[step]
    found: Mapping[str, Any] = spec
    return found
