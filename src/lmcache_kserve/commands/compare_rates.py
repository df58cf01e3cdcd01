"""`lmcache-kserve compare --backend-only`: how fast every remote backend moves chunks, beside plain sockets."""

import json
import shlex
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from rich.console import Console

from lmcache_kserve.chart.render import NAMESPACE, Renderer
from lmcache_kserve.commands import conclusion
from lmcache_kserve.commands.local_run import clean_up_after_others, keep_logs, run_folder
from lmcache_kserve.commands.origin import Origin, origin_of
from lmcache_kserve.commands.preparation import prepared, versions_of
from lmcache_kserve.commands.progress import Stages
from lmcache_kserve.commands.ways import MODES, Way, with_clients
from lmcache_kserve.engine.find import Engine, ensure_engine
from lmcache_kserve.errors import HarnessError
from lmcache_kserve.lmcache.rate import CHUNK_STEP_BYTES, Cell, Plan
from lmcache_kserve.local.rates import bare_cells, benchmark_cells, client_cells, fill
from lmcache_kserve.local.target import LocalTarget
from lmcache_kserve.report import rate_table
from lmcache_kserve.report.rate_table import Arm
from lmcache_kserve.secrets import redact_command

_MIB = 2**20
CHUNK_MIB = (0.25, 2.0, 32.0)
"""From a small model's chunk to that of Llama-3.1-8B, 128 KiB for each of 256 tokens."""
IN_FLIGHT = (1, 4, 16)
_CELL_BYTES = 256 * _MIB
_NO_MODEL = "model.id=none"
"""No engine runs, so none reads it."""
_NO_WAIT = "remoteBackend.waitSeconds=0"
"""No replica waits for the backend."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What the user asked for; see `lmcache-kserve compare --help`."""

    backends: tuple[str, ...]
    modes: tuple[str, ...]
    values_files: tuple[Path, ...]
    settings: tuple[str, ...]
    engine: str | None
    out: Path
    command: tuple[str, ...]
    chunk_mib: tuple[float, ...] = CHUNK_MIB
    in_flight: tuple[int, ...] = IN_FLIGHT

    @property
    def plan(self) -> Plan:
        """What is measured of each backend.

        Raises:
            HarnessError: no chunk has one of the sizes.
        """
        for size in self.chunk_mib:
            if size <= 0 or size * _MIB % CHUNK_STEP_BYTES:
                raise HarnessError(f"--chunk-mib={size:g}: give a multiple of {CHUNK_STEP_BYTES / _MIB:g}")
        sizes = tuple(int(size * _MIB) for size in self.chunk_mib)
        return Plan(chunk_bytes=sizes, in_flight=self.in_flight, cell_bytes=_CELL_BYTES)


def run(options: Options, *, console: Console) -> bool:
    """Measure every backend, write the table, and return whether every client could be measured.

    Raises:
        HarnessError: nothing can be measured as asked; nothing is left running.
    """
    plan = options.plan
    with ExitStack() as stack:
        renderers = {
            way: stack.enter_context(
                prepared(
                    options.engine,
                    console,
                    values_files=options.values_files,
                    settings=(*way.room, *options.settings, *way.settings, _NO_WAIT),
                )
            )
            for way in with_clients(options.backends, options.modes or MODES)
        }
        return _fill_table(options, renderers, plan, console=console)


def _fill_table(options: Options, renderers: Mapping[Way, Renderer], plan: Plan, *, console: Console) -> bool:
    """Measure the backends one after the other; whether every client could be measured."""
    conclusion.prepare(options.out)
    clean_up_after_others(console)
    arms: list[Arm] = []
    versions: dict[str, str] = {}
    command = options.command
    with run_folder() as folder, Stages(console) as stages:
        engine = ensure_engine(stages.update, options.engine)
        for number, (way, renderer) in enumerate(renderers.items()):
            stages.update("compare", number, len(renderers), str(way))
            with LocalTarget(
                manifests=renderer.release(_NO_MODEL),
                namespace=NAMESPACE,
                directory=folder / str(way),
                engine=engine,
                chart_versions=versions_of(renderer, options.engine),
            ) as target:
                try:
                    arm = _arm(target, way, plan)
                    arms.append(replace(arm, origin=_origin(options, renderer, engine).without(target.secrets).written))
                finally:
                    keep_logs([target], options.out)
                versions |= target.versions
                command = redact_command(command, target.secrets)
        stages.update("compare", len(renderers), len(renderers), "done")
    _write(arms, options.out, command=shlex.join(command), versions=versions)
    console.print(f"table: {options.out / 'rates.md'}")
    for arm in arms:
        if arm.problem:
            console.print(f"failed: {arm.backend}, {arm.mode}, {arm.client}: {arm.problem}", markup=False)
    return not any(arm.problem for arm in arms)


def _origin(options: Options, renderer: Renderer, engine: Engine) -> Origin:
    return origin_of(
        renderer, engine=options.engine, values=options.values_files, settings=renderer.settings, found=engine
    )


def _arm(target: LocalTarget, way: Way, plan: Plan) -> Arm:
    """Start the backend, and measure the bare machine, the server's benchmark and LMCache's client in turn."""
    backend = target.backend
    cells: list[Cell] = []
    try:
        if backend is not None and backend.controllable:
            backend.start()
        fill(target)
        cells += bare_cells(plan)
        cells += benchmark_cells(target, plan)
        for cell in client_cells(target, plan):
            cells.append(cell)
    except HarnessError as error:
        return Arm(way.backend, way.mode, way.client, cells, problem=str(error))
    return Arm(way.backend, way.mode, way.client, cells)


def _write(arms: Sequence[Arm], out: Path, *, command: str, versions: dict[str, str]) -> None:
    content = rate_table.document(arms, command=command, versions=versions)
    (out / "rates.json").write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    (out / "rates.md").write_text(rate_table.markdown(arms, command=command, versions=versions), encoding="utf-8")
