"""The versions of Kubernetes and KServe that a chart and the schemas have in common."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from lmcache_kserve.chart import schemas
from lmcache_kserve.chart.contract import NEWEST_KSERVE_ANNOTATION, OLDEST_KSERVE_ANNOTATION
from lmcache_kserve.errors import HarnessError

_VERSION = re.compile(r"v?\d+\.\d+(\.\d+([-+].*)?)?")  # a cluster may say v1.34.2-eks-1234567
_BOUND = re.compile(r"(?P<operator>>=|<=|>|<)\s*v?(?P<major>\d+)\.(?P<minor>\d+)")


def kubernetes(metadata: Mapping[str, Any], wanted: str | None) -> str:
    """The Kubernetes version that a chart admits and whose schemas are here: the wanted one, or else the newest.

    Args:
        metadata: what Chart.yaml says.
        wanted: `1.34` or `1.34.2`.

    Raises:
        HarnessError: the chart or the schemas do not know the wanted version, or they have no version in common.
    """
    constraint = str(metadata.get("kubeVersion", ""))
    known = [version for version in schemas.KUBERNETES_VERSIONS if _admits(constraint, version)]
    if not known:
        raise HarnessError(f"--chart: the chart needs Kubernetes {constraint}, whose schemas are not here")
    return known[-1] if wanted is None else pick("--kube-version", wanted, known)


def known_kserve(metadata: Mapping[str, Any]) -> list[str]:
    """The KServe releases that a chart's annotations admit and whose schemas are here, oldest first.

    Raises:
        HarnessError: the chart and the schemas have no release in common.
    """
    annotations = metadata.get("annotations") or {}
    oldest, newest = (
        _numbers(str(annotations.get(name, ""))) for name in (OLDEST_KSERVE_ANNOTATION, NEWEST_KSERVE_ANNOTATION)
    )
    known = [
        version
        for version in schemas.KSERVE_VERSIONS
        if (not oldest or oldest <= _numbers(version)) and (not newest or _numbers(version)[: len(newest)] <= newest)
    ]
    if not known:
        raise HarnessError(
            f"--chart: its annotations {OLDEST_KSERVE_ANNOTATION} and {NEWEST_KSERVE_ANNOTATION} leave no known release"
        )
    return known


def stated_kserve(values: Mapping[str, Any]) -> str:
    """The KServe release that the computed values name, as major.minor; empty where they name none."""
    block = values.get("kserve")
    stated = str(block.get("version", "")) if isinstance(block, dict) else ""
    return ".".join(stated.split(".")[:2])


def pick(option: str, wanted: str, known: Sequence[str]) -> str:
    """The known version that an option names.

    Raises:
        HarnessError: the option names another version.
    """
    version = schemas.pick(wanted, known) if _VERSION.fullmatch(wanted) else None
    if version is None:
        raise HarnessError(
            f"{option} {wanted} is unknown to the chart or to the schemas here; use one of {', '.join(known)}"
        )
    return version


def _admits(constraint: str, version: str) -> bool:
    """Whether a chart's kubeVersion admits a minor version; what this cannot read is left to Helm."""
    if "||" in constraint:
        return True
    major, minor = (int(part) for part in version.split("."))
    for bound in _BOUND.finditer(constraint):
        limit = (int(bound["major"]), int(bound["minor"]))
        below, above = (major, minor) < limit, (major, minor) > limit
        if {">=": below, ">": below, "<=": above, "<": not below}[bound["operator"]]:
            return False
    return True


def _numbers(version: str) -> list[int]:
    return [int(part) for part in version.split(".") if part.isdecimal()]
