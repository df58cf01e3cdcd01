"""`lmcache-kserve compare`: the same loads on every arm, each as the chart renders it."""

import json
import shlex
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import yaml
from rich.console import Console

from lmcache_kserve.chart.manifests import Manifests
from lmcache_kserve.chart.predictor import predictor_pod
from lmcache_kserve.chart.render import BASELINE_SETTINGS, NAMESPACE, Renderer
from lmcache_kserve.commands import conclusion
from lmcache_kserve.commands.compare_loads import BLOCK_TOKENS, Loads
from lmcache_kserve.commands.local_run import clean_up_after_others, keep_logs, run_folder, start
from lmcache_kserve.commands.preparation import prepared, versions_of
from lmcache_kserve.commands.progress import Stages
from lmcache_kserve.commands.ways import BACKENDS, MODES, Way, chosen
from lmcache_kserve.engine.find import Engine, ensure_engine, make_test_model
from lmcache_kserve.errors import HarnessError
from lmcache_kserve.evidence.comparison import NO_CACHE, PREFIX_CACHE, Answers, Arm, Cell, Comparison, Measured
from lmcache_kserve.experiment.arms import Asker, Loader
from lmcache_kserve.experiment.load import LoadTool
from lmcache_kserve.lmcache.arguments import option
from lmcache_kserve.local.target import LocalTarget
from lmcache_kserve.plan import config, dtypes
from lmcache_kserve.plan.layout import layout
from lmcache_kserve.report import comparison as page
from lmcache_kserve.report import repeated
from lmcache_kserve.report.mooncake import write_traces
from lmcache_kserve.secrets import redact, redact_command
from lmcache_kserve.verdict.comparison import fault_of_answers, passed, summarize
from lmcache_kserve.waiting import SystemClock

ROUNDS = 2
MEMORY = "none"
"""The value of `remoteBackend.type` for LMCache with memory alone."""
_SEED = 42
_GIB = 2**30
_SERVER_MEMORY = 1.5
"""Memory of LMCache's server in front of a backend, in engine's caches: the larger working set takes two."""
_STAND_IN = "model.id=model"
_REPORT, _PARTIAL, _PAGE, _TRACES = "compare.json", "compare.partial.json", "performance.md", "traces"


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What the user asked for; see `lmcache-kserve compare --help`."""

    loads: Loads
    rounds: int
    backends: tuple[str, ...]
    modes: tuple[str, ...]
    model: str | None
    against: Path | None
    values_files: tuple[Path, ...]
    settings: tuple[str, ...]
    engine: str | None
    out: Path
    command: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmPlan:
    """An arm before it runs: its name, `remoteBackend.type` and `lmcache.mode`, and the values that make it."""

    name: str
    backend: str
    mode: str
    settings: tuple[str, ...]


def arm_plans(backends: Sequence[str], modes: Sequence[str]) -> tuple[ArmPlan, ...]:
    """The arms to measure, the one without a cache first.

    The engine's own prefix cache works in all others, as it does in production. In mode in-process an arm with a
    backend keeps nothing in LMCache's memory, so each hit comes from the backend.

    Raises:
        HarnessError: a name is not known, or no arm is possible.
    """
    without = (*BASELINE_SETTINGS, "runtime.prefixCaching=false")
    plans = [
        ArmPlan(name=NO_CACHE, backend=MEMORY, mode="none", settings=without),
        ArmPlan(name=PREFIX_CACHE, backend=MEMORY, mode="none", settings=BASELINE_SETTINGS),
    ]
    for backend, mode in chosen(backends, modes or MODES, known=(MEMORY, *BACKENDS)):
        way = Way(backend, mode)
        kept = () if backend == MEMORY or mode == "multiprocess" else ("lmcache.localCpu.enabled=false",)
        name = f"{'memory' if backend == MEMORY else backend}, {mode}"
        settings = ("runtime.prefixCaching=true", "predictor.replicas=1", *way.settings, *kept)
        plans.append(ArmPlan(name=name, backend=backend, mode=mode, settings=settings))
    return tuple(plans)


def run(options: Options, *, console: Console) -> bool:
    """Measure every arm, write report, page and plots; whether all was measured and every answer was right.

    Raises:
        HarnessError: it could not be run as asked; nothing is left running.
    """
    options.loads.check()
    plans = arm_plans(options.backends, options.modes)
    earlier = repeated.read(options.against) if options.against else None
    with ExitStack() as stack:
        ours = stack.enter_context(values_of(options.loads.engine_cache_tokens))
        renderers = {
            plan: stack.enter_context(
                prepared(
                    options.engine,
                    console,
                    values_files=(ours, *options.values_files),
                    settings=(*options.settings, *plan.settings),
                )
            )
            for plan in plans
        }
        for renderer in renderers.values():
            check_engine_cache(renderer.release(_STAND_IN), options.loads.engine_cache_tokens)
        conclusion.prepare(options.out)
        for name in (_REPORT, _PARTIAL, _PAGE, page.LOAD_PLOT, page.BREAK_EVEN_PLOT):
            (options.out / name).unlink(missing_ok=True)
        shutil.rmtree(options.out / _TRACES, ignore_errors=True)
        clean_up_after_others(console)
        folder = stack.enter_context(run_folder())
        with Stages(console) as stages:
            engine = ensure_engine(stages.update, options.engine)
            machine = _Machine(options, renderers, engine, folder, stages)
            seen, command = machine.compare()
    words = shlex.join(command)
    write(seen, options.out, command=words)
    for arm in seen.arms:
        for problem in filter(None, (arm.problem, fault_of_answers(arm))):
            console.print(f"failed: {arm.name}: {problem}", markup=False, soft_wrap=True)
    if earlier is not None:
        found = repeated.agreement(earlier, summarize(seen))
        for words in (str(found), *found.outside):
            console.print(f"against {options.against}: {words}", markup=False, soft_wrap=True)
    console.print(f"page: {options.out / _PAGE}")
    return passed(seen)


@contextmanager
def values_of(engine_cache_tokens: int) -> Iterator[Path]:
    """A values file with one engine cache for all arms, below the user's values; removed at the end.

    The engine sets one of its blocks aside.
    """
    blocks = engine_cache_tokens // BLOCK_TOKENS + 1
    arguments = ["--dtype=float32", "--enforce-eager", f"--block-size={BLOCK_TOKENS}"]
    values = {
        "model": {
            "maxModelLen": engine_cache_tokens,
            "extraArgs": [*arguments, f"--num-gpu-blocks-override={blocks}"],
        },
        "lmcache": {"multiprocess": {"metrics": {"enabled": True}}},
    }
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "compare.yaml"
        file.write_text(yaml.safe_dump(values), encoding="utf-8")
        yield file


def check_engine_cache(manifests: Manifests, tokens: int) -> None:
    """See that an engine keeps as much by itself as the loads are made for.

    Raises:
        HarnessError: the values give it another cache.
    """
    arguments = _arguments(manifests)
    block, blocks = (option(arguments, name) for name in ("--block-size", "--num-gpu-blocks-override"))
    if not (block and blocks and int(block) * (int(blocks) - 1) == tokens):
        raise HarnessError(
            f"--engine-cache-tokens={tokens} does not fit model.extraArgs of your values: leave them out, or give them "
            f"--block-size={BLOCK_TOKENS} and --num-gpu-blocks-override={tokens // BLOCK_TOKENS + 1}"
        )


def _arguments(manifests: Manifests) -> Sequence[str]:
    """The words of the engine's command line."""
    container = predictor_pod(manifests).spec["containers"][0]
    return [*container.get("command", ()), *container.get("args", ())]


