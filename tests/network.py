"""What a cluster would let through: rendered pods, the Services they name, and the policies between them."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lmcache_kserve.chart.contract import PART_LABEL
from lmcache_kserve.chart.manifests import Manifest, Manifests
from lmcache_kserve.chart.predictor import predictor_pod

_TEMPLATES = {
    "CronJob": ("spec", "jobTemplate", "spec", "template"),
    "DaemonSet": ("spec", "template"),
    "Deployment": ("spec", "template"),
    "Job": ("spec", "template"),
    "Pod": (),
    "StatefulSet": ("spec", "template"),
}
STORE_PORTS = (15000, 15999)
"""The first and the last port that Mooncake's transfer engine may take."""

_FOR_MESSAGES = "--endpoint="
"""The argument of `helm test` that its messages quote; the test opens no connection to it."""


@dataclass(frozen=True, slots=True)
class Pod:
    """A pod of the release.

    Attributes:
        name: kind and name of the object that makes the pod.
        labels: labels of the pod.
        text: the pod's spec and the ConfigMaps that the pod mounts, as text.
        ports: numbers of the named container ports.
    """

    name: str
    labels: Mapping[str, str]
    text: str
    ports: Mapping[str, int]


STRANGER = Pod(name="Pod/stranger", labels={"app": "stranger"}, text="", ports={})
"""A pod of the same namespace that does not belong to the release."""


@dataclass(frozen=True, slots=True)
class Connection:
    """A connection that a pod of the release opens.

    Attributes:
        source: the pod that connects.
        target: the pod that listens.
        port: where the target listens.
    """

    source: Pod
    target: Pod
    port: int


def pods(manifests: Manifests) -> list[Pod]:
    """The pods of a release; the predictor's as KServe builds and labels it."""
    found = []
    for manifest in manifests:
        if (path := _TEMPLATES.get(manifest["kind"])) is not None:
            template: Any = manifest
            for step in path:
                template = template[step]
            found.append(_pod(manifests, manifest, template["metadata"]["labels"], template["spec"]))
    service = manifests.one("InferenceService")
    labels = {
        **service["metadata"]["labels"],
        **service["spec"]["predictor"].get("labels", {}),
        "serving.kserve.io/inferenceservice": service["metadata"]["name"],
        "component": "predictor",
    }
    return [*found, _pod(manifests, service, labels, predictor_pod(manifests).spec)]


def connections(manifests: Manifests, namespace: str = "models") -> list[Connection]:
    """Who connects to whom: a pod that names a Service connects to the pods behind the Service.

    Mooncake's stores listen without a Service.
    """
    all_pods = pods(manifests)
    found = []
    for service in manifests.of_kind("Service"):
        spec = service["spec"]
        address = re.compile(rf"(?<![-\w]){re.escape(service['metadata']['name'])}\.{namespace}\.svc[\w.]*(?::(\d+))?")
        for source in all_pods:
            for number in {match[1] for match in address.finditer(source.text)}:
                for target in all_pods:
                    if spec["selector"].items() <= target.labels.items():
                        targeted = [port for port in spec["ports"] if number in {None, str(port["port"])}]
                        found += [Connection(source, target, listening) for listening in _listening(target, targeted)]
    return [*found, *_to_stores(all_pods)]


def _to_stores(all_pods: Sequence[Pod]) -> Iterator[Connection]:
    """The connections to Mooncake's stores, which the master names by the addresses of their pods."""
    stores = [pod for pod in all_pods if pod.labels.get(PART_LABEL) == "store"]
    predictors = [pod for pod in all_pods if pod.name.startswith("InferenceService/")]
    for store in stores:
        for source in (*predictors, *stores):
            yield from (Connection(source, store, port) for port in STORE_PORTS)


def lets_in(manifests: Manifests, connection: Connection) -> bool:
    """Whether the policies of the target accept the connection."""
    return _allowed(manifests, connection.target, "ingress", connection.source, connection.port, connection.target)


def lets_out(manifests: Manifests, connection: Connection) -> bool:
    """Whether the policies of the source let the connection leave."""
    return _allowed(manifests, connection.source, "egress", connection.target, connection.port, connection.target)


def lets_resolve(manifests: Manifests, pod: Pod, port: int, protocol: str) -> bool:
    """Whether the policies of a pod let it ask a name server, which stands outside the release."""
    return _allowed(manifests, pod, "egress", STRANGER, port, STRANGER, protocol)


def _pod(manifests: Manifests, maker: Manifest, labels: Mapping[str, str], spec: Mapping[str, Any]) -> Pod:
    containers = [*spec.get("initContainers", ()), *spec["containers"]]
    told = [
        [word for word in container.get("args", ()) if not word.startswith(_FOR_MESSAGES)] for container in containers
    ]
    rest = [{key: value for key, value in container.items() if key != "args"} for container in containers]
    names = [volume["configMap"]["name"] for volume in spec.get("volumes", ()) if "configMap" in volume]
    mounted = [manifests.one("ConfigMap", name)["data"] for name in names]
    ports = {port["name"]: port["containerPort"] for one in containers for port in one.get("ports", ())}
    name = f"{maker['kind']}/{maker['metadata']['name']}"
    return Pod(name=name, labels=labels, text=json.dumps([told, rest, mounted]), ports=ports)


def _listening(target: Pod, ports: Sequence[Mapping[str, Any]]) -> Iterator[int]:
    for port in ports:
        wanted = port.get("targetPort", port["port"])
        yield target.ports[wanted] if isinstance(wanted, str) else wanted


def _allowed(  # noqa: PLR0913, PLR0917 (the parts of one connection, seen from one of its ends)
    manifests: Manifests, subject: Pod, direction: str, peer: Pod, port: int, listener: Pod, protocol: str = "TCP"
) -> bool:
    """Whether some policy of the subject has a rule for the peer, or no policy restricts this direction at all."""
    specs = [policy["spec"] for policy in manifests.of_kind("NetworkPolicy")]
    restricting = [
        spec
        for spec in specs
        if _selects(spec["podSelector"], subject) and direction.capitalize() in spec["policyTypes"]
    ]
    side = "from" if direction == "ingress" else "to"
    return not restricting or any(
        _names_peer(rule.get(side), peer) and _names_port(rule.get("ports"), port, listener, protocol)
        for spec in restricting
        for rule in spec.get(direction, ())
    )


def _selects(selector: Mapping[str, Any], pod: Pod) -> bool:
    assert not selector.keys() - {"matchLabels"}, f"this evaluator does not know {selector}"
    return bool(selector.get("matchLabels", {}).items() <= pod.labels.items())


def _names_peer(peers: Sequence[Mapping[str, Any]] | None, pod: Pod) -> bool:
    """An absent list is everyone; namespaces and addresses outside the release are nobody here."""
    return not peers or any(peer.keys() == {"podSelector"} and _selects(peer["podSelector"], pod) for peer in peers)


def _names_port(ports: Sequence[Mapping[str, Any]] | None, port: int, listener: Pod, protocol: str) -> bool:
    for named in ports or ():
        first = named.get("port", port)
        first = listener.ports.get(first, 0) if isinstance(first, str) else first
        if named.get("protocol", "TCP") == protocol and first <= port <= named.get("endPort", first):
            return True
    return not ports
