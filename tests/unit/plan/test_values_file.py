"""The values that a plan writes: by the chart's names, and rendered by the chart."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from rendering import CHART, Render

from lmcache_kserve.plan.loads import BACKENDS
from lmcache_kserve.plan.values_file import Release, served_name, text, values

RELEASE = Release(
    model_id="meta-llama/Llama-3.1-8B",
    token_bytes=131072,
    dtype="",
    kv_dtype="",
    tensor_parallel=1,
    pipeline_parallel=1,
    replicas=2,
    gpu_memory_utilization=0.9,
    mode="in-process",
    backend="redis",
    client="",
    chunk=256,
    cache_gib=100,
    prompt_gib=1,
    enabled=True,
)
LARGE = replace(
    RELEASE, tensor_parallel=2, pipeline_parallel=2, dtype="bfloat16", kv_dtype="fp8", gpu_memory_utilization=0.8
)


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_chart_renders_the_values_of_every_backend(render: Render, tmp_path: Path, backend: str) -> None:
    file = tmp_path / "values.yaml"
    file.write_text(text(replace(RELEASE, backend=backend), ["A note."]), encoding="utf-8")
    assert render(files=[file])


@pytest.mark.parametrize(
    "release",
    [
        pytest.param(LARGE, id="four GPUs"),
        pytest.param(replace(LARGE, mode="multiprocess", backend="none"), id="multiprocess without a backend"),
        pytest.param(replace(RELEASE, mode="multiprocess", prompt_gib=40), id="multiprocess with long prompts"),
        pytest.param(replace(RELEASE, backend="valkey", client="direct"), id="client"),
        pytest.param(replace(RELEASE, enabled=False), id="without LMCache"),
    ],
)
def test_the_chart_renders_what_else_a_plan_may_say(render: Render, tmp_path: Path, release: Release) -> None:
    file = tmp_path / "values.yaml"
    file.write_text(text(release, []), encoding="utf-8")
    assert render(files=[file])


def test_every_value_is_one_of_the_chart() -> None:
    chart = yaml.safe_load((CHART / "values.yaml").read_text(encoding="utf-8"))

    def unknown(given: Any, known: Any, path: str = "") -> list[str]:
        if not isinstance(given, dict) or not isinstance(known, dict) or not known:
            return []
        missing = [f"{path}{key}" for key in given if key not in known]
        return missing + [
            name for key in given if key in known for name in unknown(given[key], known[key], f"{path}{key}.")
        ]

    free = {"requests", "limits"}  # of resources: any names
    for backend in BACKENDS:
        wrong = unknown(values(replace(LARGE, backend=backend)), chart)
        assert [name for name in wrong if not free & set(name.split("."))] == []


def test_the_memory_limit_holds_the_cache_in_its_four_fifths() -> None:
    section = values(RELEASE)["remoteBackend"]["redis"]
    assert section["resources"]["limits"]["memory"] == section["resources"]["requests"]["memory"] == "125Gi"


def test_without_a_backend_the_workers_share_the_cache() -> None:
    made = values(replace(RELEASE, backend="none", tensor_parallel=4))
    assert made["lmcache"]["localCpu"]["sizeGB"] == 25
    assert made["predictor"]["resources"]["limits"]["memory"] == "119Gi"


def test_the_memory_tier_holds_two_of_the_longest_prompts() -> None:
    assert values(RELEASE)["lmcache"]["localCpu"]["sizeGB"] == 5
    assert values(replace(RELEASE, prompt_gib=40))["lmcache"]["localCpu"]["sizeGB"] == 80
    assert values(replace(RELEASE, prompt_gib=40, tensor_parallel=4))["lmcache"]["localCpu"]["sizeGB"] == 20


def test_what_the_engine_has_to_know_becomes_its_arguments() -> None:
    model = values(LARGE)["model"]
    assert model["kvBytesPerToken"] == 131072
    assert model["extraArgs"] == [
        "--dtype=bfloat16",
        "--kv-cache-dtype=fp8",
        "--pipeline-parallel-size=2",
        "--gpu-memory-utilization=0.8",
    ]
    assert "extraArgs" not in values(RELEASE)["model"]
    assert values(LARGE)["predictor"]["gpu"]["count"] == 4


def test_notes_stand_above_the_values_as_comments() -> None:
    lines = text(RELEASE, ["word " * 60, "1 % " * 60]).splitlines()
    comments = [line for line in lines if line.startswith("#")]
    assert lines[: len(comments)] == comments
    assert max(map(len, comments)) <= 120
    assert not any(line.startswith("# %") or "\x00" in line for line in comments)
    assert any("kubectl create secret generic redis-password" in line for line in comments)


@pytest.mark.parametrize(
    ("model_id", "name"),
    [("meta-llama/Llama-3.1-8B", "llama-3.1-8b"), ("Ärger", "rger"), ("a/B C", "b-c"), ("/", "model")],
)
def test_a_model_is_served_by_the_last_part_of_its_id(model_id: str, name: str) -> None:
    assert served_name(model_id) == name
