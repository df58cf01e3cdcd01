"""What restarts pods: a change of what they read, and nothing else."""

import shutil
from pathlib import Path
from typing import Any

import pytest
from rendering import CHART, PASSWORD, Render, backend_workload, remote_backend

from lmcache_kserve.chart.manifests import Manifests

BASE: dict[str, Any] = remote_backend("redis", auth={"password": PASSWORD})


def changed(**lmcache: Any) -> dict[str, Any]:
    return {**BASE, "lmcache": lmcache}


def predictor(manifests: Manifests) -> dict[str, Any]:
    """What KServe makes the predictor's pods of."""
    service, runtime = manifests.one("InferenceService"), manifests.one("ServingRuntime")
    spec = {key: value for key, value in service["spec"]["predictor"].items() if key != "minReplicas"}
    return {"predictor": spec, "runtime": runtime["spec"], "labels": service["metadata"]["labels"]}


def backend(manifests: Manifests) -> dict[str, Any]:
    template: dict[str, Any] = backend_workload(manifests)["spec"]["template"]
    return template


def annotations(manifests: Manifests) -> dict[str, str]:
    found: dict[str, str] = manifests.one("InferenceService")["spec"]["predictor"]["annotations"]
    return found


@pytest.mark.parametrize(
    "values",
    [
        changed(chunkSize=512),
        changed(localCpu={"sizeGB": 4}),
        changed(config={"save_unfull_chunk": True}),
        changed(hashAlgorithm="builtin"),
    ],
    ids=["chunk size", "CPU tier", "free-form", "hash"],
)
def test_a_changed_lmcache_configuration_restarts_the_predictor(render: Render, values: dict[str, Any]) -> None:
    before, after = annotations(render(BASE)), annotations(render(values))
    assert {key for key in before if before[key] != after.get(key)} == {"checksum/lmcache-config"}


def test_a_changed_password_restarts_predictor_and_server(render: Render) -> None:
    before, after = render(BASE), render(remote_backend("redis", auth={"password": "another-one"}))
    assert predictor(before) != predictor(after)
    assert backend(before) != backend(after)


def test_a_changed_server_configuration_restarts_the_server_alone(render: Render) -> None:
    values = remote_backend("redis", auth={"password": PASSWORD}, config={"maxclients": 100})
    before, after = render(BASE), render(values)
    assert predictor(before) == predictor(after)
    assert backend(before) != backend(after)


def test_a_changed_token_restarts_the_predictor_alone(render: Render) -> None:
    tokens = [{**BASE, "huggingFace": {"token": token}} for token in ("hf_a", "hf_b")]
    before, after = (render(values) for values in tokens)
    assert predictor(before) != predictor(after)
    assert backend(before) == backend(after)


def test_more_replicas_restart_nothing(render: Render) -> None:
    before, after = render(BASE), render({**BASE, "predictor": {"replicas": 3}})
    assert before.one("InferenceService") != after.one("InferenceService")
    assert predictor(before) == predictor(after)
    assert backend(before) == backend(after)


@pytest.mark.parametrize("values", [BASE, remote_backend("lmcache-server")], ids=["redis", "lmcache-server"])
def test_a_new_chart_version_that_changes_nothing_restarts_nothing(
    render: Render, tmp_path: Path, values: dict[str, Any]
) -> None:
    newer = tmp_path / "lmcache-kserve"
    shutil.copytree(CHART, newer)
    metadata = (newer / "Chart.yaml").read_text(encoding="utf-8")
    (newer / "Chart.yaml").write_text(metadata.replace("\nversion: ", "\nversion: 9"), encoding="utf-8")
    before, after = render(values), render(values, chart=newer)
    assert predictor(before) == predictor(after)
    assert backend(before) == backend(after)


def test_policies_and_budgets_restart_nothing(render: Render) -> None:
    values = {**BASE, "networkPolicy": {"enabled": False}, "predictor": {"podDisruptionBudget": {"enabled": False}}}
    before, after = render(BASE), render(values)
    assert predictor(before) == predictor(after)
    assert backend(before) == backend(after)
    assert len(after) < len(before)
