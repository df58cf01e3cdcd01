"""What every run on this machine begins with: the chart with an engine's values, and what speaks against the run."""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
import yaml
from rich.console import Console

from lmcache_kserve.chart import policies
from lmcache_kserve.chart.contract import MODE_ANNOTATION
from lmcache_kserve.chart.manifests import Manifests
from lmcache_kserve.chart.render import Renderer
from lmcache_kserve.engine.catalog import Outlook, Pair
from lmcache_kserve.engine.find import named_pair
from lmcache_kserve.errors import HarnessError

EngineName = Annotated[
    str | None,
    typer.Option(
        "--engine",
        metavar="NAME",
        help="Engine with the vLLM and LMCache of an image; `lmcache-kserve engines` lists the names. kserve.version, "
        "lmcache.version and runtime.vllmVersion follow from the engine. runtime.server stays vllm, as no engine has "
        "KServe's own server.",
    ),
]

_MODEL_STAND_IN = "model"
"""Stands for the model's path in the first render, which only checks the values."""


@contextmanager
def prepared(
    engine: str | None,
    console: Console,
    *,
    values_files: Sequence[Path],
    settings: Sequence[str],
    chart: Path | None = None,
) -> Iterator[Renderer]:
    """The chart with the values of a run, once nothing speaks against the run; nothing was started or installed.

    Args:
        engine: name of an engine, or None for the engine of this machine.
        console: where it is said that the proof is expected to fail.
        values_files: the user's values files.
        settings: the user's single values.
        chart: another chart than the one that ships here.

    Raises:
        HarnessError: the run cannot succeed; the message says which value to change.
    """
    pair = named_pair(engine) if engine else None
    with values_of(pair) as engine_files:
        renderer = Renderer.for_demo(
            chart=chart,
            values_files=values_files,
            settings=settings,
            engine_files=engine_files,
            kserve_version=pair.kserve if pair else None,
        )
        manifests = renderer.release(f"model.id={_MODEL_STAND_IN}")
        if problems := policies.hash_seed_is_fixed(manifests):
            raise HarnessError("\n".join(str(problem) for problem in problems))
        if pair is not None:
            check_mode(pair, manifests, console)
        yield renderer


def versions_of(renderer: Renderer, engine: str | None) -> dict[str, str]:
    """Versions of the chart and of Helm, and the name of the engine where one was given."""
    return renderer.versions() | ({"engine": engine} if engine else {})


@contextmanager
def values_of(pair: Pair | None) -> Iterator[tuple[Path, ...]]:
    """The values files of an engine, which lie above values/cpu.yaml and below the user's; removed at the end.

    The files do not have `runtime.server`: its dialect huggingfaceserver needs KServe's package, which no engine has.
    """
    if pair is None:
        yield ()
        return
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / f"{pair.name}.yaml"
        runtime = {key: value for key, value in pair.values["runtime"].items() if key != "server"}
        values = pair.values | {"runtime": runtime}
        file.write_text(yaml.safe_dump(values), encoding="utf-8")
        yield (file,)


def check_mode(pair: Pair, manifests: Manifests, console: Console) -> None:
    """Refuse an engine that has nothing to run in the mode of a release. Say so where the proof is expected to fail.

    Raises:
        HarnessError: the mode is impossible with the engine; the text says why.
    """
    annotations = manifests.one("InferenceService")["metadata"].get("annotations", {})
    outlook: Outlook | None = pair.modes.get(mode := annotations.get(MODE_ANNOTATION, ""))
    if outlook is None or outlook.expect == "runs":
        return
    if outlook.expect == "impossible":
        raise HarnessError(
            f"Engine {pair.name} cannot run lmcache.mode {mode}. {outlook.reason} Set lmcache.mode to another mode, or "
            "give --engine another name."
        )
    console.print(
        f"note: with engine {pair.name} the proof is expected to fail. {outlook.reason}",
        highlight=False,
        markup=False,
        soft_wrap=True,
    )