@dataclass(frozen=True, slots=True)
class _Machine:
    """What the arms of one comparison share."""

    options: Options
    renderers: Mapping[ArmPlan, Renderer]
    engine: Engine
    folder: Path
    stages: Stages

    def compare(self) -> tuple[Comparison, tuple[str, ...]]:
        """Measure all arms; the engine without a cache runs all the time, and is measured at the begin and at the end.

        Returns:
            What was seen, and the command line without the arms' secrets.
        """
        loader = Loader(tool=LoadTool(engine=self.engine, directory=self.folder / "tool"), seed=_SEED)
        loader.tool.check()
        model = str(self.options.model or make_test_model(self.engine, self.stages.update))
        control, *others = self.renderers
        seen = self._nothing_yet(model)
        self._check(model)
        command = self.options.command
        with self._target(control, model) as target:
            try:
                start([target], self.stages)
                versions = dict(target.versions)
                asker = self._asker()
                expected = asker.ask(target)
                arms = [self._control(loader, target, rounds=[1])]
                for number, plan in enumerate(others, start=1):
                    self.stages.update("arms", number, len(others) + 1, plan.name)
                    with self._target(plan, model, number=number) as other:
                        arms.append(self._arm(plan, other, loader, asker, expected))
                        versions |= other.versions
                        command = redact_command(command, other.secrets)
                    seen = replace(seen, arms=tuple(arms), versions=versions)
                    write_partial(seen, self.options.out, command=shlex.join(command))
                last = self._control(loader, target, rounds=range(2, self.options.rounds + 1))
                arms[0] = both(arms[0], last)
            finally:
                keep_logs([target], self.options.out)
        self.stages.update("arms", len(others) + 1, len(others) + 1, "done")
        return replace(seen, arms=tuple(arms), versions=versions), command

    def _check(self, model: str) -> None:
        """See that this machine can run every arm, before anything starts.

        Raises:
            HarnessError: it cannot run one; the message names the option that leaves the arm out.
        """
        for plan in self.renderers:
            try:
                with self._target(plan, model):
                    continue
            except HarnessError as error:
                error.add_note(
                    f"The arm {plan.name!r} needs this. Name the --backend and --mode to measure without it."
                )
                raise

    def _nothing_yet(self, model: str) -> Comparison:
        return Comparison(
            cells=self.options.loads.cells,
            arms=(),
            planned=tuple(plan.name for plan in self.renderers),
            engine_cache_tokens=self.options.loads.engine_cache_tokens,
            token_bytes=token_bytes(model, _arguments(next(iter(self.renderers.values())).release(_STAND_IN))),
            rounds=self.options.rounds,
            versions={},
        )

    def _asker(self) -> Asker:
        """Prompts that together are larger than the engine's own cache, so that LMCache has to load the second ones."""
        loads = self.options.loads
        longest = max(loads.prompt_tokens)
        return Asker(
            prompt_tokens=longest, prompts=loads.engine_cache_tokens // longest + 2, progress=self.stages.update
        )

    def _target(self, plan: ArmPlan, model: str, *, number: int = 0) -> LocalTarget:
        renderer = self.renderers[plan]
        settings = [f"model.id={model}"]
        if plan.mode == "multiprocess" and plan.backend != MEMORY:
            # Less than the larger working set, which is used in turn: the server has to ask the backend.
            tokens = self.options.loads.engine_cache_tokens * _SERVER_MEMORY
            size = tokens * token_bytes(model, _arguments(renderer.release(_STAND_IN))) / _GIB
            settings.append(f"lmcache.multiprocess.l1.sizeGB={size:g}")
        return LocalTarget(
            manifests=renderer.release(*settings),
            namespace=NAMESPACE,
            directory=self.folder / f"{number:02d}-{plan.name.replace(', ', '-').replace(' ', '-')}",
            engine=self.engine,
            chart_versions=versions_of(renderer, self.options.engine),
        )

    def _control(self, loader: Loader, target: LocalTarget, *, rounds: Sequence[int]) -> Arm:
        """The cells without a cache.

        Raises:
            HarnessError: they cannot be measured, so nothing can be compared.
        """
        measured = [self._measure(loader, target, NO_CACHE, cell, rounds) for cell in self.options.loads.cells]
        return Arm(name=NO_CACHE, backend=MEMORY, mode="none", measured=tuple(measured))

    def _arm(self, plan: ArmPlan, target: LocalTarget, loader: Loader, asker: Asker, expected: tuple[str, ...]) -> Arm:
        """One arm; what goes wrong ends this arm alone."""
        measured: list[Measured] = []
        answers: Answers | None = None
        problem = None
        rounds = range(1, self.options.rounds + 1)
        try:
            start([target], self.stages)
            # One by one: what was measured before a failure is kept.
            measured.extend(self._measure(loader, target, plan.name, cell, rounds) for cell in self.options.loads.cells)
            answers = asker.compare(target, expected, clock=SystemClock())
        except HarnessError as error:
            problem = redact("\n".join([str(error), *getattr(error, "__notes__", ())]), target.secrets)
        finally:
            keep_logs([target], self.options.out)
        return Arm(
            name=plan.name,
            backend=plan.backend,
            mode=plan.mode,
            measured=tuple(measured),
            answers=answers,
            problem=problem,
        )

    def _measure(self, loader: Loader, target: LocalTarget, name: str, cell: Cell, rounds: Sequence[int]) -> Measured:
        cells = self.options.loads.cells
        self.stages.update(f"loads of {name}", cells.index(cell), len(cells), str(cell))
        return loader.measure(target, cell, rounds, filled=name != NO_CACHE)


