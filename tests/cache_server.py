"""Views into what the chart renders of mode multiprocess: LMCache's server, and the way from the engine to it."""

import importlib.util
import json
from collections.abc import Mapping
from typing import Any

from problems.case import CPU_IMAGE
from rendering import CHART, option, pod

from lmcache_kserve.chart.manifests import Manifests, sidecars

CPU: dict[str, Any] = {"predictor": {"gpu": {"count": 0}}, "runtime": {"server": "vllm", "image": CPU_IMAGE}}
"""Values of an engine without GPUs."""


def server(manifests: Manifests) -> Mapping[str, Any]:
    """The container of the server, in either placement."""
    if sets := manifests.of_kind("DaemonSet"):
        found: Mapping[str, Any] = sets[0]["spec"]["template"]["spec"]["containers"][0]
        return found
    (container,) = sidecars(pod(manifests).spec)
    return container


def connector(manifests: Manifests) -> dict[str, Any]:
    value = option(pod(manifests).command_line, "--kv-transfer-config")
    assert value
    found: dict[str, Any] = json.loads(value)
    return found


def adapter(manifests: Manifests) -> dict[str, Any] | None:
    value = option(server(manifests)["args"], "--l2-adapter")
    return json.loads(value) if value else None


def name_of(salt: str) -> str:
    """What files/salts.py makes of a salt."""
    spec = importlib.util.spec_from_file_location("salts", CHART / "files" / "salts.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return str(module.name_of(salt))
