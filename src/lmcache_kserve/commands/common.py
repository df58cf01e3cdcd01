"""What every command shares: its options, its command line for the report, its messages and exit codes."""

import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from lmcache_kserve.errors import HarnessError
from lmcache_kserve.experiment.measurement import Measurement
from lmcache_kserve.secrets import redact_command

NOT_PASSED = 1
FAILED = 2
INTERRUPTED = 130

DEFAULTS = Measurement()
"""What a command measures unless its options say otherwise."""

ValuesFiles = Annotated[
    list[Path] | None, typer.Option("-f", "--values", help="Values file on top of values/cpu.yaml; repeatable.")
]
Settings = Annotated[
    list[str] | None, typer.Option("--set", help="Single value, as helm's --set: key=value; repeatable.")
]
Pairs = Annotated[int, typer.Option(min=3, help="Pairs of cold and warm requests that TTFT is taken from.")]
PromptTokens = Annotated[int, typer.Option(min=64, help="Length of the prompts, in tokens.")]
AnswerTokens = Annotated[
    int, typer.Option(min=1, help="Length of the answers, in tokens. Long answers show small errors of a cache.")
]
ScaleOut = Annotated[
    bool, typer.Option("--scale-out", help="Also measure the first 20 requests of a new replica; takes minutes.")
]
SCALE_OUT_REQUESTS = 20
ReportFolder = Annotated[
    Path | None, typer.Option(help="Folder for report.json, report.html, report.xml and the logs.")
]


def command_words() -> tuple[str, ...]:
    """The words of the command line, for the report; secrets that their place gives away are masked."""
    return redact_command(["lmcache-kserve", *sys.argv[1:]])


def parse_secrets(arguments: Sequence[str]) -> dict[str, dict[str, str]]:
    """Read the arguments of `--secret`, `NAME/KEY=VALUE` or `NAME/KEY`, into data by key, by name.

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


def finish(run: Callable[[Console], bool], *, interrupted: str) -> None:
    """Run a command to its end and exit.

    The code is 0 if everything passed, 1 if not, 2 after a failure, and 130 after an interruption.

    Args:
        run: the command; told where messages go, says whether everything passed.
        interrupted: what has been cleaned up after an interruption, in words.

    Raises:
        typer.Exit: always.
    """
    console = Console(stderr=True)
    with _reported(console, interrupted=interrupted):
        passed = run(console)
    raise typer.Exit(code=0 if passed else NOT_PASSED)


@contextmanager
def _reported(console: Console, *, interrupted: str) -> Iterator[None]:
    """Turn a failure that the user can act on into one message, and an interruption into its exit code.

    Args:
        console: where messages go.
        interrupted: what has been cleaned up after an interruption, in words.

    Raises:
        typer.Exit: with 2 after a failure, with 130 after an interruption.
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
        raise typer.Exit(code=FAILED) from None
    except KeyboardInterrupt:
        console.print(f"interrupted: {interrupted}")
        raise typer.Exit(code=INTERRUPTED) from None
