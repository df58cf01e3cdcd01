"""The command line: `lmcache-kserve`, one command for each module of `commands` that is named after it."""

import typer

from lmcache_kserve.commands.check import check
from lmcache_kserve.commands.compare import compare
from lmcache_kserve.commands.demo import demo
from lmcache_kserve.commands.engines import engines
from lmcache_kserve.commands.faults import faults
from lmcache_kserve.commands.plan import plan
from lmcache_kserve.commands.soak import soak
from lmcache_kserve.commands.verify import verify

app = typer.Typer(
    name="lmcache-kserve",
    help="Proves that KV-cache offloading with LMCache works on KServe.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
app.command()(demo)
app.command()(verify)
app.command()(faults)
app.command()(soak)
app.command()(check)
app.command()(compare)
app.command()(plan)
app.add_typer(engines)


def main() -> None:
    """Run the command."""
    app()
