"""What tests of the chart share: rendering it, the scenarios to render, and views into what was rendered."""

import copy
import functools
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from lmcache_kserve.chart import schemas
from lmcache_kserve.chart.helm import DEFAULT_KUBE_VERSION, Helm
from lmcache_kserve.chart.manifests import Manifest, Manifests
from lmcache_kserve.chart.predictor import PredictorPod, predictor_pod
from lmcache_kserve.lmcache import arguments

option = arguments.option
"""The value of an option of a command line, whichever way it is spelled; of several the last."""

REPOSITORY = Path(__file__).parent.parent
CHART_VARIABLE = "LMCACHE_KSERVE_TEST_CHART"
CHART = Path(os.environ.get(CHART_VARIABLE, REPOSITORY / "charts" / "lmcache-kserve"))
"""The chart under test; the variable names another copy of it."""

PREVIOUS_CHART = REPOSITORY / "tests" / "previous" / "lmcache-kserve-0.1.0.tgz"
"""The chart of the last release, as it was packaged."""

PREVIOUS_VALUES = REPOSITORY / "tests" / "previous" / "cpu.yaml"
"""The values/cpu.yaml of that release: what its users have, and upgrade with."""

SCENARIO_FILES = (*sorted((REPOSITORY / "values").glob("*.yaml")), *sorted((CHART / "ci").glob("*-values.yaml")))
"""Every values file that a user would copy, and every one that chart-testing installs."""

NEWEST: dict[str, Any] = {
    "runtime": {"server": "vllm", "image": {"repository": "docker.io/lmcache/vllm-openai", "tag": "v0.5.6"}}
}
"""Values that name an image whose LMCache has every option that the chart offers."""

BACKENDS = ("redis", "valkey", "lmcache-server")
"""The remote backends that the chart deploys as one workload."""

PASSWORD = "correct-horse/battery@staple"  # noqa: S105 (has what a URL must encode)

# Every switch that adds something, at once: what one part renders must not collide with what another does.
EVERYTHING: dict[str, Any] = {
    "huggingFace": {"token": "hf_0123456789"},
    "predictor": {
        "autoscaling": {"enabled": True, "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": {}}}]},
        "runtimeClassName": "nvidia",
        "env": [{"name": "LMCACHE_LOG_LEVEL", "value": "DEBUG"}, {"name": "EXTRA", "value": "1"}],
        "nodeSelector": {"gpu": "a100"},
        "tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists"}],
        "topologySpreadConstraints": [
            {"maxSkew": 1, "topologyKey": "kubernetes.io/hostname", "whenUnsatisfiable": "ScheduleAnyway"}
        ],
        "podLabels": {"team": "search"},
        "podAnnotations": {"example.com/note": "yes"},
        "priorityClassName": "high",
    },
    "lmcache": {"localDisk": {"enabled": True, "sizeGB": 10}, "config": {"extra_config": {"a": 1}}},
    "remoteBackend": {"type": "redis", "redis": {"auth": {"password": PASSWORD}, "persistence": {"enabled": True}}},
    "networkPolicy": {"enabled": True},
    "tests": {"podLabels": {"team": "search"}, "podAnnotations": {"example.com/note": "yes"}},
    "commonLabels": {"owner": "platform"},
    "commonAnnotations": {"example.com/owner": "platform"},
}


class Render:
    """Renders the chart with one Helm and lets the schemas judge every object; the same arguments render once.

    What it returns is shared between tests: read it only.
    """

    def __init__(self, helm: Helm) -> None:
        self.helm = helm
        self._rendered: dict[str, Manifests] = {}

    def __call__(  # noqa: PLR0913 (as many options as Helm has, all by keyword)
        self,
        values: Mapping[str, Any] | None = None,
        *,
        chart: Path = CHART,
        files: Sequence[Path] = (),
        set_values: Sequence[str] = (),
        release: str = "llm",
        namespace: str = "models",
        kube_version: str = DEFAULT_KUBE_VERSION,
        kserve_version: str = schemas.KSERVE_VERSIONS[-1],
    ) -> Manifests:
        options = [str(chart), [*map(str, files)], set_values, release, namespace, kube_version]
        key = json.dumps([values, *options], sort_keys=True)
        if key not in self._rendered:
            self._rendered[key] = self.helm.template(
                chart,
                release=release,
                namespace=namespace,
                values_files=files,
                values=values,
                set_values=set_values,
                kube_version=kube_version,
            )
        manifests = self._rendered[key]
        schemas.validate(manifests, kubernetes_version=kube_version, kserve_version=kserve_version)
        return manifests


