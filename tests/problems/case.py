"""One set of values that cannot work, and how the tables of this package write one."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rendering import remote_backend, values_key

SECRET: dict[str, Any] = {"existingSecret": "a"}
KNATIVE: dict[str, Any] = {"kserve": {"deploymentMode": "Knative"}}
VLLM: dict[str, Any] = {"runtime": {"server": "vllm"}}
CPU_IMAGE = {"repository": "example.com/vllm-cpu", "tag": "1"}
BACKENDS_IMAGE: dict[str, Any] = {"runtime": {"image": {"repository": "example.com/kserve-backends", "tag": "1"}}}
"""Values for an image that has the clients of every backend."""

WITH_DEVICE: dict[str, Any] = {"predictor": {"resources": {"limits": {"memory": "24Gi", "rdma/hca": 1}}}}
"""Values for a predictor with a device for RDMA."""


@dataclass(frozen=True, slots=True)
class Problem:
    """Values that cannot work, and the values that the message has to name, the one to change first."""

    named: tuple[str, ...]
    values: dict[str, Any]
    namespace: str = "models"


def problem(*named: str, namespace: str = "models", **values: Any) -> Problem:
    return Problem(named=named, values=values, namespace=namespace)


def backend(kind: str, *named: str, **values: Any) -> Problem:
    paths = (f"remoteBackend.{values_key(kind)}.{name}" for name in named)
    return Problem(named=tuple(paths), values=remote_backend(kind, **values))


def labelled(label: str, cases: Mapping[str, Problem]) -> dict[str, Problem]:
    """The same cases with a label before each name."""
    return {f"{label}: {what}": case for what, case in cases.items()}


def variable(**fields: Any) -> dict[str, Any]:
    return {"env": [fields]}


def arguments(*values: str) -> dict[str, Any]:
    return {"extraArgs": list(values)}


def scaling(**values: Any) -> dict[str, Any]:
    return {"autoscaling": {"enabled": True, **values}}


def with_image(kind: str, *named: str, more: dict[str, Any] | None = None, **values: Any) -> Problem:
    """A backend's problem in an image that has its client."""
    case = backend(kind, *named, **values)
    device = WITH_DEVICE if kind == "infinistore" else {}
    return Problem(named=case.named, values={**BACKENDS_IMAGE, **device, **case.values, **(more or {})})


def whole(kind: str, *named: str, **values: Any) -> Problem:
    """A problem of a value that is not the backend's, with that backend chosen."""
    return Problem(named=named, values={**BACKENDS_IMAGE, **remote_backend(kind), **values})
