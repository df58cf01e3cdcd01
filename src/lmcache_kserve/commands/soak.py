"""`lmcache-kserve soak`: random faults under mixed traffic on this machine; nothing is lost, and nothing grows."""

import json
import secrets
import shlex
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from lmcache_kserve.chart.contract import BACKEND_ANNOTATION
from lmcache_kserve.chart.manifests import Manifests
from lmcache_kserve.chart.render import NAMESPACE, Renderer
from lmcache_kserve.commands import conclusion
from lmcache_kserve.commands.common import Settings, ValuesFiles, command_words, finish
from lmcache_kserve.commands.local_run import clean_up_after_others, keep_logs, run_folder, start
from lmcache_kserve.commands.origin import Origin, origin_of
from lmcache_kserve.commands.preparation import EngineName, prepared, versions_of
from lmcache_kserve.commands.progress import Stages
from lmcache_kserve.commands.sizes import SIZES, small
from lmcache_kserve.engine.find import Engine, ensure_engine, make_test_model
from lmcache_kserve.errors import HarnessError
from lmcache_kserve.evidence.soak import Soak
from lmcache_kserve.experiment.bench import Bench
from lmcache_kserve.experiment.faults import Fault
from lmcache_kserve.experiment.journal import Journal
from lmcache_kserve.experiment.measurement import Measurement
from lmcache_kserve.experiment.pool import Pool, PoolSize, ask_baseline
from lmcache_kserve.experiment.schedule import Kind
from lmcache_kserve.experiment.soak import SoakPlan, run_soak
from lmcache_kserve.local.scenarios import CUT, KILLED, RESTARTED, SLOW, scenarios
from lmcache_kserve.local.target import LocalTarget
from lmcache_kserve.report import soak_table
from lmcache_kserve.secrets import redact_command
from lmcache_kserve.verdict.soak import SoakVerdict, judge_soak

VALUES = Path(__file__).with_name("soak.yaml")
SHORTEST_MINUTES = 3
_SEED_BITS = 32
_KINDS = {
    SLOW: Kind(f"backend {SLOW}", "network", recovery_s=10.0),
    CUT: Kind(CUT, "network", recovery_s=15.0),
    RESTARTED: Kind(f"backend {RESTARTED}", "backend", recovery_s=15.0),
    KILLED: Kind(f"backend {KILLED}", "backend", recovery_s=15.0),
}
"""The faults of a backend. A backend that is full is no fault of its own here: this one always is."""


