"""`lmcache-kserve compare`: caches under load side by side, or only how fast the remote backends move chunks."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from lmcache_kserve.commands import compare_arms, compare_rates
from lmcache_kserve.commands.common import Settings, ValuesFiles, command_words, finish
from lmcache_kserve.commands.compare_loads import DEFAULTS, Loads
from lmcache_kserve.commands.preparation import EngineName
from lmcache_kserve.errors import HarnessError


def compare(  # noqa: PLR0913 - one parameter per option
    *,
    backend_only: Annotated[
        bool, typer.Option("--backend-only", help="Move chunks through LMCache's clients, without an engine.")
    ] = False,
    out: Annotated[Path, typer.Option(help="Folder for the page, the report as JSON, the plots and the logs.")],
    backends: Annotated[
        list[str] | None,
        typer.Option(
            "--backend",
            help="remoteBackend.type; repeatable. By default every one that runs here. `none` is LMCache with memory "
            "alone, and needs an engine.",
        ),
    ] = None,
    modes: Annotated[
        list[str] | None, typer.Option("--mode", help="lmcache.mode; repeatable. By default each that the backend has.")
    ] = None,
    workloads: Annotated[
        list[str] | None,
        typer.Option(
            "--workload",
            help="long-doc-qa, multi-round-chat or long-doc-permutator, as `lmcache bench engine` calls them; "
            "repeatable. By default all.",
        ),
    ] = None,
    prompt_tokens: Annotated[
        list[int] | None,
        typer.Option(min=512, help="Length of the prompts; repeatable. By default 512, 1024 and 2048."),
    ] = None,
    concurrency: Annotated[
        list[int] | None, typer.Option(min=1, max=256, help="Requests at once; repeatable. By default 1, 4 and 8.")
    ] = None,
    pressures: Annotated[
        list[str] | None,
        typer.Option(
            "--pressure",
            help="Working set above or below the engine's own cache; repeatable. By default both. Below is the "
            "control, where offloading should not pay.",
        ),
    ] = None,
    engine_cache_tokens: Annotated[
        int | None, typer.Option(min=512, help="What the engine keeps by itself. By default 8192.")
    ] = None,
    rounds: Annotated[
        int | None, typer.Option(min=2, help="Measured passes over each load; the noise needs two. By default 2.")
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(help="Folder of the model, or its Hugging Face id; by default a small one is made on the spot."),
    ] = None,
    against: Annotated[
        Path | None,
        typer.Option(help="compare.json of an earlier run: says how many loads lie within the intervals of that run."),
    ] = None,
    chunk_mib: Annotated[
        list[float] | None,
        typer.Option(help="With --backend-only: size of a chunk in MiB; repeatable. By default 0.25, 2 and 32."),
    ] = None,
    in_flight: Annotated[
        list[int] | None,
        typer.Option(
            min=1, help="With --backend-only: chunks on their way at once; repeatable. By default 1, 4 and 16."
        ),
    ] = None,
    values: ValuesFiles = None,
    settings: Settings = None,
    engine: EngineName = None,
) -> None:
    """Compare caches under load: none, the engine's own, LMCache's memory, and each remote backend in each mode.

    The chart renders every arm, and `lmcache bench engine` sends the requests. With --backend-only no engine runs:
    LMCache's clients move chunks, beside plain sockets. Exits with 0 only if everything was measured and every answer
    was right.
    """
    of_loads = {
        "--workload": workloads,
        "--prompt-tokens": prompt_tokens,
        "--concurrency": concurrency,
        "--pressure": pressures,
        "--engine-cache-tokens": engine_cache_tokens,
        "--rounds": rounds,
        "--model": model,
        "--against": against,
    }
    of_rates = {"--chunk-mib": chunk_mib, "--in-flight": in_flight}

    def run_rates(console: Console) -> bool:
        _refuse(of_loads, "needs an engine, which --backend-only does not run: leave out one of the two")
        options = compare_rates.Options(
            backends=tuple(backends or ()),
            modes=tuple(modes or ()),
            values_files=tuple(values or ()),
            settings=tuple(settings or ()),
            engine=engine,
            out=out,
            command=command_words(),
            chunk_mib=tuple(chunk_mib or compare_rates.CHUNK_MIB),
            in_flight=tuple(in_flight or compare_rates.IN_FLIGHT),
        )
        return compare_rates.run(options, console=console)

    def run_arms(console: Console) -> bool:
        _refuse(of_rates, "is about chunks without an engine: give --backend-only too, or leave it out")
        options = compare_arms.Options(
            loads=Loads(
                workloads=tuple(workloads or DEFAULTS.workloads),
                prompt_tokens=tuple(prompt_tokens or DEFAULTS.prompt_tokens),
                concurrency=tuple(concurrency or DEFAULTS.concurrency),
                pressures=tuple(pressures or DEFAULTS.pressures),
                engine_cache_tokens=engine_cache_tokens or DEFAULTS.engine_cache_tokens,
            ),
            rounds=rounds or compare_arms.ROUNDS,
            backends=tuple(backends or ()),
            modes=tuple(modes or ()),
            model=model,
            against=against,
            values_files=tuple(values or ()),
            settings=tuple(settings or ()),
            engine=engine,
            out=out,
            command=command_words(),
        )
        return compare_arms.run(options, console=console)

    finish(run_rates if backend_only else run_arms, interrupted="everything that was started has been ended")


def _refuse(options: Mapping[str, object], why: str) -> None:
    """Refuse the first option that was given and has no part in what was asked for.

    Raises:
        HarnessError: one was given.
    """
    for name, given in options.items():
        if given:
            raise HarnessError(f"{name} {why}")
