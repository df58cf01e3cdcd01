"""`lmcache-kserve plan`: how big a cache, how fast a network, whether it pays, and a values file for it."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from lmcache_kserve import resources
from lmcache_kserve.commands.common import finish
from lmcache_kserve.errors import HarnessError
from lmcache_kserve.plan.inputs import Inputs
from lmcache_kserve.plan.plan import Plan, make
from lmcache_kserve.report import plan_table

_WIDE = 160
"""Columns where standard output is not a terminal."""


class Format(StrEnum):
    """How the plan is printed."""

    TEXT = "text"
    JSON = "json"


def plan(  # noqa: PLR0913 - one parameter per option
    *,
    model: Annotated[str, typer.Option(help="config.json of the model, its folder, or a Hugging Face id.")],
    dtype: Annotated[
        str, typer.Option(help="Data type of the weights: auto, bfloat16, float16, fp8, int4, fp4.")
    ] = "auto",
    kv_dtype: Annotated[str, typer.Option(help="Data type of the KV cache: auto, bfloat16, float16, fp8.")] = "auto",
    tensor_parallel: Annotated[int, typer.Option(help="GPUs that share each layer.")] = 1,
    pipeline_parallel: Annotated[int, typer.Option(help="Stages that share the layers.")] = 1,
    replicas: Annotated[int, typer.Option(help="Replicas of the release.")] = 2,
    gpu: Annotated[str | None, typer.Option(help="Type of the GPUs, such as H100 or L40S.")] = None,
    gpu_memory_utilization: Annotated[float, typer.Option(help="Share of GPU memory that the engine takes.")] = 0.9,
    prefill_rate: Annotated[
        float | None, typer.Option(help="Tokens that a replica computes in a second, in place of the table of GPUs.")
    ] = None,
    verify_report: Annotated[
        Path | None, typer.Option(help="report.json of verify or demo: computing and loading as measured there.")
    ] = None,
    network: Annotated[
        str | None, typer.Option(help="Line between replicas and backend, such as 25G, or GB/s such as 3.1.")
    ] = None,
    backend: Annotated[str, typer.Option(help="remoteBackend.type.")] = "redis",
    mode: Annotated[str, typer.Option(help="lmcache.mode: in-process or multiprocess.")] = "in-process",
    client: Annotated[str, typer.Option(help="client of redis, valkey and redis-sentinel: redis-py or direct.")] = "",
    chunk_size: Annotated[int, typer.Option(help="lmcache.chunkSize, in tokens.")] = 256,
    cache_size: Annotated[
        float | None, typer.Option(help="Memory for chunks in GiB. By default enough for the traffic.")
    ] = None,
    working_set: Annotated[int | None, typer.Option(help="Tokens of all prefixes that requests share.")] = None,
    trace: Annotated[
        Path | None, typer.Option(help="Recorded traffic instead: JSONL of Mooncake, or of LMCache's lookup log.")
    ] = None,
    prompt_tokens: Annotated[
        int | None, typer.Option(help="Length of a prompt. By default the mean of --trace, or else 8192.")
    ] = None,
    price_gpu_hour: Annotated[float | None, typer.Option(help="Price of one GPU for an hour.")] = None,
    price_gib_month: Annotated[float | None, typer.Option(help="Price of one GiB of the cache for a month.")] = None,
    values_out: Annotated[Path | None, typer.Option(help="File for the values. By default they are printed.")] = None,
    output: Annotated[Format, typer.Option("--format", help="How the plan is printed.")] = Format.TEXT,
) -> None:
    """Plan a release before it exists: sizes, break-even, expected TTFT, hit share, cost, and its values file.

    Exits with 0 whether offloading pays or not, and with 2 when no plan can be made.
    """
    finish(
        lambda _: _run(
            Inputs(
                model=model,
                dtype=dtype,
                kv_dtype=kv_dtype,
                tensor_parallel=tensor_parallel,
                pipeline_parallel=pipeline_parallel,
                replicas=replicas,
                gpu=gpu,
                gpu_memory_utilization=gpu_memory_utilization,
                prefill_rate=prefill_rate,
                verify_report=verify_report,
                network=network,
                backend=backend,
                mode=mode,
                client=client,
                chunk_size=chunk_size,
                cache_gib=cache_size,
                working_set=working_set,
                trace=trace,
                prompt_tokens=prompt_tokens,
                price_gpu_hour=price_gpu_hour,
                price_gib_month=price_gib_month,
            ),
            output,
            values_out,
        ),
        interrupted="nothing was started",
    )


def _run(inputs: Inputs, output: Format, values_out: Path | None) -> bool:
    made = make(inputs, resources.rates_path())
    if values_out is not None:
        try:
            values_out.write_text(made.values, encoding="utf-8")
        except OSError as error:
            raise HarnessError(f"--values-out {values_out} cannot be written: {error}") from error
    _print(made, output, values_out)
    return True


def _print(made: Plan, output: Format, values_out: Path | None) -> None:
    if output is Format.JSON:
        typer.echo(plan_table.dump_json(made), nl=False)
        return
    console = Console()
    if not console.is_terminal:
        console = Console(width=_WIDE)
    console.print(plan_table.table(made), highlight=False)
    typer.echo(f"\nvalues: {values_out}" if values_out else f"\n---\n{made.values}", nl=values_out is not None)
