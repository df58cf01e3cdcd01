"""`lmcache-kserve engines prove`: the proof of `demo` with every engine, in every mode."""

import json
import os
import shlex
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from lmcache_kserve.commands import conclusion, demo
from lmcache_kserve.commands.common import DEFAULTS, Settings, finish
from lmcache_kserve.commands.origin import made_from
from lmcache_kserve.commands.preparation import prepared
from lmcache_kserve.commands.progress import Stages
from lmcache_kserve.engine import catalog
from lmcache_kserve.engine.catalog import Pair
from lmcache_kserve.engine.find import ENGINE_VARIABLE, ensure_engine
from lmcache_kserve.errors import HarnessError
from lmcache_kserve.experiment.measurement import Measurement
from lmcache_kserve.report import engine_table
from lmcache_kserve.report.engine_table import Record

_PAIRS = 4

_PROMPT_TOKENS = {"in-process": DEFAULTS.prompt_tokens, "multiprocess": 9000}
"""On CPUs the server and the engine of mode multiprocess pickle the cache, which pays for long prompts only."""


def prove(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME]...", help="Engines to prove; by default all of them.")
    ] = None,
    *,
    settings: Settings = None,
    records: Annotated[
        Path, typer.Option(help="Folder of the records. An engine is not proven again while its record is current.")
    ] = Path("docs/reports/engines"),
    out: Annotated[Path, typer.Option(help="Folder for the report and the logs of each proof.")] = Path("out/engines"),
    again: Annotated[bool, typer.Option("--again", help="Also prove what has a current record.")] = False,
) -> None:
    """Run the proof of `demo` with every engine, in every mode, and write a record of each.

    Exits with 0 only if every outcome is the one that engines.yaml expects. An interrupted run goes on where it ended.
    """

    def run_it(console: Console) -> bool:
        chosen = _chosen(names or (), catalog.pairs())
        conclusion.prepare(records)
        conclusion.prepare(out)
        prover = _Prover(records=records, out=out, settings=tuple(settings or ()), again=again, console=console)
        return prover.prove_all(chosen)

    finish(run_it, interrupted="everything that was started has been ended; the same command goes on from here")


def _chosen(names: Sequence[str], pairs: Mapping[str, Pair]) -> list[Pair]:
    """The engines to prove, one for each pair of releases.

    Raises:
        HarnessError: there is no such engine, or the environment names another engine.
    """
    if os.environ.get(ENGINE_VARIABLE):
        raise HarnessError(f"{ENGINE_VARIABLE} names an engine, but this command installs its own: unset the variable.")
    asked = [catalog.pair(name) for name in names] or list(pairs.values())
    return list({(one := engine_table.proven_as(pair, pairs)).name: one for pair in asked}.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class _Prover:
    """Proves engines one after the other.

    Attributes:
        records: folder of the records.
        out: folder of reports and logs.
        settings: single values of the user.
        again: whether a current record is made again.
        console: where messages go.
    """

    records: Path
    out: Path
    settings: tuple[str, ...]
    again: bool
    console: Console

    def prove_all(self, pairs: Sequence[Pair]) -> bool:
        """Prove the engines in each mode; whether each outcome is the expected one."""
        cells = [(pair, mode) for pair in pairs for mode in pair.modes]
        made = []
        for number, (pair, mode) in enumerate(cells, start=1):
            self._say(f"{number} of {len(cells)}: engine {pair.name}, mode {mode}")
            file = engine_table.file_of(self.records, pair.name, mode)
            held = engine_table.read(file) if file.exists() else None
            record = self._record(pair, mode, held)
            file.write_text(record.text, encoding="utf-8")
            told = [
                record.outcome,
                f"in {record.duration_s / 60:.1f} minutes" if record.duration_s else "",
                record.reason,
            ]
            self._say(f"engine {pair.name}, mode {mode}: {' '.join(filter(None, told))}")
            made.append(record)
        surprises = engine_table.surprises(made, catalog.pairs())
        for surprise in surprises:
            self._say(surprise)
        return not surprises

    def _record(self, pair: Pair, mode: str, held: Record | None) -> Record:
        """The record of an engine in a mode: made now, or held because it would say the same."""
        out = self.out / f"{pair.name}-{mode}"
        options = self._options(pair, mode, out)
        record = _Draft(pair, mode, shlex.join(options.command), datetime.now(UTC))
        try:
            with prepared(pair.name, self.console, values_files=(), settings=options.settings) as renderer:
                source = made_from(renderer, pair)
                chart = renderer.versions()["chart"]
        except HarnessError as error:
            refused = record.ended("refused", reason=" ".join(str(error).split()))
            return held if held and replace(refused, started=held.started) == held else refused
        if not self.again and held and held.made_from == source:
            self._say("its record is current")
            return held
        with Stages(self.console) as stages:
            ensure_engine(stages.update, pair.name)
        shutil.rmtree(out, ignore_errors=True)
        began = time.monotonic()
        problem = None
        try:
            demo.run(options, console=self.console)
        except HarnessError as error:
            problem = error
        seen = {"duration_s": round(time.monotonic() - began, 1), "made_from": source, "chart": chart}
        if problem:
            return record.ended("failed", reason=_first_line(problem), **seen)
        report = json.loads((out / "report.json").read_text(encoding="utf-8"))
        failed = [check["summary"] for check in report["checks"] if not check["passed"]]
        return record.ended(
            "failed" if failed else "passed",
            reason="".join(failed[:1]),
            checks={check["id"]: check["passed"] for check in report["checks"]},
            median_ratio=report["ttft"]["median_ratio"],
            **seen,
        )

    def _options(self, pair: Pair, mode: str, out: Path) -> demo.Options:
        settings = (f"lmcache.mode={mode}", *self.settings)
        tokens = _PROMPT_TOKENS[mode]
        words = ["lmcache-kserve", "demo", "--engine", pair.name, f"--pairs={_PAIRS}", f"--prompt-tokens={tokens}"]
        words += ["--no-baseline", *(word for setting in settings for word in ("--set", setting))]
        return demo.Options(
            values_files=(),
            settings=settings,
            secrets={},
            model=None,
            engine=pair.name,
            measurement=Measurement(pairs=_PAIRS, prompt_tokens=tokens),
            baseline=False,
            keep=False,
            out=out,
            chart=None,
            command=tuple(words),
        )

    def _say(self, text: str) -> None:
        self.console.print(text, highlight=False, markup=False, soft_wrap=True)


@dataclass(frozen=True, slots=True)
class _Draft:
    """A record whose outcome is not known yet."""

    pair: Pair
    mode: str
    command: str
    started: datetime

    def ended(self, outcome: engine_table.Outcome, *, reason: str, **seen: Any) -> Record:  # noqa: ANN401 - fields of Record
        """The record with its outcome."""
        unseen: dict[str, Any] = {
            "duration_s": 0.0,
            "made_from": None,
            "chart": None,
            "checks": {},
            "median_ratio": None,
        }
        return Record(
            engine=self.pair.name,
            mode=self.mode,
            vllm=self.pair.vllm,
            lmcache=self.pair.lmcache,
            outcome=outcome,
            reason=reason,
            command=self.command,
            started=self.started.isoformat(timespec="seconds"),
            **(unseen | seen),
        )


def _first_line(error: HarnessError) -> str:
    """The message without the last lines of logs that follow it."""
    return str(error).partition("\n")[0]
