"""`lmcache-kserve check`: render the chart with a user's values, and judge the values and every object."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from lmcache_kserve import resources
from lmcache_kserve.chart import helm_binary
from lmcache_kserve.chart.examination import Examination, Request, examine
from lmcache_kserve.chart.helm import Helm
from lmcache_kserve.commands.common import finish
from lmcache_kserve.report import findings

_UNWRAPPED = 10_000
"""Columns where standard output is not a terminal: every finding keeps one line, which other programs can search."""


class Format(StrEnum):
    """How the findings are printed."""

    TABLE = "table"
    JSON = "json"
    JUNIT = "junit"


def check(  # noqa: PLR0913 - one parameter per option
    *,
    values: Annotated[list[Path] | None, typer.Option("-f", "--values", help="Values file; repeatable.")] = None,
    settings: Annotated[list[str] | None, typer.Option("--set", help="Single value: key=value; repeatable.")] = None,
    strings: Annotated[
        list[str] | None, typer.Option("--set-string", help="Single value that is a text: key=text; repeatable.")
    ] = None,
    json_values: Annotated[
        list[str] | None, typer.Option("--set-json", help="Single value in JSON: key=json; repeatable.")
    ] = None,
    files: Annotated[
        list[str] | None, typer.Option("--set-file", help="Single value out of a file: key=path; repeatable.")
    ] = None,
    literals: Annotated[
        list[str] | None,
        typer.Option("--set-literal", help="Single value that is taken as it is: key=text; repeatable."),
    ] = None,
    namespace: Annotated[str, typer.Option("-n", "--namespace", help="Namespace of the release.")] = "default",
    release_name: Annotated[str, typer.Option(help="Name of the release.")] = "llm",
    kube_version: Annotated[
        str | None, typer.Option(help="Kubernetes version; by default the newest that chart and schemas know.")
    ] = None,
    kserve_version: Annotated[
        str | None, typer.Option(help="KServe version; by default the value kserve.version, or else the newest known.")
    ] = None,
    api_versions: Annotated[
        list[str] | None, typer.Option(help="API that the cluster has beside Kubernetes' own; repeatable.")
    ] = None,
    chart: Annotated[
        Path | None, typer.Option(help="Chart folder or package; by default the chart that comes with this command.")
    ] = None,
    output: Annotated[Format, typer.Option("--format", help="How findings are printed.")] = Format.TABLE,
) -> None:
    """Check values files without a cluster: the chart's rules, the schemas of Kubernetes and KServe, the policies.

    Exits with 0 when nothing is wrong, with 1 when there are findings, and with 2 when the check cannot be made.
    """
    finish(
        lambda _: _run(
            Request(
                chart=chart or resources.chart_path(),
                helm=Helm(helm_binary.helm()),
                values_files=tuple(values or ()),
                set_values=tuple(settings or ()),
                set_strings=tuple(strings or ()),
                set_json=tuple(json_values or ()),
                set_files=tuple(files or ()),
                set_literals=tuple(literals or ()),
                release=release_name,
                namespace=namespace,
                kube_version=kube_version,
                kserve_version=kserve_version,
                api_versions=tuple(api_versions or ()),
            ),
            output,
        ),
        interrupted="nothing was started",
    )


def _run(request: Request, output: Format) -> bool:
    examination = examine(request)
    _print(examination, output)
    return examination.passed


def _print(examination: Examination, output: Format) -> None:
    if output is Format.TABLE:
        console = Console()
        if not console.is_terminal:
            console = Console(width=_UNWRAPPED)
        console.print(findings.table(examination), highlight=False)
    else:
        typer.echo((findings.dump_json if output is Format.JSON else findings.render_junit)(examination), nl=False)
