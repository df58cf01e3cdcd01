"""`lmcache-kserve faults`: every backend under every fault, on this machine."""

import json
import shlex
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from lmcache_kserve.chart.render import NAMESPACE, Renderer
from lmcache_kserve.commands import conclusion
from lmcache_kserve.commands.common import DEFAULTS, Settings, ValuesFiles, command_words, finish
from lmcache_kserve.commands.local_run import clean_up_after_others, keep_logs, run_folder
from lmcache_kserve.commands.preparation import EngineName, prepared, versions_of
from lmcache_kserve.commands.progress import Stages
from lmcache_kserve.commands.sizes import small
from lmcache_kserve.concurrency import first_failure
from lmcache_kserve.engine.find import ensure_engine, make_test_model
from lmcache_kserve.errors import HarnessError
from lmcache_kserve.evidence import Unreadable
from lmcache_kserve.experiment.bench import Bench
from lmcache_kserve.experiment.faults import Fault, disturb
from lmcache_kserve.experiment.journal import Journal
from lmcache_kserve.experiment.measurement import Measurement
from lmcache_kserve.local.scenarios import CUT, KILLED, RESTARTED, SLOW, Scenario, nothing, scenarios
from lmcache_kserve.local.target import LocalTarget
from lmcache_kserve.report import fault_table
from lmcache_kserve.report.fault_table import FaultRow
from lmcache_kserve.secrets import redact_command

BACKENDS = ("redis", "valkey", "redis-sentinel", "lmcache-server", "mooncake")
"""Values of `remoteBackend.type`. `filesystem` and `none` have no server that can fail, and InfiniStore needs RDMA."""
_FILLING_PROMPTS = 8
"""Twice as much as fits, with 3,000 tokens each of the test model."""
_WAIT_S = 5
"""How long a replica waits for a backend that is not there."""
_MEMORY_POLL_S = 0.2

_DOWN = "down at start"
_FULL = "full"
FAULTS = (_DOWN, SLOW, CUT, _FULL, RESTARTED, KILLED)
"""In this order: a client may not recover from the last fault."""


