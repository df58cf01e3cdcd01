"""`lmcache-kserve verify`: prove a release that runs on a cluster, from outside with a kubeconfig."""

import shutil
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from lmcache_kserve.cluster.api import Api
from lmcache_kserve.cluster.target import ClusterTarget
from lmcache_kserve.commands import conclusion
from lmcache_kserve.commands.progress import Stages
from lmcache_kserve.evidence import Evidence, ReplicaLog
from lmcache_kserve.experiment.bench import Options as Measurements
from lmcache_kserve.experiment.run import run_experiment
from lmcache_kserve.secrets import redact_command

_WARMUP_PAIRS = 1
_TRAFFIC_INTERVAL_S = 1.0
_SURVIVOR_INTERVAL_S = 5.0
_KILL_ANSWER_TOKENS = 512
"""A deleted pod goes on answering for up to two seconds: the answer that is to be cut off has to take longer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What the user asked for; see `lmcache-kserve verify --help`."""

    release: str
    namespace: str
    kubeconfig: Path | None
    context: str | None
    pairs: int
    prompt_tokens: int
    faults: bool
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
            options=Measurements(
                pairs=options.pairs,
                warmup_pairs=_WARMUP_PAIRS,
                prompt_tokens=options.prompt_tokens,
                kill_answer_tokens=_KILL_ANSWER_TOKENS,
                traffic_interval_s=_TRAFFIC_INTERVAL_S,
                survivor_interval_s=_SURVIVOR_INTERVAL_S,
                faults=options.faults,
            ),
            progress=stages.update,
        )
        _reconnect(target, stages)
    if options.out:
        _write_logs(evidence, options.out / "logs")
    return conclusion.conclude(
        evidence,
        pairs=options.pairs,
        out=options.out,
        command=redact_command(options.command, target.secrets),
        values_digest=None,
        console=console,
    )


def _reconnect(target: ClusterTarget, stages: Stages) -> None:
    """Restart the replicas whose client has lost the backend for good: a proof leaves no release without its cache."""
    backend = target.backend
    if backend is None or backend.client_reconnects or not backend.was_stopped:
        return
    total = len(target.replicas)
    stages.update("repair", 0, total, f"the client of {backend.type} never reconnects: replicas are restarted")
    for index in range(total):
        target.restart_replica(index)
        stages.update("repair", index + 1, total, f"{target.replicas[index].name} is back")


def _write_logs(evidence: Evidence, folder: Path) -> None:
    """Write every replica's log, whose secrets are replaced already."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    logs: tuple[ReplicaLog, ...] = evidence.logs if isinstance(evidence.logs, tuple) else ()
    for log in logs:
        text = "".join(f"{line.time.isoformat()} {line.text}\n" for line in log.lines)
        (folder / f"{log.replica}.log").write_text(text, encoding="utf-8")
