"""What a release takes of this machine: its containers, its files and its logs."""

import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from lmcache_kserve.chart.contract import BACKEND_COMPONENT
from lmcache_kserve.errors import HarnessError
from lmcache_kserve.evidence.soak import Container, Watched
from lmcache_kserve.local.pod import LocalPod


def watch(pods: Iterable[LocalPod], directory: Path, logs: Iterable[Path]) -> Watched:
    """Look at a release now; a container that has ended is left out.

    Args:
        pods: all of its pods.
        directory: the folder that everything of the release is below.
        logs: the log of every container.
    """
    containers = []
    for pod in pods:
        for name, process in pod.processes.items():
            with suppress(HarnessError):  # it ends at this moment
                container = Container(
                    name=f"{pod.plan.name}/{name}",
                    life=str(process.pid),
                    of_backend=pod.plan.component == BACKEND_COMPONENT,
                    usage=process.usage,
                )
                containers.append(container)
    return Watched(
        containers=tuple(containers),
        files=sum(len(files) for _, _, files in os.walk(directory)),
        log_bytes=sum(log.stat().st_size for log in logs),
    )
