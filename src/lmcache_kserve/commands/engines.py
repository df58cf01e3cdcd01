"""`lmcache-kserve engines`: which engines there are, and what each of them can run; `engines prove` shows it."""

import typer
from rich.console import Console
from rich.table import Table

from lmcache_kserve.commands.common import finish
from lmcache_kserve.commands.prove_engines import prove
from lmcache_kserve.engine import catalog
from lmcache_kserve.engine.catalog import Pair
from lmcache_kserve.engine.find import is_installed, parts_of

_UNWRAPPED = 300  # characters of a line in a file or a pipe


engines = typer.Typer(name="engines", help="The engines of `demo --engine`: list them, or prove what they run.")
engines.command()(prove)


@engines.callback(invoke_without_command=True)
def without_command(context: typer.Context) -> None:
    """The engines of `demo --engine`: list them, or prove what they run."""
    if context.invoked_subcommand is None:
        list_engines()


@engines.command("list")
def list_engines() -> None:
    """List the engines: the vLLM and LMCache of each image, and what each engine can run."""
    finish(_run, interrupted="nothing was started")


def _run(_: Console) -> bool:
    console = Console()
    if not console.is_terminal:
        console = Console(width=_UNWRAPPED)
    pairs = list(catalog.pairs().values())
    console.print(_table(pairs), highlight=False)
    for pair in pairs:
        for mode, outlook in pair.modes.items():
            if outlook.reason:
                reason = f"{pair.name}, {mode}: {outlook.expect}. {outlook.reason}"
                console.print(reason, highlight=False, markup=False, soft_wrap=True)
    return True


def _table(pairs: list[Pair]) -> Table:
    """One row for each engine."""
    table = Table(
        caption="GB on disk with torch's CPU build, and with torch's build for CUDA where the CPU build cannot be had",
        caption_justify="left",
    )
    modes = list(pairs[0].modes)
    for heading in ("engine", "vLLM", "LMCache", *modes, "installed", "GB", "images"):
        table.add_column(heading, overflow="fold")
    for pair in pairs:
        table.add_row(
            pair.name,
            pair.vllm,
            pair.lmcache,
            *(pair.modes[mode].expect for mode in modes),
            "yes" if is_installed(pair) else "no",
            _size(pair),
            "\n".join(pair.images),
        )
    return table


def _size(pair: Pair) -> str:
    """Gigabytes of an engine with each build of torch; empty for an engine that cannot be installed."""
    if pair.lock is None:
        return ""
    parts = parts_of(pair)
    return f"{parts.installed_mb / 1000:.1f} or {parts.installed_mb_with_cuda / 1000:.1f}"
