"""`lmcache-kserve faults`: every backend under every fault, in every mode, on this machine."""

import json
import shlex
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from lmcache_kserve.chart.render import NAMESPACE, Renderer
from lmcache_kserve.commands import conclusion
from lmcache_kserve.commands.common import DEFAULTS, Settings, ValuesFiles, command_words, finish
from lmcache_kserve.commands.fault_rows import Breaker, with_the_missing, without_impossible
from lmcache_kserve.commands.local_run import clean_up_after_others, keep_logs, run_folder
from lmcache_kserve.commands.origin import Origin, origin_of
from lmcache_kserve.commands.preparation import EngineName, prepared, versions_of
from lmcache_kserve.commands.progress import Stages
from lmcache_kserve.commands.sizes import small
from lmcache_kserve.commands.ways import MODES, Way, with_clients
from lmcache_kserve.engine.find import Engine, ensure_engine, make_test_model
from lmcache_kserve.errors import HarnessError
from lmcache_kserve.experiment.measurement import Measurement
from lmcache_kserve.local.scenarios import faults_of
from lmcache_kserve.local.small_folder import mounted
from lmcache_kserve.local.target import LocalTarget
from lmcache_kserve.report import fault_table
from lmcache_kserve.report.fault_table import FaultRow, Run
from lmcache_kserve.secrets import redact_command
from lmcache_kserve.verdict.promises import CORRUPTED_CHUNKS

_WAIT_S = 5
"""How long a replica waits for a backend that is not there."""
_FOLDER_MIB = 128
"""As little as the other backends have (`sizes.py`)."""
_CHOSEN_BY_OPTIONS = {"lmcache.mode": "--mode", "remoteBackend.type": "--backend"}


