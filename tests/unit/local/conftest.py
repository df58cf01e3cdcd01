"""Real processes of this machine: small servers stand for the pods, nothing else is imitated."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from small_pod import GREETING

from lmcache_kserve.chart.environment import Configuration
from lmcache_kserve.local.plan import PodPlan
from lmcache_kserve.local.pod import LocalPod, Release
from lmcache_kserve.local.ports import assign_ports, service_addresses
from lmcache_kserve.local.programs import Programs


@pytest.fixture
def programs(tmp_path: Path) -> Programs:
    return Programs(folder=tmp_path / "programs", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")


@pytest.fixture
def started(tmp_path: Path, programs: Programs) -> Iterator[Any]:
    pods: list[LocalPod] = []

    def start(pod_plan: PodPlan) -> LocalPod:
        ports = assign_ports([pod_plan])
        service = {"metadata": {"name": "web"}, "spec": {"selector": {"app": "web"}, "ports": [{"port": 8080}]}}
        release = Release(
            namespace="models",
            directory=tmp_path,
            configuration=Configuration(config_maps={"greeting": {"text": GREETING}}, secrets={}),
            addresses=service_addresses([service], [pod_plan], ports, namespace="models"),
            programs=programs,
            compiled=tmp_path / "compiled",
        )
        pod = LocalPod(pod_plan, release=release, ports=ports[pod_plan.name])
        pods.append(pod)
        pod.check()
        pod.start()
        return pod

    yield start
    for pod in pods:
        pod.kill()
