"""Values that nobody should give, anywhere in values.yaml: what may come of them, and what never may."""

import copy
import functools
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from rendering import CHART, default_values, values_key

from lmcache_kserve.chart import schemas
from lmcache_kserve.chart.helm import DEFAULT_KUBE_VERSION, ChartRefusalError, Helm, ValuesSchemaError

WRONG: tuple[Any, ...] = (
    None,
    "",
    "a word: and more",
    "a\nb",
    "{{ .Values.model.id }}",
    "'\"\\",
    -1,
    0,
    1.5,
    10**12,
    True,
    [],
    ["a"],
    {"a": "b"},
)
"""Fourteen values, of every kind that YAML has."""

_BACKENDS = (
    "redis",
    "valkey",
    "redis-sentinel",
    "lmcache-server",
    "filesystem",
    "s3",
    "mooncake",
    "infinistore",
    "custom",
)


@functools.cache
def paths() -> tuple[tuple[str, ...], ...]:
    """Every section and every value of values.yaml, but for one: the cluster's KServe alone knows predictor.extra."""
    return tuple(path for path in _below(default_values(), ()) if path != ("predictor", "extra"))


def _below(values: Mapping[str, Any], prefix: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    for key, value in values.items():
        yield (*prefix, key)
        if isinstance(value, dict):
            yield from _below(value, (*prefix, key))


def files(path: tuple[str, ...]) -> list[Path]:
    """A values file under which a value is read: that of its backend, or of its mode."""
    kind = next((kind for kind in _BACKENDS if path[:2] == ("remoteBackend", values_key(kind))), "")
    if path[:2] == ("lmcache", "multiprocess"):
        kind = "multiprocess"
    return [CHART / "ci" / f"{kind}-values.yaml"] if kind else []


def assigned(values: dict[str, Any], path: tuple[str, ...], value: object) -> dict[str, Any]:
    """Values with one more; a value in the way makes room."""
    section = values
    for key in path[:-1]:
        if not isinstance(section.get(key), dict):
            section[key] = {}
        section = section[key]
    section[path[-1]] = copy.deepcopy(value)
    return values


def fault(helm: Helm, values: Mapping[str, Any], below: list[Path]) -> str:
    """What must not come of values: neither objects that a cluster admits nor a refusal that names a value."""
    try:
        manifests = helm.template(CHART, release="llm", namespace="models", values_files=below, values=values)
    except ValuesSchemaError as error:
        return "" if any(one.path for one in error.violations) else f"a refusal that names nothing: {error}"
    except ChartRefusalError as error:
        return "" if all(one.path for one in error.violations) else f"a refusal that names nothing: {error}"
    except Exception as error:  # noqa: BLE001 - whatever it is, it is a fault of the chart
        return f"no refusal of the chart: {error}"
    refused = schemas.violations(
        manifests, kubernetes_version=DEFAULT_KUBE_VERSION, kserve_version=schemas.KSERVE_VERSIONS[-1]
    )
    return "; ".join(str(one) for one in refused)