def faults(  # noqa: PLR0913 - one parameter per option
    *,
    out: Annotated[Path, typer.Option(help="Folder for faults.md, faults.json and the logs.")],
    backends: Annotated[
        list[str] | None,
        typer.Option("--backend", help="remoteBackend.type; repeatable. By default every one that runs here."),
    ] = None,
    modes: Annotated[
        list[str] | None, typer.Option("--mode", help="lmcache.mode; repeatable. By default every one of a backend.")
    ] = None,
    clients: Annotated[
        list[str] | None,
        typer.Option("--client", help="Client of a backend that has several; repeatable. By default every one."),
    ] = None,
    corrupted: Annotated[
        int, typer.Option(min=1, help="Chunks that are changed and then asked for, of a client with a checksum.")
    ] = CORRUPTED_CHUNKS,
    values: ValuesFiles = None,
    settings: Settings = None,
    engine: EngineName = None,
    earlier: Annotated[
        Path | None,
        typer.Option(help="The faults.json of an earlier run. What passed on the chart of today is not run again."),
    ] = None,
    again: Annotated[bool, typer.Option("--again", help="Also run what passed on the chart of today.")] = False,
) -> None:
    """Break the remote backend in every way, on this machine, and see what it costs the service.

    Exits with 0 only if every request was answered right and in time, and hits returned when they were promised.
    """
    options = Options(
        backends=tuple(backends or ()),
        modes=tuple(modes or MODES),
        clients=tuple(clients or ()),
        corrupted=corrupted,
        values_files=tuple(values or ()),
        settings=tuple(settings or ()),
        engine=engine,
        out=out,
        earlier=earlier,
        again=again,
        measurement=DEFAULTS,
        command=command_words(),
    )
    finish(
        lambda console: run(options, console=console),
        interrupted=f"everything that was started has been ended; --earlier {out / 'faults.json'} goes on from here",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What the user asked for; see `lmcache-kserve faults --help`."""

    backends: tuple[str, ...]
    modes: tuple[str, ...]
    clients: tuple[str, ...]
    corrupted: int
    values_files: tuple[Path, ...]
    settings: tuple[str, ...]
    engine: str | None
    out: Path
    earlier: Path | None
    again: bool
    measurement: Measurement
    command: tuple[str, ...]


def run(options: Options, *, console: Console) -> bool:
    """Fill the table, write it, and return whether no row failed.

    Raises:
        HarnessError: nothing can be tried as asked; nothing is left running.
    """
    for setting in options.settings:
        if option := _CHOSEN_BY_OPTIONS.get(setting.partition("=")[0]):
            raise HarnessError(f"--set {setting}: give {option} instead")
    ways = chosen(options)
    with ExitStack() as stack:
        renderers = {
            way: stack.enter_context(
                prepared(
                    options.engine,
                    console,
                    values_files=options.values_files,
                    settings=(*options.settings, *settings_of(way)),
                )
            )
            for way in ways
        }
        earlier = fault_table.read(options.earlier) if options.earlier else []
        conclusion.prepare(options.out)
        clean_up_after_others(console)
        folder = stack.enter_context(run_folder())
        stages = stack.enter_context(Stages(console))
        engine = ensure_engine(stages.update, options.engine)
        table = _Table(options, engine, folder, stages, runs=[*earlier])
        model = make_test_model(engine, stages.update)
        rows = [row for way, renderer in renderers.items() for row in table.fill(way, renderer, model)]
    console.print(f"table: {options.out / 'faults.md'}")
    for one in rows:
        if one.outcome == "failed":
            subject = f"{one.backend}, {one.mode}, {one.client}, {one.fault}"
            console.print(f"failed: {subject}: {one.problem or '; '.join(one.faults)}", markup=False, soft_wrap=True)
    return not any(one.outcome == "failed" for one in rows)


def chosen(options: Options) -> list[Way]:
    """What is broken.

    Raises:
        HarnessError: there is no such backend, mode or client.
    """
    ways = list(with_clients(options.backends, options.modes))
    unknown = next((name for name in options.clients if name not in {way.client for way in ways}), None)
    if unknown:
        known = ", ".join(sorted({way.client for way in ways if way.client})) or "none, as it has one only"
        raise HarnessError(f"--client={unknown}: choose among {known}")
    return [way for way in ways if not options.clients or way.client in options.clients]


def settings_of(way: Way) -> tuple[str, ...]:
    """The values of a release that is broken: a small backend that no replica waits for."""
    folder = (f"remoteBackend.filesystem.size={_FOLDER_MIB}Mi",) if way.backend == "filesystem" else ()
    return (*way.settings, f"remoteBackend.waitSeconds={_WAIT_S}", *small(way.backend), *folder)


@dataclass(slots=True)
class _Table:
    """The table while it is filled.

    Attributes:
        options: what the user asked for.
        engine: what serves.
        folder: the run's folder.
        stages: told how far it is.
        runs: what is in the table so far.
    """

    options: Options
    engine: Engine
    folder: Path
    stages: Stages
    runs: list[Run] = field(default_factory=list)

    def fill(self, way: Way, renderer: Renderer, model: Path) -> list[FaultRow]:
        """Break a backend in every way, and write the table after each row: the next one may fail."""
        options = self.options
        origin = origin_of(
            renderer, engine=options.engine, values=options.values_files, settings=renderer.settings, found=self.engine
        )
        versions = versions_of(renderer, options.engine)
        seen: list[FaultRow] = []
        started, before = datetime.now(UTC).isoformat(timespec="seconds"), [*self.runs]
        for row, target in self._rows(way, renderer, model, origin):
            seen.append(row)
            secrets = target.secrets if target else ()
            run = fault_table.made_run(
                seen,
                command=shlex.join(redact_command(options.command, secrets)),
                started=started,
                versions=target.versions if target else versions,
                origin=origin.without(secrets).written,
            )
            self.runs = [*before, run]
            self._write()
        return seen

    def _rows(
        self, way: Way, renderer: Renderer, model: Path, origin: Origin
    ) -> Iterator[tuple[FaultRow, LocalTarget | None]]:
        """The rows that are not current, each with the release that it is of."""
        faults = faults_of(way.mode)
        with ExitStack() as stack:
            try:
                target = stack.enter_context(self._target(way, renderer, model))
                breaker = Breaker(target, self.options.measurement, self.stages, chunks=self.options.corrupted)
            except HarnessError as error:
                nobody = FaultRow(backend=way.backend, mode=way.mode, client=way.client or "unknown", fault="")
                yield from ((replace(nobody, fault=name, problem=str(error)), None) for name in faults)
                return
            reasons, possible = without_impossible(faults, way.backend, self._small_folder(target, stack))
            empty = breaker.empty
            yield from ((replace(empty, fault=name, impossible=why), target) for name, why in reasons.items())
            current = {row.key for row in self._current(origin)}
            wanted = [name for name in possible if replace(empty, fault=name).key not in current]
            if kept := len(possible) - len(wanted):
                self.stages.update(str(way), kept, len(possible), "faults passed on this chart before")
            if wanted:
                stack.callback(keep_logs, [target], self.options.out)
                for row in with_the_missing(breaker.rows(wanted), wanted, empty=empty):
                    yield row, target

    def _current(self, origin: Origin) -> Iterator[FaultRow]:
        """The rows that would say the same again."""
        if self.options.again or origin.made_from is None:
            return
        for run in self.runs:
            if (run["origin"] or {}).get("made_from") == origin.made_from:
                for row in fault_table.rows_of(run):
                    judged = row.outcome == "passed"
                    few = judged and row.corrupted is not None and row.corrupted < self.options.corrupted
                    if (judged or (row.outcome == "not judged" and row.problem is None)) and not few:
                        yield row

    def _target(self, way: Way, renderer: Renderer, model: Path) -> LocalTarget:
        return LocalTarget(
            manifests=renderer.release(f"model.id={model}"),
            namespace=NAMESPACE,
            directory=self.folder / str(way),
            engine=self.engine,
            chart_versions=versions_of(renderer, self.options.engine),
            linked=True,
        )

    @staticmethod
    def _small_folder(target: LocalTarget, stack: ExitStack) -> str | None:
        """Make the folder of a `filesystem` small for the run; why that cannot be done, else None."""
        if target.backend_type != "filesystem":
            return None
        try:
            stack.enter_context(mounted(Path(target.settings.shared_folder or ""), size_bytes=_FOLDER_MIB * 2**20))
        except HarnessError as error:
            return str(error)
        return None

    def _write(self) -> None:
        content: dict[str, Any] = fault_table.document(self.runs)
        (self.options.out / "faults.json").write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
        (self.options.out / "faults.md").write_text(fault_table.markdown(content), encoding="utf-8")
