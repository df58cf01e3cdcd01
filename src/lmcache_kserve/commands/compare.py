"""`lmcache-kserve compare`: how fast every remote backend moves chunks on this machine, beside plain sockets."""

import json
import shlex
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from lmcache_kserve.chart.render import NAMESPACE, Renderer
from lmcache_kserve.commands import conclusion
from lmcache_kserve.commands.common import Settings, ValuesFiles, command_words, finish
from lmcache_kserve.commands.local_run import clean_up_after_others, keep_logs, run_folder
from lmcache_kserve.commands.preparation import EngineName, prepared, versions_of
from lmcache_kserve.commands.progress import Stages
from lmcache_kserve.engine.find import ensure_engine
from lmcache_kserve.errors import HarnessError
from lmcache_kserve.lmcache.backends import MULTIPROCESS
from lmcache_kserve.lmcache.rate import CHUNK_STEP_BYTES, Cell, Plan
from lmcache_kserve.local.rates import bare_cells, benchmark_cells, client_cells, fill
from lmcache_kserve.local.target import LocalTarget
from lmcache_kserve.report import rate_table
from lmcache_kserve.report.rate_table import Arm
from lmcache_kserve.secrets import redact_command

_MIB = 2**20
BACKENDS = ("redis", "valkey", "redis-sentinel", "lmcache-server", "filesystem", "mooncake")
"""Values of `remoteBackend.type` that need nothing from outside this machine."""
MODES = ("in-process", "multiprocess")
_CLIENTS = dict.fromkeys(("redis", "valkey", "redis-sentinel"), ("redis-py", "direct"))
"""Values of `client`, by the backends that have more than one in mode in-process."""
_SECTIONS = {"redis-sentinel": "redisSentinel"}
"""The values of a backend below `remoteBackend`, where they are not named as the type."""
CHUNK_MIB = (0.25, 2.0, 32.0)
"""From a small model's chunk to that of Llama-3.1-8B, 128 KiB for each of 256 tokens."""
IN_FLIGHT = (1, 4, 16)
_CELL_BYTES = 256 * _MIB
_NO_MODEL = "model.id=none"
"""No engine runs, so none reads it."""
_ROOM = {
    "redis": ("redis.maxmemory=3Gi",),
    "valkey": ("valkey.maxmemory=3Gi",),
    "redis-sentinel": ("redisSentinel.maxmemory=3Gi",),
    "mooncake": ("mooncake.store.segmentSize=4Gi", "mooncake.localBuffer=2Gi"),
}
"""By backend type, what goes below `remoteBackend`, so that the largest cell fits."""


def compare(  # noqa: PLR0913 - one parameter per option
    *,
    backend_only: Annotated[
        bool, typer.Option("--backend-only", help="Move chunks through LMCache's clients, without an engine.")
    ] = False,
    out: Annotated[Path, typer.Option(help="Folder for rates.md, rates.json and the logs.")],
    backends: Annotated[
        list[str] | None,
        typer.Option("--backend", help="remoteBackend.type; repeatable. By default every one that runs here."),
    ] = None,
    modes: Annotated[
        list[str] | None, typer.Option("--mode", help="lmcache.mode; repeatable. By default each that the backend has.")
    ] = None,
    chunk_mib: Annotated[
        list[float] | None, typer.Option(help="Size of a chunk in MiB; repeatable. By default 0.25, 2 and 32.")
    ] = None,
    in_flight: Annotated[
        list[int] | None, typer.Option(min=1, help="Chunks on their way at once; repeatable. By default 1, 4 and 16.")
    ] = None,
    values: ValuesFiles = None,
    settings: Settings = None,
    engine: EngineName = None,
) -> None:
    """Compare how fast the remote backends move chunks, in GB/s, beside plain sockets on the same machine.

    Exits with 0 only if every chunk came back, from every backend.
    """
    options = Options(
        backend_only=backend_only,
        backends=tuple(backends or ()),
        modes=tuple(modes or MODES),
        values_files=tuple(values or ()),
        settings=tuple(settings or ()),
        engine=engine,
        out=out,
        command=command_words(),
        chunk_mib=tuple(chunk_mib or CHUNK_MIB),
        in_flight=tuple(in_flight or IN_FLIGHT),
    )
    finish(lambda console: run(options, console=console), interrupted="everything that was started has been ended")


@dataclass(frozen=True, slots=True)
class Way:
    """How LMCache reaches a backend.

    Attributes:
        backend: the value of `remoteBackend.type`.
        mode: the value of `lmcache.mode`.
        client: the value of `client` below the backend's values; empty where LMCache has one client.
    """

    backend: str
    mode: str
    client: str

    @property
    def settings(self) -> tuple[str, ...]:
        """The values that select it."""
        section = f"remoteBackend.{_SECTIONS.get(self.backend, self.backend)}"
        client = (f"{section}.client={self.client}",) if self.client else ()
        general = (f"lmcache.mode={self.mode}", f"remoteBackend.type={self.backend}", "remoteBackend.waitSeconds=0")
        return (*general, *client)

    @property
    def room(self) -> tuple[str, ...]:
        """Values with which the largest cell fits, unless the user says otherwise."""
        return tuple(f"remoteBackend.{setting}" for setting in _ROOM.get(self.backend, ()))

    def __str__(self) -> str:
        """Its names, for the screen and for a folder."""
        return "-".join(filter(None, (self.backend, self.mode, self.client)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What the user asked for; see `lmcache-kserve compare --help`."""

    backend_only: bool
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
    if not options.backend_only:
        raise HarnessError("compare measures backends without an engine, and no more: give --backend-only")
    plan = options.plan
    with ExitStack() as stack:
        renderers = {
            way: stack.enter_context(
                prepared(
                    options.engine,
                    console,
                    values_files=options.values_files,
                    settings=(*way.room, *options.settings, *way.settings),
                )
            )
            for way in chosen(options.backends, options.modes)
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
                    arms.append(_arm(target, way, plan))
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


def chosen(backends: Sequence[str], modes: Sequence[str]) -> Iterator[Way]:
    """The ways to measure; without backends, every one that runs here.

    Raises:
        HarnessError: a name is not known, or LMCache has no client for a backend that was named in a mode.
    """
    for option, names, known in (("--backend", backends, BACKENDS), ("--mode", modes, MODES)):
        if unknown := next((name for name in names if name not in known), None):
            raise HarnessError(f"{option}={unknown}: choose among {', '.join(known)}")
    ways = [Way(*pair, client) for pair in product(backends or BACKENDS, modes) for client in _clients(*pair)]
    if not ways:
        raise HarnessError(f"LMCache has no client for --backend={','.join(backends)} in --mode={','.join(modes)}")
    yield from ways


def _clients(backend: str, mode: str) -> tuple[str, ...]:
    """The clients that LMCache has for a backend in a mode; an empty name where it has one."""
    if mode == "multiprocess":
        return ("",) if backend in MULTIPROCESS else ()
    return _CLIENTS.get(backend, ("",))


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
