"""Container probes as the kubelet runs them, for one question: is the container ready?"""

import socket
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2

from lmcache_kserve.errors import HarnessError
from lmcache_kserve.local.rewrite import Rewriter
from lmcache_kserve.target import LOOPBACK

_DEFAULT_PERIOD_S = 10
_DEFAULT_TIMEOUT_S = 1
_DEFAULT_FAILURE_THRESHOLD = 3
_LOCAL_PERIOD_S = 1.0
_ROLLOUT_S = 120.0
_REDIRECT_LIMIT = 400
_ONE_REQUEST = httpx2.Limits(max_keepalive_connections=0)


@dataclass(frozen=True, slots=True)
class Readiness:
    """The probe that says when a container is ready.

    Attributes:
        probe: the readiness probe, else the startup probe, else empty.
        patience_s: seconds to wait: as long as the startup probe allows, then as long as a rollout takes.
        period_s: seconds between two checks; 1, whatever the probe says, so that a local run starts fast.
    """

    probe: Mapping[str, Any]
    patience_s: float
    period_s: float

    @classmethod
    def of(cls, container: Mapping[str, Any]) -> "Readiness":
        """Read it from a container's spec."""
        startup, readiness = container.get("startupProbe", {}), container.get("readinessProbe", {})
        return cls(
            probe=readiness or startup,
            patience_s=_allowed_s(startup) + max(_allowed_s(readiness), _ROLLOUT_S),
            period_s=_LOCAL_PERIOD_S,
        )

    @contextmanager
    def checks(
        self, container: Mapping[str, Any], *, rewriter: Rewriter, environment: Mapping[str, str], directory: Path
    ) -> Iterator[Callable[[], bool]]:
        """Give what runs the probe once and says whether the container is ready.

        All HTTP requests of the `with` block share one client: each client makes a TLS context, which takes longer than
        the request. A connection serves one request only, as the kubelet's do.

        Raises:
            HarnessError: the probe is of a kind that a local process does not have.
        """
        with httpx2.Client(trust_env=False, limits=_ONE_REQUEST) as http:
            yield lambda: self._check(http, container, rewriter, environment, directory)

    def _check(
        self,
        http: httpx2.Client,
        container: Mapping[str, Any],
        rewriter: Rewriter,
        environment: Mapping[str, str],
        directory: Path,
    ) -> bool:
        timeout = self.probe.get("timeoutSeconds", _DEFAULT_TIMEOUT_S)
        if not self.probe:
            return True
        if action := self.probe.get("httpGet"):
            port = _local_port(action["port"], container, rewriter)
            return _http_ok(http, f"http://{LOOPBACK}:{port}{action.get('path', '/')}", timeout)
        if action := self.probe.get("tcpSocket"):
            return _accepts(_local_port(action["port"], container, rewriter), timeout)
        if action := self.probe.get("exec"):
            command = [rewriter.argument(argument) for argument in action["command"]]
            return _succeeds(command, environment, directory, timeout)
        raise HarnessError(f"container {container['name']} has a probe that a local run does not know")


def _allowed_s(probe: Mapping[str, Any]) -> float:
    if not probe:
        return 0.0
    period = probe.get("periodSeconds", _DEFAULT_PERIOD_S)
    return float(
        probe.get("initialDelaySeconds", 0) + period * probe.get("failureThreshold", _DEFAULT_FAILURE_THRESHOLD)
    )


def _local_port(port: int | str, container: Mapping[str, Any], rewriter: Rewriter) -> int:
    declared = {entry.get("name"): entry["containerPort"] for entry in container.get("ports", ())}
    number = declared.get(port) if isinstance(port, str) else port
    if number is None or number not in rewriter.ports:
        raise HarnessError(f"a probe of container {container['name']} asks port {port!r}, which it does not declare")
    return rewriter.ports[number]


def _http_ok(http: httpx2.Client, url: str, timeout: float) -> bool:
    try:
        return http.get(url, timeout=timeout).status_code < _REDIRECT_LIMIT
    except httpx2.HTTPError:
        return False


def _accepts(port: int, timeout: float) -> bool:
    try:
        with socket.create_connection((LOOPBACK, port), timeout=timeout):
            return True
    except OSError:
        return False


def _succeeds(command: list[str], environment: Mapping[str, str], directory: Path, timeout: float) -> bool:
    try:
        return (
            subprocess.run(
                command, env=environment, cwd=directory, capture_output=True, timeout=timeout, check=False
            ).returncode
            == 0
        )
    except (subprocess.TimeoutExpired, OSError):
        return False
