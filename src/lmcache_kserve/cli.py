"""The command line: `lmcache-kserve`."""

import os
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from lmcache_kserve.commands import demo as demo_run
from lmcache_kserve.commands import faults as faults_run
from lmcache_kserve.commands import verify as verify_run
from lmcache_kserve.errors import HarnessError
from lmcache_kserve.secrets import redact_command

app = typer.Typer(
    name="lmcache-kserve",
    help="Proves that KV-cache offloading with LMCache works on KServe.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)

_FAILED = 2
_INTERRUPTED = 130
_DEFAULT_PAIRS = 12


@app.callback()
def _commands() -> None:
    """Proves that KV-cache offloading with LMCache works on KServe."""


@app.command()
def demo(  # noqa: PLR0913 - one parameter per option
    *,
    values: Annotated[
        list[Path] | None, typer.Option("-f", "--values", help="Values file on top of values/cpu.yaml; repeatable.")
    ] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="Single value, as helm's --set: key=value; repeatable.")
    ] = None,
    secrets: Annotated[
        list[str] | None,
        typer.Option(
            "--secret",
            help="Secret that a cluster would hold already: NAME/KEY=VALUE, or NAME/KEY for the value of the "
            "environment variable KEY; repeatable.",
        ),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(help="Hugging Face id or folder of the model; by default a small one is made on the spot."),
    ] = None,
    pairs: Annotated[int, typer.Option(min=3, help="Pairs of cold and warm requests that TTFT is taken from.")] = (
        _DEFAULT_PAIRS
    ),
    prompt_tokens: Annotated[int, typer.Option(min=64, help="Length of the prompts, in tokens.")] = 3000,
    baseline: Annotated[
        bool, typer.Option(help="Also run plain vLLM, to report overhead and share of the possible gain.")
    ] = True,
    keep: Annotated[bool, typer.Option("--keep", help="Leave the release running afterwards, until Ctrl-C.")] = False,
    out: Annotated[
        Path | None, typer.Option(help="Folder for report.json, report.html, report.xml and the logs.")
    ] = None,
    chart: Annotated[
        Path | None, typer.Option(help="Chart folder or package; by default the one that ships here.")
    ] = None,
) -> None:
    """Render the chart, run what it renders on this machine, and prove that its cache is shared.

    Needs no cluster, no container runtime and no root. Exits with 0 only if every check passed.
    """
    console = Console(stderr=True)
    with _reported(console, interrupted="nothing was started"):
        given = _parse_secrets(secrets or ())
    options = demo_run.Options(
        values_files=tuple(values or ()),
        settings=tuple(settings or ()),
        secrets=given,
        model=model,
        pairs=pairs,
        prompt_tokens=prompt_tokens,
        baseline=baseline,
        keep=keep,
        out=out,
        chart=chart,
        command=_command(),
    )
    with _reported(console, interrupted="everything that was started has been ended"):
        passed = demo_run.run(options, console=console)
    raise typer.Exit(code=0 if passed else 1)


@app.command()
def faults(
    *,
    out: Annotated[Path, typer.Option(help="Folder for faults.md, faults.json and the logs.")],
    backends: Annotated[
        list[str] | None,
        typer.Option("--backend", help="remoteBackend.type; repeatable. By default every one that runs here."),
    ] = None,
    values: Annotated[
        list[Path] | None, typer.Option("-f", "--values", help="Values file on top of values/cpu.yaml; repeatable.")
    ] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="Single value, as helm's --set: key=value; repeatable.")
    ] = None,
    keep: Annotated[
        Path | None, typer.Option(help="An earlier faults.json, whose rows of other backends stay in the table.")
    ] = None,
) -> None:
    """Break the remote backend in every way, on this machine, and see what it costs the service.

    Exits with 0 only if every request was answered, and hits returned wherever LMCache's client reconnects.
    """
    console = Console(stderr=True)
    options = faults_run.Options(
        backends=tuple(backends or faults_run.BACKENDS),
        values_files=tuple(values or ()),
        settings=tuple(settings or ()),
        secrets={},
        out=out,
        keep=keep,
        command=_command(),
    )
    with _reported(console, interrupted="everything that was started has been ended"):
        passed = faults_run.run(options, console=console)
    raise typer.Exit(code=0 if passed else 1)