def both(first: Arm, last: Arm) -> Arm:
    """An arm that was measured twice, with the rounds of both times."""
    together = [
        Measured(cell=one.cell, rounds=(*one.rounds, *again.rounds))
        for one, again in zip(first.measured, last.measured, strict=True)
    ]
    return replace(first, measured=tuple(together))


def token_bytes(model: str, arguments: Sequence[str]) -> float:
    """Bytes of KV cache for one token of a model, as the engine keeps them.

    Raises:
        HarnessError: the model's configuration cannot be read, or says too little.
    """
    fields = config.read(model).fields
    dtype = option(arguments, "--dtype") or dtypes.AUTO
    kept = dtypes.cache(fields, dtype, option(arguments, "--kv-cache-dtype") or dtypes.AUTO)
    return layout(fields).bytes_per_token(dtypes.BYTES[kept])


def write_partial(seen: Comparison, out: Path, *, command: str) -> None:
    """Keep what is known so far, under a name and with a mark that no whole report has."""
    content = page.document(seen, command=command)
    (out / _PARTIAL).write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def write(seen: Comparison, out: Path, *, command: str) -> None:
    """Write report, page and plots."""
    content = page.document(seen, command=command)
    (out / _REPORT).write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    (out / _PAGE).write_text(page.markdown(seen, command=command), encoding="utf-8")
    write_traces(seen, out / _TRACES)
    summaries = summarize(seen)
    from lmcache_kserve.report import comparison_plot  # noqa: PLC0415 - only who draws waits for matplotlib

    comparison_plot.save_load_plot(summaries, out / page.LOAD_PLOT)
    comparison_plot.save_break_even_plot(summaries, out / page.BREAK_EVEN_PLOT)
    (out / _PARTIAL).unlink(missing_ok=True)
