"""Turns what is written for a pod's own network and file system into what holds on this machine.

A pod has its own address and root directory; a local process shares both. So three kinds of text are moved:

- mount paths to folders,
- Service addresses to loopback addresses,
- the pod's own ports to free ports: in the arguments of the container that listens, and in the loopback addresses by
  which other containers of the pod reach it.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from lmcache_kserve.errors import HarnessError
from lmcache_kserve.target import LOOPBACK

_LOOPBACK_PORT = re.compile(r"(?<![\w.-])(?:localhost|127\.0\.0\.1):(?P<port>\d+)\b")


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where the release's Services, and the pods that a headless one names, answer on this machine.

    Attributes:
        namespace: the release's namespace, which a Service's longer names carry.
        ports: local port by Service name and Service port.
        pods: local port by a pod's name within the namespace, `pod.service`, and its port.
    """

    namespace: str
    ports: Mapping[tuple[str, int], int] = field(default_factory=dict)
    pods: Mapping[tuple[str, int], int] = field(default_factory=dict)

    def rewrite(self, text: str) -> str:
        """Replace every `[pod.]service[.namespace[.svc[.cluster.local]]]:port` in `text` by its local address.

        Raises:
            HarnessError: a Service of the release is named with a port that it does not have, or without one.
        """
        for service in {name for name, _ in [*self.ports, *self.pods]}:
            text = self._pattern(service).sub(self._local_address, text)
        return text

    def detoured(self, detours: Mapping[int, int]) -> "Addresses":
        """The same Services by way of other local ports, given by the ports that they have now; not the pods."""
        return replace(self, ports={key: detours.get(port, port) for key, port in self.ports.items()})

    def _pattern(self, service: str) -> re.Pattern[str]:
        suffix = rf"(?:\.{re.escape(self.namespace)}(?:\.svc(?:\.cluster\.local\.?)?)?)"
        with_port, without_port = rf"{suffix}?:(?P<port>\d+)\b", rf"{suffix}(?![\w.-])"
        return re.compile(rf"(?<![\w.-])(?P<service>{re.escape(service)})(?:{with_port}|{without_port})")

    def _local_address(self, match: re.Match[str]) -> str:
        port = match.group("port")
        if port is None:
            raise HarnessError(
                f"{match.group(0)!r} names a Service without its port, so it has no address on this machine: "
                "write it as host:port"
            )
        local = {**self.ports, **self.pods}.get((match.group("service"), int(port)))
        if local is None:
            raise HarnessError(f"Service {match.group('service')} has no port {port}, but {match.group(0)!r} names it")
        return f"{LOOPBACK}:{local}"


@dataclass(frozen=True, slots=True)
class Rewriter:
    """Rewrites the strings of one container.

    Attributes:
        addresses: the release's Services.
        mounts: folder on this machine by mount path.
        ports: local port by the container's own port.
        pod_ports: local port by the port of any container of the pod.
    """

    addresses: Addresses
    mounts: Mapping[str, str] = field(default_factory=dict)
    ports: Mapping[int, int] = field(default_factory=dict)
    pod_ports: Mapping[int, int] = field(default_factory=dict)

    def text(self, value: str) -> str:
        """Rewrite mount paths, Service addresses and the pod's loopback addresses anywhere in `value`."""
        return self._address(self._paths(value))

    def argument(self, value: str) -> str:
        """Rewrite a command-line argument: as `text` does, and the container's own port where it ends in one.

        In JSON a host and its port may be two values, with keys that end in `host` and `port`.
        """
        if value.startswith("{"):
            value = self._json(value)
        for port, local in self.ports.items():
            if re.fullmatch(rf"(?:.*[=:])?{port}", value):
                value = f"{value[: -len(str(port))]}{local}"
                break
        return self.text(value)

    def names_port(self, value: str) -> int | None:
        """The container port that `value` names in a way `argument` moves, or None."""
        return next((port for port in self.ports if re.fullmatch(rf"(?:.*[=:])?{port}", value)), None)

    def _address(self, value: str) -> str:
        return self.addresses.rewrite(_LOOPBACK_PORT.sub(self._neighbour, value))

    def _neighbour(self, match: re.Match[str]) -> str:
        local = self.pod_ports.get(int(match["port"]))
        return match.group(0) if local is None else f"{LOOPBACK}:{local}"

    def _json(self, value: str) -> str:
        try:
            document = json.loads(value)
        except ValueError:
            return value
        self._move_pairs(document)
        return json.dumps(document, separators=(",", ":"))

    def _move_pairs(self, node: object) -> None:
        """Move every pair of host and port below `node`, in place."""
        if isinstance(node, list):
            for item in node:
                self._move_pairs(item)
        if not isinstance(node, dict):
            return
        for item in node.values():
            self._move_pairs(item)
        for key in [key for key in node if key.endswith("port")]:
            host = f"{key.removesuffix('port')}host"
            if host in node:
                node[host], _, port = self._address(f"{node[host]}:{node[key]}").rpartition(":")
                node[key] = int(port)

    def _paths(self, value: str) -> str:
        if not self.mounts:
            return value
        longest_first = sorted(self.mounts, key=len, reverse=True)
        pattern = "|".join(re.escape(path.rstrip("/")) for path in longest_first)
        return re.sub(
            rf"(?:(?<=://)|(?<![\w./-]))({pattern})(?=$|[^\w.-]|\.\s|\.$)",
            lambda match: self.mounts.get(match.group(1)) or self.mounts[f"{match.group(1)}/"],
            value,
        )
