"""The workers of a replica: one number for memory, disk, threads, notes and messages, and the same in the harness."""

import re
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from rendering import CHART, Render, option, pod

from lmcache_kserve.lmcache.arguments import workers

SPLIT: dict[str, tuple[list[str], int | None, int, int]] = {
    # what splits: arguments, tensor parallel size, GPUs, workers
    "nothing": ([], None, 1, 1),
    "tensor": ([], None, 4, 4),
    "fewer than the GPUs": ([], 2, 4, 2),
    "pipeline": (["--pipeline-parallel-size=2"], 2, 4, 4),
    "pipeline, with the rest for tensor": (["--pipeline-parallel-size", "2"], None, 4, 4),
    "underscores": (["--pipeline_parallel_size", "4"], None, 4, 4),
    "short": (["-pp", "2"], None, 8, 8),
    "short with a sign": (["-pp=2"], None, 8, 8),
    "data": (["--data-parallel-size=2"], None, 2, 2),
    "data, short": (["-dp", "2", "--max-num-seqs", "8"], 2, 4, 4),
    "data on this node": (["--data-parallel-size=8", "-dpl", "2"], 2, 4, 4),
    "one rank of others": (["--data-parallel-size=8", "--data-parallel-rank=3"], 2, 2, 2),
    "context": (["--prefill-context-parallel-size=2"], None, 4, 4),
    "all": (["-pp=2", "-dp=2"], 2, 8, 8),
    "the last of two": (["-pp", "4", "--pipeline-parallel-size=2"], 1, 2, 2),
    "a value like an option": (["--chat-template", "-pp", "2"], None, 2, 2),
}


def values(case: str, **more: Any) -> dict[str, Any]:
    arguments, tensor, gpus, _ = SPLIT[case]
    return {
        "runtime": {"server": "vllm", "tensorParallelSize": tensor},
        "model": {"extraArgs": arguments},
        "predictor": {"gpu": {"count": gpus}, "resources": {"limits": {"memory": "200Gi"}}},
        **more,
    }


@pytest.mark.parametrize("case", SPLIT)
def test_the_harness_counts_the_workers_that_the_chart_counts(render: Render, case: str) -> None:
    manifests = render(values(case, lmcache={"mode": "multiprocess"}))
    (server,) = (one for one in pod(manifests).spec["initContainers"] if one["name"] == "lmcache-server")
    count = SPLIT[case][-1]
    assert option(server["args"], "--max-workers") == str(count)
    assert workers(pod(manifests).command_line).count == count


@pytest.mark.parametrize("case", SPLIT)
def test_the_disk_has_room_for_every_worker(render: Render, case: str) -> None:
    disk = {"localDisk": {"enabled": True, "sizeGB": 100}}
    manifests = render(values(case, lmcache=disk))
    (volume,) = (one for one in pod(manifests).spec["volumes"] if one["name"] == "lmcache-disk")
    assert volume["emptyDir"]["sizeLimit"] == f"{SPLIT[case][-1] * 110}Gi"
    assert pod(manifests).container["resources"]["requests"]["ephemeral-storage"] == f"{SPLIT[case][-1] * 100}Gi"


def test_words_of_the_command_count_as_arguments_do(render: Render) -> None:
    command = ["python3", "-m", "vllm.entrypoints.openai.api_server", "--pipeline-parallel-size=2"]
    runtime = {"server": "vllm", "command": command}
    manifests = render({"runtime": runtime, "predictor": {"gpu": {"count": 4}}})
    assert option(pod(manifests).container["args"], "--tensor-parallel-size") == "2"
    assert workers(pod(manifests).command_line).count == 4


def test_every_option_of_the_server_that_a_template_names_is_refused_by_its_beginning() -> None:
    templates = CHART / "templates"
    named = {
        option
        for file in [*(templates / "inference").glob("_*.tpl"), templates / "lmcache" / "_identity.tpl"]
        for option in re.findall(r'"(--[a-z][a-z-]+[a-z])"', file.read_text(encoding="utf-8"))
    }
    read = (
        (templates / "_arguments.tpl")
        .read_text(encoding="utf-8")
        .partition('arguments.read"')[2]
        .partition("toJson")[0]
    )
    assert len(named) > 40
    assert named - set(re.findall(r'"(--[a-z-]+)"', read)) == {"--config"}


@pytest.mark.parametrize("server", ["vllm", "huggingfaceserver"])
def test_both_servers_are_counted_by_their_gpus(render: Render, server: str) -> None:
    manifests = render({"runtime": {"server": server}, "predictor": {"gpu": {"count": 4}}})
    assert workers(pod(manifests).command_line).world_size == 4


@pytest.mark.parametrize(("case", "said"), [("nothing", False), ("all", True)])
def test_notes_say_how_many_workers_share_a_size(
    notes: Callable[[Mapping[str, Any]], str], case: str, *, said: bool
) -> None:
    assert ("8 workers" in notes(values(case))) is said


@pytest.mark.parametrize(
    ("probe", "warned"),
    [
        ({"periodSeconds": 10, "failureThreshold": 180}, True),
        ({"periodSeconds": 10, "failureThreshold": 60}, False),
        ({"initialDelaySeconds": 30, "periodSeconds": 10, "failureThreshold": 60}, True),
        (None, False),
    ],
)
def test_notes_say_what_tools_report_of_a_replica_that_starts_slowly(
    notes: Callable[[Mapping[str, Any]], str], probe: dict[str, int] | None, *, warned: bool
) -> None:
    assert ("ProgressDeadlineExceeded" in notes({"runtime": {"probes": {"startup": probe}}})) is warned
