"""What a pod's object says: whether it is ready, what keeps it from that, and how its container was started."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from lmcache_kserve.chart.environment import Configuration, decode_secret, expand, resolve_environment
from lmcache_kserve.chart.manifests import sidecars
from lmcache_kserve.cluster.api import CONFIG_MAPS, SECRETS, Api, NotFoundError, Object, Resource
from lmcache_kserve.errors import HarnessError

_HARMLESS = ("ContainerCreating", "PodInitializing")


@dataclass(frozen=True, slots=True)
class Pod:
    """One pod as the API server described it."""

    manifest: Object

    @property
    def name(self) -> str:
        """Its name."""
        return str(self.manifest["metadata"]["name"])

    @property
    def uid(self) -> str:
        """Its unique id: a later pod of the same name has another."""
        return str(self.manifest["metadata"]["uid"])

    @property
    def ready(self) -> bool:
        """Whether it serves, and is not about to go."""
        return "deletionTimestamp" not in self.manifest["metadata"] and _is_true(self._conditions.get("Ready"))

    @property
    def problem(self) -> str | None:
        """Why it is not ready, in the words of the scheduler or of the kubelet; None where they do not say."""
        scheduled = self._conditions.get("PodScheduled", {})
        if scheduled.get("status") == "False":
            return f"pod {self.name} is not scheduled: {scheduled.get('message') or scheduled.get('reason')}"
        for status in self._container_statuses:
            state = status.get("state", {})
            waiting = state.get("waiting", {})
            # The end of the last attempt says more than the wait for the next one.
            ended = state.get("terminated") or status.get("lastState", {}).get("terminated") or {}
            if waiting.get("reason", "ContainerCreating") not in _HARMLESS or ended.get("exitCode"):
                reason = waiting.get("reason") or ended.get("reason", "ended")
                words = [reason, waiting.get("message", "")]
                if ended:
                    words += [f"(last exit code {ended.get('exitCode')})", ended.get("message", "")]
                return f"container {status['name']} of pod {self.name}: {' '.join(filter(None, words))}"
        return None

    @property
    def state(self) -> str:
        """Its state in a few words."""
        return self.problem or f"pod {self.name} is {'ready' if self.ready else 'not ready yet'}"

    @property
    def _conditions(self) -> dict[str, Mapping[str, Any]]:
        return {condition["type"]: condition for condition in self.manifest.get("status", {}).get("conditions", ())}

    @property
    def _container_statuses(self) -> list[Mapping[str, Any]]:
        status = self.manifest.get("status", {})
        return [*status.get("initContainerStatuses", ()), *status.get("containerStatuses", ())]

    @property
    def node(self) -> str | None:
        """The node that it runs on; None before it is scheduled."""
        name = self.manifest["spec"].get("nodeName")
        return None if name is None else str(name)

    def has_container(self, name: str) -> bool:
        """Whether it has a container, or a sidecar, of this name."""
        spec = self.manifest["spec"]
        return any(container["name"] == name for container in [*spec["containers"], *sidecars(spec)])

    def container(self, name: str | None = None) -> Mapping[str, Any]:
        """A container by name, a sidecar among them, or the first one.

        Raises:
            HarnessError: the pod has no container of this name.
        """
        for container in [*self.manifest["spec"]["containers"], *sidecars(self.manifest["spec"])]:
            if name is None or container["name"] == name:
                found: Mapping[str, Any] = container
                return found
        raise HarnessError(f"pod {self.name} has no container {name}: is it a predictor of KServe?")

    def port(self, container: str | None = None, *, name: str | None = None) -> int:
        """The port of that name that a container declares, or its first.

        Raises:
            HarnessError: the container declares no such port.
        """
        spec = self.container(container)
        for port in spec.get("ports", ()):
            if name is None or port.get("name") == name:
                return int(port["containerPort"])
        raise HarnessError(f"container {spec['name']} of pod {self.name} declares no port{f' {name}' if name else ''}")

    def has_port(self, name: str) -> bool:
        """Whether its first container declares a port of that name."""
        return any(port.get("name") == name for port in self.container().get("ports", ()))


def _is_true(condition: Mapping[str, Any] | None) -> bool:
    return bool(condition and condition.get("status") == "True")


def problems(pods: Iterable[Pod]) -> list[str]:
    """What keeps pods from being ready, each problem once."""
    return list(dict.fromkeys(pod.problem for pod in pods if not pod.ready and pod.problem))


@dataclass(frozen=True, slots=True)
class Invocation:
    """How a container was started.

    Attributes:
        arguments: its command line.
        environment: its environment, without what only the kubelet knows (fields of the node, resources).
        config_file: text of the file that LMCACHE_CONFIG_FILE names; None without one.
        secrets: the values of the Secrets that it refers to.
    """

    arguments: tuple[str, ...]
    environment: Mapping[str, str]
    config_file: str | None
    secrets: tuple[str, ...]


def read_invocation(api: Api, pod: Pod, container_name: str) -> Invocation:
    """Read how a container was started, with the ConfigMaps and Secrets that it refers to.

    Raises:
        ForbiddenError: the account may not read one of them.
        HarnessError: one of them is gone.
    """
    container = pod.container(container_name)
    configuration = Configuration(
        config_maps=_existing(api, CONFIG_MAPS, _references(container, "configMapKeyRef", "configMapRef")),
        secrets=_existing(api, SECRETS, _references(container, "secretKeyRef", "secretRef")),
    )
    known = {**container, "env": [entry for entry in container.get("env", ()) if _is_known(entry)]}
    environment = resolve_environment(known, configuration=configuration, fields={})
    config_file = None
    if path := environment.get("LMCACHE_CONFIG_FILE"):
        config_file = _mounted_text(api, pod, container, PurePosixPath(path))
    hidden = {value.rstrip("\r\n") for data in configuration.secrets.values() for value in data.values()} - {""}
    words = [*container.get("command", ()), *container.get("args", ())]
    return Invocation(
        arguments=tuple(expand(word, environment) for word in words),
        environment=environment,
        config_file=config_file,
        secrets=tuple(sorted(hidden)),
    )


def _references(container: Mapping[str, Any], key_kind: str, whole_kind: str) -> Iterator[str]:
    for entry in container.get("env", ()):
        if reference := entry.get("valueFrom", {}).get(key_kind):
            yield str(reference["name"])
    for source in container.get("envFrom", ()):
        if reference := source.get(whole_kind):
            yield str(reference["name"])


def _is_known(entry: Mapping[str, Any]) -> bool:
    return not {"fieldRef", "resourceFieldRef"} & set(entry.get("valueFrom", {}))


def _existing(api: Api, resource: Resource, names: Iterable[str]) -> dict[str, Mapping[str, str]]:
    """The data of ConfigMaps or Secrets by name. A reference may be optional, so missing objects are left out."""
    found: dict[str, Mapping[str, str]] = {}
    for name in sorted(set(names)):
        try:
            item = api.get(resource, name)
        except NotFoundError:
            continue
        found[name] = decode_secret(item) if resource is SECRETS else dict(item.get("data", {}))
    return found


def _mounted_text(api: Api, pod: Pod, container: Mapping[str, Any], path: PurePosixPath) -> str:
    """The text of a file that a ConfigMap or Secret puts into a container."""
    volumes = {volume["name"]: volume for volume in pod.manifest["spec"].get("volumes", ())}
    for mount in container.get("volumeMounts", ()):
        if not path.is_relative_to(mount["mountPath"]):
            continue
        volume = volumes.get(mount["name"], {})
        name = volume.get("configMap", {}).get("name")
        if name is None:
            continue
        file = mount.get("subPath") or str(path.relative_to(mount["mountPath"]))
        items = {item["path"]: item["key"] for item in volume["configMap"].get("items", ())}
        data = api.get(CONFIG_MAPS, name).get("data", {})
        if (key := items.get(file, file)) in data:
            return str(data[key])
        raise HarnessError(f"ConfigMap {name} has no {key}, which LMCACHE_CONFIG_FILE={path} is made of")
    raise HarnessError(f"LMCACHE_CONFIG_FILE={path} is in no ConfigMap of pod {pod.name}: its chunk size is unknown")