def soak(  # noqa: PLR0913 - one parameter per option
    *,
    out: Annotated[Path, typer.Option(help="Folder for soak.md, soak.json and the logs.")],
    minutes: Annotated[
        float, typer.Option(min=SHORTEST_MINUTES, help="How long the traffic lasts; the engines' starts come on top.")
    ] = 20,
    seed: Annotated[
        int | None, typer.Option(min=0, help="Decides schedule, prompts and traffic. By default a random one, printed.")
    ] = None,
    values: ValuesFiles = None,
    settings: Settings = None,
    engine: EngineName = None,
    chart: Annotated[
        Path | None, typer.Option(help="Chart folder or package; by default the one that ships here.")
    ] = None,
) -> None:
    """Run a release on this machine for a long time, under mixed traffic and random faults.

    Exits with 0 only if no request failed, no answer was wrong, hits came back after every fault, and nothing grew.
    """
    options = Options(
        minutes=minutes,
        seed=secrets.randbits(_SEED_BITS) if seed is None else seed,
        values_files=tuple(values or ()),
        settings=tuple(settings or ()),
        engine=engine,
        chart=chart,
        out=out,
        command=command_words(),
    )
    finish(lambda console: run(options, console=console), interrupted="everything that was started has been ended")


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What the user asked for; see `lmcache-kserve soak --help`."""

    minutes: float
    seed: int
    values_files: tuple[Path, ...]
    settings: tuple[str, ...]
    engine: str | None
    chart: Path | None
    out: Path
    command: tuple[str, ...]


def run(options: Options, *, console: Console) -> bool:
    """Soak the release, write what was seen, and return whether every invariant held.

    Raises:
        HarnessError: it could not be run; nothing is left running.
    """
    with ExitStack() as stack:
        renderer = stack.enter_context(
            prepared(
                options.engine,
                console,
                values_files=(VALUES, *options.values_files),
                settings=options.settings,
                chart=options.chart,
            )
        )
        backend = _backend_of(renderer.release("model.id=model"))
        sizes = small(backend)
        conclusion.prepare(options.out)
        clean_up_after_others(console)
        console.print(f"seed: {options.seed}")
        folder = stack.enter_context(run_folder())
        with Stages(console) as stages:
            engine = ensure_engine(stages.update, options.engine)
            model = f"model.id={make_test_model(engine, stages.update)}"
            machine = _Machine(options, renderer, engine, folder, stages)
            release = stack.enter_context(machine.target("release", renderer.release(*sizes, model), linked=True))
            pool = machine.pool(renderer.baseline(model), chunk_size=release.chunk_size)
            stack.callback(keep_logs, [release], options.out)
            start([release], stages)
            seen = machine.soak(release, pool)
        command = redact_command(options.command, release.secrets)
        origin = origin_of(
            renderer, engine=options.engine, values=options.values_files, settings=options.settings, found=engine
        ).without(release.secrets)
    verdict = judge_soak(seen)
    _write(seen, verdict, options.out, command=shlex.join(command), origin=None if options.chart else origin)
    _conclude(verdict, options, console)
    return verdict.passed


def _backend_of(manifests: Manifests) -> str:
    """The type of the release's backend.

    Raises:
        HarnessError: it never evicts, or there is none.
    """
    backend = str(manifests.one("InferenceService")["metadata"].get("annotations", {}).get(BACKEND_ANNOTATION))
    if backend not in SIZES:
        raise HarnessError(
            f"remoteBackend.type={backend}: a soak needs a backend that can be made small and evicts; choose among "
            f"{', '.join(SIZES)}"
        )
    return backend


@dataclass(frozen=True, slots=True)
class _Machine:
    """What the releases of one soak share."""

    options: Options
    renderer: Renderer
    engine: Engine
    folder: Path
    stages: Stages

    def target(self, name: str, manifests: Manifests, *, linked: bool = False) -> LocalTarget:
        """A release of this machine; nothing runs yet."""
        return LocalTarget(
            manifests=manifests,
            namespace=NAMESPACE,
            directory=self.folder / name,
            engine=self.engine,
            chart_versions=versions_of(self.renderer, self.options.engine),
            linked=linked,
        )

    def pool(self, baseline: Manifests, *, chunk_size: int) -> Pool:
        """The prompts, with the answers of an engine without LMCache, which is ended afterwards."""
        with self.target("baseline", baseline) as target:
            start([target], self.stages)
            with self._bench(target, self.options.seed).opened() as bench:
                return ask_baseline(bench, PoolSize(), chunk_size=chunk_size)

    def soak(self, release: LocalTarget, pool: Pool) -> Soak:
        """Soak a release that has started."""
        plan = SoakPlan(seconds=self.options.minutes * 60, seed=self.options.seed)
        # Prompts of another seed: those of the pool must not be stored by the probes for hits.
        with self._bench(release, self.options.seed + 1).opened() as bench:
            bench.calibrate()
            return run_soak(bench, pool, plan, faults=backend_faults(release), watch=release.watch)

    def _bench(self, target: LocalTarget, seed: int) -> Bench:
        journal = Journal(progress=self.stages.update)
        return Bench(target, None, measurement=Measurement(seed=seed), journal=journal)


def backend_faults(target: LocalTarget) -> dict[Kind, Fault]:
    """The faults of the backend that LMCache's client survives; none where the release does not run the backend."""
    backend = target.backend
    if backend is None or not backend.controllable:
        return {}
    return {
        _KINDS[name]: Fault(name=name, client_reconnects=True, begin=one.begin, end=one.end)
        for name, one in scenarios(backend, target.links).items()
        if backend.client_reconnects or not one.breaks
    }


def _write(seen: Soak, verdict: SoakVerdict, out: Path, *, command: str, origin: Origin | None) -> None:
    content = soak_table.document(seen, verdict, command=command, origin=origin.written if origin else None)
    (out / "soak.json").write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    (out / "soak.md").write_text(soak_table.markdown(content), encoding="utf-8")


def _conclude(verdict: SoakVerdict, options: Options, console: Console) -> None:
    for one in verdict.invariants:
        mark = "passed" if one.passed else "FAILED"
        console.print(f"{mark}: {one.name}: {one.value} (allowed: {one.limit})", markup=False, soft_wrap=True)
    console.print(f"table: {options.out / 'soak.md'}")
    if broken := verdict.first_broken:
        console.print(f"failed: {broken.name}: {broken.why}", markup=False, soft_wrap=True)
        console.print(f"again: the same schedule with --seed {options.seed}")
