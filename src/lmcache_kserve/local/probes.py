"""Container probes as the kubelet runs them, for one question: is the container ready?"""

import socket
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2

from lmcache_kserve.errors import HarnessError
from lmcache_kserve.local.rewrite import LOOPBACK, Rewriter

_DEFAULT_PERIOD_SECONDS = 10
_DEFAULT_TIMEOUT_SECONDS = 1
_DEFAULT_FAILURE_THRESHOLD = 3
_LOCAL_PERIOD_SECONDS = 1.0
_ROLLOUT_SECONDS = 120.0
_REDIRECT_LIMIT = 400


@dataclass(frozen=True, slots=True)
class Readiness:
    """The probe that says when a container is ready.

    Attributes:
        probe: the readiness probe, or the startup probe of a container without one; empty for a container with neither.
        patience_seconds: how long to wait for it: as long as the startup probe allows, and then, as a container may be
            unready for as long as it likes, as long as a rollout does.
        period_seconds: how often to ask; at most once a second, so that a local run does not wait for a cluster's pace.
    """

    probe: Mapping[str, Any]
    patience_seconds: float
    period_seconds: float

    @classmethod
    def of(cls, container: Mapping[str, Any]) -> "Readiness":
        """Read it from a container's spec."""
        startup, readiness = container.get("startupProbe", {}), container.get("readinessProbe", {})
        return cls(
            probe=readiness or startup,
            patience_seconds=_allowed_seconds(startup) + max(_allowed_seconds(readiness), _ROLLOUT_SECONDS),
            period_seconds=_LOCAL_PERIOD_SECONDS,
        )

    def check(
        self, container: Mapping[str, Any], *, rewriter: Rewriter, environment: Mapping[str, str], directory: Path
    ) -> bool:
        """Run the probe once.

        Raises:
            HarnessError: the probe is of a kind that a local process does not have.
        """
        timeout = self.probe.get("timeoutSeconds", _DEFAULT_TIMEOUT_SECONDS)
        if not self.probe:
            return True
        if action := self.probe.get("httpGet"):
            port = _local_port(action["port"], container, rewriter)
            return _http_ok(f"http://{LOOPBACK}:{port}{action.get('path', '/')}", timeout)
        if action := self.probe.get("tcpSocket"):
            return _accepts(_local_port(action["port"], container, rewriter), timeout)
        if action := self.probe.get("exec"):
            command = [rewriter.argument(argument) for argument in action["command"]]
            return _succeeds(command, environment, directory, timeout)
        raise HarnessError(f"container {container['name']} has a probe that a local run does not know")


def _allowed_seconds(probe: Mapping[str, Any]) -> float:
    if not probe:
        return 0.0
    period = probe.get("periodSeconds", _DEFAULT_PERIOD_SECONDS)
    return float(
        probe.get("initialDelaySeconds", 0) + period * probe.get("failureThreshold", _DEFAULT_FAILURE_THRESHOLD)
    )


def _local_port(port: int | str, container: Mapping[str, Any], rewriter: Rewriter) -> int:
    declared = {entry.get("name"): entry["containerPort"] for entry in container.get("ports", ())}
    number = declared.get(port) if isinstance(port, str) else port
    if number is None or number not in rewriter.ports:
        raise HarnessError(f"a probe of container {container['name']} asks port {port!r}, which it does not declare")
    return rewriter.ports[number]


def _http_ok(url: str, timeout: float) -> bool:
    try:
        return httpx2.get(url, timeout=timeout, trust_env=False).status_code < _REDIRECT_LIMIT
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