def faults(  # noqa: PLR0913 - one parameter per option
    *,
    out: Annotated[Path, typer.Option(help="Folder for faults.md, faults.json and the logs.")],
    backends: Annotated[
        list[str] | None,
        typer.Option("--backend", help="remoteBackend.type; repeatable. By default every one that runs here."),
    ] = None,
    values: ValuesFiles = None,
    settings: Settings = None,
    engine: EngineName = None,
    earlier: Annotated[
        Path | None, typer.Option(help="The faults.json of an earlier run; its rows of other backends stay.")
    ] = None,
) -> None:
    """Break the remote backend in every way, on this machine, and see what it costs the service.

    Exits with 0 only if every request was answered, and hits returned wherever LMCache's client reconnects.
    """
    options = Options(
        backends=tuple(backends or BACKENDS),
        values_files=tuple(values or ()),
        settings=tuple(settings or ()),
        engine=engine,
        out=out,
        earlier=earlier,
        measurement=DEFAULTS,
        command=command_words(),
    )
    finish(lambda console: run(options, console=console), interrupted="everything that was started has been ended")


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What the user asked for; see `lmcache-kserve faults --help`."""

    backends: tuple[str, ...]
    values_files: tuple[Path, ...]
    settings: tuple[str, ...]
    engine: str | None
    out: Path
    earlier: Path | None
    measurement: Measurement
    command: tuple[str, ...]


def run(options: Options, *, console: Console) -> bool:
    """Fill the table, write it, and return whether every row passed.

    Raises:
        HarnessError: no backend can be tried as asked; nothing is left running.
    """
    for backend in options.backends:
        if backend not in BACKENDS:
            raise HarnessError(
                f"--backend={backend}: no server that could fail here; choose among {', '.join(BACKENDS)}"
            )
    with ExitStack() as stack:
        renderers = {
            backend: stack.enter_context(
                prepared(
                    options.engine,
                    console,
                    values_files=options.values_files,
                    settings=(*options.settings, *_settings(backend)),
                )
            )
            for backend in options.backends
        }
        return _fill_table(options, renderers, console=console)


def _fill_table(options: Options, renderers: Mapping[str, Renderer], *, console: Console) -> bool:
    """Break the backends one after the other; whether every row passed."""
    earlier = fault_table.read(options.earlier) if options.earlier else []
    conclusion.prepare(options.out)
    clean_up_after_others(console)
    rows: list[FaultRow] = []
    versions: dict[str, str] = {}
    command = options.command
    with run_folder() as folder, Stages(console) as stages:
        engine = ensure_engine(stages.update, options.engine)
        model = make_test_model(engine, stages.update)
        for backend, renderer in renderers.items():
            with LocalTarget(
                manifests=renderer.release(f"model.id={model}"),
                namespace=NAMESPACE,
                directory=folder / backend,
                engine=engine,
                chart_versions=versions_of(renderer, options.engine),
                linked=True,
            ) as target:
                rows_of_backend = _Backend(target, options.measurement, stages).rows()
                try:
                    rows += with_the_missing(rows_of_backend, backend=backend, mode=target.mode)
                finally:
                    keep_logs([target], options.out)
                versions |= target.versions
                command = redact_command(command, target.secrets)
            # After each backend: they take minutes, and the next may fail.
            content = fault_table.document(rows, command=shlex.join(command), versions=versions, earlier=earlier)
            (options.out / "faults.json").write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
            (options.out / "faults.md").write_text(fault_table.markdown(content), encoding="utf-8")
    console.print(f"table: {options.out / 'faults.md'}")
    for one in rows:
        if not one.passed:
            console.print(f"failed: {one.backend}, {one.fault}: {one.problem or one}", markup=False)
    return all(one.passed for one in rows)


def with_the_missing(rows: Iterator[FaultRow], *, backend: str, mode: str) -> Iterator[FaultRow]:
    """The rows and, when an error ends them, one for each fault that was not tried, with the error as its problem."""
    tried: set[str] = set()
    try:
        for one in rows:
            tried.add(one.fault)
            yield one
    except HarnessError as error:
        for name in FAULTS:
            if name not in tried:
                yield FaultRow(backend=backend, mode=mode, fault=name, problem=f"the run ended: {error}")


def _settings(backend: str) -> tuple[str, ...]:
    return (f"remoteBackend.type={backend}", f"remoteBackend.waitSeconds={_WAIT_S}", *small(backend))


class _Backend:
    """One backend's rows."""

    def __init__(self, target: LocalTarget, measurement: Measurement, stages: Stages) -> None:
        backend = target.backend
        if backend is None or not backend.controllable:
            raise HarnessError(f"remoteBackend.type={target.backend_type} runs nothing here that could fail")
        self._target = target
        self._backend = backend
        self._scenarios = scenarios(backend, target.links)
        self._measurement = measurement
        self._stages = stages

    def rows(self) -> Iterator[FaultRow]:
        """Start the replicas without the backend, and go through all faults."""
        stage = self._backend.type
        self._stages.update(stage, 0, len(FAULTS), "replicas start without the backend")
        self._target.start(backend=False)
        with Bench(self._target, None, measurement=self._measurement, journal=Journal()).opened() as bench:
            bench.calibrate()
            for number, name in enumerate(FAULTS, start=1):
                one = self._row(bench, name)
                self._stages.update(stage, number, len(FAULTS), f"{name}: {'passed' if one.passed else 'FAILED'}")
                yield one

    def _row(self, bench: Bench, name: str) -> FaultRow:
        scenario = self._scenario(bench, name)
        reconnects = self._backend.client_reconnects or not scenario.breaks
        with _peak(lambda: self._backend.resident_bytes) as peak:
            fault = Fault(name=name, client_reconnects=reconnects, begin=scenario.begin, end=scenario.end)
            outage = disturb(bench, fault, stage=name)
        if not reconnects:
            self._restart_replicas(bench)
        one = FaultRow(
            backend=self._backend.type,
            mode=self._target.mode,
            fault=name,
            hits_expected=reconnects,
            memory_peak_bytes=peak[0],
        )
        return replace(one, problem=outage.why) if isinstance(outage, Unreadable) else one.seen(outage)

    def _scenario(self, bench: Bench, name: str) -> Scenario:
        return {
            _DOWN: Scenario(nothing, self._backend.start, breaks=True),
            _FULL: Scenario(lambda: _fill(bench), nothing, breaks=False),
            **self._scenarios,
        }[name]

    def _restart_replicas(self, bench: Bench) -> None:
        """Restart every replica: the client of this backend never reconnects."""
        with ThreadPoolExecutor(max_workers=len(bench.probes)) as pool:
            restarts = [pool.submit(self._target.restart_replica, probe.index) for probe in bench.probes]
            first_failure(restarts, then=self._target.stop)
        for probe in bench.probes:
            probe.reopen()


def _fill(bench: Bench) -> None:
    for turn in range(_FILLING_PROMPTS):
        bench.probes[turn % len(bench.probes)].send(bench.long_prompt(), max_tokens=1)


@contextmanager
def _peak(measure: Callable[[], int]) -> Iterator[list[int]]:
    """Watch a number in the background; the list holds the largest one seen."""
    largest = [0]
    stop = threading.Event()

    def watch() -> None:
        while not stop.wait(_MEMORY_POLL_S):
            largest[0] = max(largest[0], measure())

    thread = threading.Thread(target=watch, name="memory", daemon=True)
    thread.start()
    try:
        yield largest
    finally:
        stop.set()
        thread.join()
