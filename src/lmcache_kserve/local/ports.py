"""Free loopback ports for the pods of a release, and the Services that lead to them."""

import random
import socket
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from lmcache_kserve.chart.manifests import sidecars
from lmcache_kserve.errors import HarnessError
from lmcache_kserve.local.plan import PodPlan
from lmcache_kserve.local.rewrite import Addresses
from lmcache_kserve.target import LOOPBACK

_PORTS = range(20000, 65536)
"""Above the default ports of servers, and above the ports that Mooncake's clients and stores choose."""
_EPHEMERAL = Path("/proc/sys/net/ipv4/ip_local_port_range")


def assign_ports(pods: Sequence[PodPlan]) -> dict[str, dict[int, int]]:
    """Choose a free local port for every container port of every pod: `{pod: {container port: local port}}`.

    Linux gives ephemeral ports to sockets that name no port, and each worker of vLLM opens dozens of such sockets. A
    socket could take the port of a server that is down, and clients would wait for its answers. So ephemeral ports are
    chosen last.

    Raises:
        HarnessError: there are not that many free ports.
    """
    wanted = [(pod.name, port) for pod in pods for port in _container_ports(pod.spec)]
    assigned: dict[str, dict[int, int]] = {pod.name: {} for pod in pods}
    first, last = map(int, _EPHEMERAL.read_text(encoding="ascii").split())
    shuffled = random.sample(_PORTS, len(_PORTS))
    free = filter(_is_free, sorted(shuffled, key=lambda port: first <= port <= last))
    for pod, port in wanted:
        local = next(free, None)
        if local is None:
            raise HarnessError(f"{len(wanted)} ports above {_PORTS.start} are needed, and not that many are free")
        assigned[pod][port] = local
    return assigned


def _is_free(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as listener:
        try:
            listener.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


def service_addresses(
    services: Iterable[Mapping[str, Any]],
    pods: Sequence[PodPlan],
    ports: Mapping[str, Mapping[int, int]],
    *,
    namespace: str,
) -> Addresses:
    """Find the local address of every Service port, and of every port of the pods that a headless Service names.

    A Service with several pods leads to the first pod. All pods of a backend's Service give the same answers, and the
    predictor's replicas are addressed one by one.

    Raises:
        HarnessError: the pods of a Service do not declare its target port.
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
