"""`lmcache-kserve demo`: render, run on this machine, prove, report."""

import threading
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from lmcache_kserve.chart.render import NAMESPACE, Renderer
from lmcache_kserve.commands import conclusion
from lmcache_kserve.commands.common import (
    DEFAULTS,
    SCALE_OUT_REQUESTS,
    AnswerTokens,
    Pairs,
    PromptTokens,
    ReportFolder,
    ScaleOut,
    Settings,
    ValuesFiles,
    command_words,
    finish,
    parse_secrets,
)
from lmcache_kserve.commands.local_run import clean_up_after_others, keep_logs, run_folder, start
from lmcache_kserve.commands.origin import Origin, origin_of
from lmcache_kserve.commands.preparation import EngineName, prepared, versions_of
from lmcache_kserve.commands.progress import Stages
from lmcache_kserve.engine.find import Engine, ensure_engine, make_test_model
from lmcache_kserve.experiment.measurement import Measurement
from lmcache_kserve.experiment.run import run_experiment
from lmcache_kserve.local.target import LocalTarget
from lmcache_kserve.secrets import redact_command


def demo(  # noqa: PLR0913 - one parameter per option
    *,
    values: ValuesFiles = None,
    settings: Settings = None,
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
    engine: EngineName = None,
    pairs: Pairs = DEFAULTS.pairs,
    prompt_tokens: PromptTokens = DEFAULTS.prompt_tokens,
    answer_tokens: AnswerTokens = DEFAULTS.answer_tokens,
    baseline: Annotated[
        bool, typer.Option(help="Also run plain vLLM, to report overhead and share of the possible gain.")
    ] = True,
    scale_out: ScaleOut = False,
    keep: Annotated[bool, typer.Option("--keep", help="Leave the release running afterwards, until Ctrl-C.")] = False,
    out: ReportFolder = None,
    chart: Annotated[
        Path | None, typer.Option(help="Chart folder or package; by default the one that ships here.")
    ] = None,
) -> None:
    """Render the chart, run what it renders on this machine, and prove that its cache is shared.

    Needs no cluster, no container runtime and no root. Exits with 0 only if every check passed.
    """

    def run_it(console: Console) -> bool:
        options = Options(
            values_files=tuple(values or ()),
            settings=tuple(settings or ()),
            secrets=parse_secrets(secrets or ()),
            model=model,
            engine=engine,
            measurement=Measurement(
                pairs=pairs,
                prompt_tokens=prompt_tokens,
                answer_tokens=answer_tokens,
                scale_out_requests=SCALE_OUT_REQUESTS if scale_out else 0,
            ),
            baseline=baseline,
            keep=keep,
            out=out,
            chart=chart,
            command=command_words(),
        )
        return run(options, console=console)

    finish(run_it, interrupted="everything that was started has been ended")


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What the user asked for; see `lmcache-kserve demo --help`."""

    values_files: tuple[Path, ...]
    settings: tuple[str, ...]
    secrets: Mapping[str, Mapping[str, str]]
    model: str | None
    engine: str | None
    measurement: Measurement
    baseline: bool
    keep: bool
    out: Path | None
    chart: Path | None
    command: tuple[str, ...]


def run(options: Options, *, console: Console) -> bool:
    """Run the whole proof and return whether every check passed.

    Raises:
        HarnessError: it could not be run; nothing is left running.
    """
    with ExitStack() as stack:
        renderer = stack.enter_context(
            prepared(
                options.engine,
                console,
                values_files=options.values_files,
                settings=options.settings,
                chart=options.chart,
            )
        )
        if options.out:
            conclusion.prepare(options.out)
        clean_up_after_others(console)
        folder = stack.enter_context(run_folder())
        with Stages(console) as stages:
            engine = ensure_engine(stages.update, options.engine)
            targets = [stack.enter_context(target) for target in _targets(options, renderer, engine, folder, stages)]
            if options.out:
                stack.callback(keep_logs, targets, options.out)
            start(targets, stages)
            evidence = run_experiment(
                targets[0],
                baseline=targets[1] if options.baseline else None,
                measurement=options.measurement,
                progress=stages.update,
            )
        passed = conclusion.conclude(
            evidence,
            out=options.out,
            command=redact_command(options.command, targets[0].secrets),
            values_digest=renderer.values_digest(),
            console=console,
            origin=None if options.chart else _origin(options, renderer, engine).without(targets[0].secrets),
        )
        if options.keep:
            _wait_for_interrupt(targets[0], console)
    return passed


def _origin(options: Options, renderer: Renderer, engine: Engine) -> Origin:
    return origin_of(
        renderer, engine=options.engine, values=options.values_files, settings=options.settings, found=engine
    )


def _targets(options: Options, renderer: Renderer, engine: Engine, folder: Path, stages: Stages) -> list[LocalTarget]:
    """The release under test and, where it is wanted, plain vLLM; nothing runs yet."""
    model = f"model.id={options.model or make_test_model(engine, stages.update)}"
    releases = {"release": renderer.release(model)}
    if options.baseline:
        releases["baseline"] = renderer.baseline(model)
    return [
        LocalTarget(
            manifests=manifests,
            namespace=NAMESPACE,
            directory=folder / name,
            engine=engine,
            chart_versions=versions_of(renderer, options.engine),
            given_secrets=options.secrets,
        )
        for name, manifests in releases.items()
    ]


def _wait_for_interrupt(target: LocalTarget, console: Console) -> None:
    for replica in target.replicas:
        console.print(f"{replica.name} answers at {replica.openai_url}")
    console.print("the release keeps running until Ctrl-C")
    try:
        threading.Event().wait()
    except KeyboardInterrupt:
        console.print("ending the release")
