"""`lmcache-kserve verify`: prove a release that runs on a cluster, from outside with a kubeconfig."""

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from lmcache_kserve.cluster.api import Api
from lmcache_kserve.cluster.target import ClusterTarget
from lmcache_kserve.commands import conclusion
from lmcache_kserve.commands.common import (
    DEFAULTS,
    SCALE_OUT_REQUESTS,
    AnswerTokens,
    Pairs,
    PromptTokens,
    ReportFolder,
    ScaleOut,
    command_words,
    finish,
)
from lmcache_kserve.commands.progress import Stages
from lmcache_kserve.evidence import Evidence, ReplicaLog
from lmcache_kserve.experiment.measurement import Measurement
from lmcache_kserve.experiment.run import run_experiment
from lmcache_kserve.secrets import redact_command

_KILL_ANSWER_TOKENS = 512
"""A deleted pod goes on answering for up to two seconds. The answer to be cut off has to take longer."""


def verify(  # noqa: PLR0913 - one parameter per option
    release: Annotated[str, typer.Argument(help="Name of the Helm release.")],
    *,
    namespace: Annotated[str, typer.Option("-n", "--namespace", help="Namespace of the release.")] = "default",
    kubeconfig: Annotated[
        Path | None, typer.Option(help="Kubeconfig; by default what KUBECONFIG names, or ~/.kube/config.")
    ] = None,
    context: Annotated[str | None, typer.Option(help="Context of the kubeconfig; by default its current one.")] = None,
    pairs: Pairs = DEFAULTS.pairs,
    prompt_tokens: PromptTokens = DEFAULTS.prompt_tokens,
    answer_tokens: AnswerTokens = DEFAULTS.answer_tokens,
    faults: Annotated[
        bool, typer.Option("--faults/--no-faults", help="Also kill a replica and interrupt the backend.")
    ] = True,
    scale_out: ScaleOut = False,
    out: ReportFolder = None,
) -> None:
    """Prove that the cache of a release on a cluster is shared, from here with a kubeconfig.

    Kills one replica and scales the backend to 0 and back, unless --no-faults is given. Exits with 0 only if every
    check passed.
    """
    options = Options(
        release=release,
        namespace=namespace,
        kubeconfig=kubeconfig,
        context=context,
        measurement=Measurement(
            pairs=pairs,
            prompt_tokens=prompt_tokens,
            answer_tokens=answer_tokens,
            kill_answer_tokens=_KILL_ANSWER_TOKENS,
            faults=faults,
            scale_out_requests=SCALE_OUT_REQUESTS if scale_out else 0,
        ),
        out=out,
        command=command_words(),
    )
    finish(
        lambda console: run(options, console=console), interrupted="a backend that was stopped has been started again"
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What the user asked for; see `lmcache-kserve verify --help`."""

    release: str
    namespace: str
    kubeconfig: Path | None
    context: str | None
    measurement: Measurement
    out: Path | None
    command: tuple[str, ...]


def run(options: Options, *, console: Console) -> bool:
    """Run the proof and return whether every check passed.

    Raises:
        HarnessError: it could not be run.
    """
    if options.out:
        conclusion.prepare(options.out)
    api = Api.connect(namespace=options.namespace, kubeconfig=options.kubeconfig, context=options.context)
    with Stages(console) as stages, ClusterTarget(api, options.release) as target:
        evidence = run_experiment(
            target,
            measurement=options.measurement,
            progress=stages.update,
        )
        _reconnect(target, stages)
    if options.out:
        _write_logs(evidence, options.out / "logs")
    return conclusion.conclude(
        evidence,
        out=options.out,
        command=redact_command(options.command, target.secrets),
        values_digest=None,
        console=console,
    )


def _reconnect(target: ClusterTarget, stages: Stages) -> None:
    """Restart the replicas of a backend whose client never reconnects: the release keeps its cache after the proof."""
    backend = target.backend
    if backend is None or backend.client_reconnects or not backend.was_stopped:
        return
    total = len(target.replicas)
    stages.update("repair", 0, total, f"the client of {backend.type} never reconnects: replicas are restarted")
    for index in range(total):
        target.restart_replica(index)
        stages.update("repair", index + 1, total, f"{target.replicas[index].name} is back")


def _write_logs(evidence: Evidence, folder: Path) -> None:
    """Write every replica's log; the experiment has masked the secrets."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    logs: tuple[ReplicaLog, ...] = evidence.logs if isinstance(evidence.logs, tuple) else ()
    for log in logs:
        text = "".join(f"{line.time.isoformat()} {line.text}\n" for line in log.lines)
        (folder / f"{log.replica}.log").write_text(text, encoding="utf-8")