@app.command()
def verify(  # noqa: PLR0913 - one parameter per option
    release: Annotated[str, typer.Argument(help="Name of the Helm release.")],
    *,
    namespace: Annotated[str, typer.Option("-n", "--namespace", help="Namespace of the release.")] = "default",
    kubeconfig: Annotated[
        Path | None, typer.Option(help="Kubeconfig; by default what KUBECONFIG names, or ~/.kube/config.")
    ] = None,
    context: Annotated[str | None, typer.Option(help="Context of the kubeconfig; by default its current one.")] = None,
    pairs: Annotated[int, typer.Option(min=3, help="Pairs of cold and warm requests that TTFT is taken from.")] = (
        _DEFAULT_PAIRS
    ),
    prompt_tokens: Annotated[int, typer.Option(min=64, help="Length of the prompts, in tokens.")] = 3000,
    faults: Annotated[
        bool, typer.Option("--faults/--no-faults", help="Also kill a replica and interrupt the backend.")
    ] = True,
    out: Annotated[
        Path | None, typer.Option(help="Folder for report.json, report.html, report.xml and the logs.")
    ] = None,
) -> None:
    """Prove that the cache of a release on a cluster is shared, from here with a kubeconfig.

    Kills one replica and scales the backend to 0 and back, unless --no-faults is given. Exits with 0 only if every
    check passed.
    """
    console = Console(stderr=True)
    options = verify_run.Options(
        release=release,
        namespace=namespace,
        kubeconfig=kubeconfig,
        context=context,
        pairs=pairs,
        prompt_tokens=prompt_tokens,
        faults=faults,
        out=out,
        command=_command(),
    )
    with _reported(console, interrupted="a backend that was stopped has been started again"):
        passed = verify_run.run(options, console=console)
    raise typer.Exit(code=0 if passed else 1)


def _parse_secrets(arguments: Sequence[str]) -> dict[str, dict[str, str]]:
    """Read `NAME/KEY=VALUE` and `NAME/KEY` into data by key, by name.

    Raises:
        HarnessError: an argument has another form, or names an environment variable that is not set.
    """
    secrets: dict[str, dict[str, str]] = {}
    for argument in arguments:
        place, given, value = argument.partition("=")
        name, _, key = place.partition("/")
        if not name or not key:
            raise HarnessError(f"--secret takes NAME/KEY=VALUE or NAME/KEY, not {place!r}")
        if not given and key not in os.environ:
            raise HarnessError(f"--secret {place} takes the value of the environment variable {key}, which is not set")
        secrets.setdefault(name, {})[key] = value if given else os.environ[key]
    return secrets


def _command() -> tuple[str, ...]:
    """The words of the command line, for the report."""
    return redact_command(["lmcache-kserve", *sys.argv[1:]])


@contextmanager
def _reported(console: Console, *, interrupted: str) -> Iterator[None]:
    """Turn a failure that the user can act on into one message, and an interruption into its exit code.

    Args:
        console: where messages go.
        interrupted: what has been cleaned up after an interruption, in words.
    """
    # A terminated harness cleans up as an interrupted one does.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.default_int_handler)
    try:
        yield
    except HarnessError as error:
        console.print(f"[bold red]error:[/] {escape(str(error))}", highlight=False, soft_wrap=True)
        for note in getattr(error, "__notes__", ()):
            console.print(escape(note), highlight=False, soft_wrap=True)
        raise typer.Exit(code=_FAILED) from None
    except KeyboardInterrupt:
        console.print(f"interrupted: {interrupted}")
        raise typer.Exit(code=_INTERRUPTED) from None


def main() -> None:
    """Run the command."""
    app()