@functools.cache
def default_values() -> dict[str, Any]:
    """The chart's own values; read them only."""
    values: dict[str, Any] = yaml.safe_load((CHART / "values.yaml").read_text(encoding="utf-8"))
    return values


@functools.cache
def moved_values() -> dict[str, str]:
    """Values of earlier charts by their path, and where each has moved to; nothing for those that are gone."""
    file = CHART / "files" / "moved-values.yaml"
    loaded: dict[str, dict[str, str]] = yaml.safe_load(file.read_text(encoding="utf-8"))
    return loaded["moved"] | dict.fromkeys(loaded["removed"], "")


def scenario_values(file: Path) -> dict[str, Any]:
    """The values of a scenario file."""
    values: dict[str, Any] = yaml.safe_load(file.read_text(encoding="utf-8")) or {}
    return values


def scenario_name(file: Path) -> str:
    """A scenario for people: `values/redis.yaml`."""
    return str(file.relative_to(REPOSITORY if file.is_relative_to(REPOSITORY / "values") else CHART))


def values_key(kind: str) -> str:
    """Key of a backend's values: lmcacheServer of lmcache-server."""
    first, *rest = kind.split("-")
    return first + "".join(word.title() for word in rest)


def merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Two sets of values, as Helm merges them."""
    both = copy.deepcopy(dict(below))
    for key, value in above.items():
        sections = isinstance(value, Mapping) and isinstance(both.get(key), Mapping)
        both[key] = merged(both[key], value) if sections else value
    return both


def remote_backend(kind: str, **values: Any) -> dict[str, Any]:
    """Values that choose a backend and set what is below its key."""
    return {"remoteBackend": {"type": kind, values_key(kind): values}}


def with_exporter(kind: str, **values: Any) -> dict[str, Any]:
    """The same, with an exporter beside each server."""
    return {"remoteBackend": remote_backend(kind, **values)["remoteBackend"] | {"exporter": {"enabled": True}}}


def pod(manifests: Manifests) -> PredictorPod:
    """The predictor's pod as KServe builds it."""
    return predictor_pod(manifests)


def environment(container: Mapping[str, Any]) -> dict[str, Any]:
    """A container's variables: a string, or where the value comes from."""
    return {variable["name"]: variable.get("value", variable.get("valueFrom")) for variable in container.get("env", ())}


def backend_workload(manifests: Manifests) -> Manifest:
    """The Deployment or StatefulSet of the remote backend."""
    (found,) = (
        manifest
        for manifest in manifests.labelled(component="remote-backend")
        if manifest["kind"] in {"Deployment", "StatefulSet"}
    )
    return found


def lmcache_file(manifests: Manifests) -> dict[str, Any]:
    """LMCache's configuration file as the predictor's container sees it.

    The path is followed from LMCACHE_CONFIG_FILE through the mount and the volume to the ConfigMap.
    """
    spec = pod(manifests).spec
    container = pod(manifests).container
    path = Path(environment(container)["LMCACHE_CONFIG_FILE"])
    (mount,) = (mount for mount in container["volumeMounts"] if path.is_relative_to(mount["mountPath"]))
    (volume,) = (volume for volume in spec["volumes"] if volume["name"] == mount["name"])
    config_map = manifests.one("ConfigMap", volume["configMap"]["name"])
    relative = str(path.relative_to(mount["mountPath"])) if "subPath" not in mount else mount["subPath"]
    keys = {item["path"]: item["key"] for item in volume["configMap"].get("items", ())}
    configuration: dict[str, Any] = yaml.safe_load(config_map["data"][keys.get(relative, relative)])
    return configuration


def lmcache_extra_config(manifests: Manifests) -> dict[str, Any]:
    """LMCache's `extra_config`: in the environment where a setting is known in the pod alone, else in the file."""
    variables = lmcache_environment(manifests)
    if "extra_config" not in variables:
        return dict(lmcache_file(manifests)["extra_config"])
    if "config_file" in variables:
        assert "extra_config" not in lmcache_file(manifests)
    found: dict[str, Any] = json.loads(variables["extra_config"])
    return found


def lmcache_environment(manifests: Manifests) -> dict[str, Any]:
    """LMCache's configuration in the environment, by the names of its file."""
    return {
        name.removeprefix("LMCACHE_").lower(): value
        for name, value in environment(pod(manifests).container).items()
        if name.startswith("LMCACHE_")
    }
