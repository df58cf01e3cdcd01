"""Free loopback ports for the pods of a release, and the Services that lead to them."""

import socket
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from typing import Any

from lmcache_kserve.errors import HarnessError
from lmcache_kserve.local.plan import PodPlan
from lmcache_kserve.local.rewrite import LOOPBACK, Addresses
from lmcache_kserve.manifests import sidecars


def assign_ports(pods: Sequence[PodPlan]) -> dict[str, dict[int, int]]:
    """Choose a free local port for every container port of every pod: `{pod: {container port: local port}}`."""
    wanted = [(pod.name, port) for pod in pods for port in _container_ports(pod.spec)]
    assigned: dict[str, dict[int, int]] = {pod.name: {} for pod in pods}
    with ExitStack() as held:
        for pod, port in wanted:
            # All sockets stay open until the last is bound, so that no port is given twice.
            listener = held.enter_context(socket.socket(socket.AF_INET, socket.SOCK_STREAM))
            listener.bind((LOOPBACK, 0))
            assigned[pod][port] = listener.getsockname()[1]
    return assigned


def service_addresses(
    services: Iterable[Mapping[str, Any]],
    pods: Sequence[PodPlan],
    ports: Mapping[str, Mapping[int, int]],
    *,
    namespace: str,
) -> Addresses:
    """Find the local address of every Service port, and of every port of the pods that a headless Service names.

    A Service with several pods leads to the first: those of a backend that clients connect to are all alike, and the
    predictor's replicas are addressed one by one.

    Raises:
        HarnessError: a Service's target port is none that its pods declare.
    """
    addresses: dict[tuple[str, int], int] = {}
    for service in services:
        name, selector = service["metadata"]["name"], service["spec"].get("selector", {})
        selected = [pod for pod in pods if selector and selector.items() <= dict(pod.labels).items()]
        for port in service["spec"].get("ports", ()) if selected else ():
            target = _target_port(selected[0], port)
            if target is None or target not in ports[selected[0].name]:
                raise HarnessError(
                    f"Service {name} leads to port {port.get('targetPort')!r}, which its pods do not declare"
                )
            addresses[name, port["port"]] = ports[selected[0].name][target]
    named = {
        (f"{pod.name}.{pod.subdomain}", port): local
        for pod in pods
        if pod.subdomain
        for port, local in ports[pod.name].items()
    }
    return Addresses(namespace=namespace, ports=addresses, pods=named)


def _target_port(pod: PodPlan, port: Mapping[str, Any]) -> int | None:
    target = port.get("targetPort", port["port"])
    if isinstance(target, int):
        return target
    for container in [*sidecars(pod.spec), *pod.spec["containers"]]:
        for declared in container.get("ports", ()):
            if declared.get("name") == target:
                return int(declared["containerPort"])
    return None


def _container_ports(spec: Mapping[str, Any]) -> list[int]:
    listening = [*sidecars(spec), *spec["containers"]]
    return [port["containerPort"] for container in listening for port in container.get("ports", ())]
