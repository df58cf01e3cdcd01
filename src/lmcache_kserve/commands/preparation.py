"""The option `--engine`: what follows from a named engine for a run on this machine."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
import yaml
from rich.console import Console

from lmcache_kserve.chart.contract import MODE_ANNOTATION
from lmcache_kserve.chart.manifests import Manifests
from lmcache_kserve.engine.catalog import Outlook, Pair
from lmcache_kserve.errors import HarnessError

EngineName = Annotated[
    str | None,
    typer.Option(
        "--engine",
        metavar="NAME",
        help="Engine with the vLLM and LMCache of an image; `lmcache-kserve engines` lists the names. kserve.version "
        "and lmcache.version follow from the engine. runtime.server stays vllm, as no engine has KServe's own server.",
    ),
]


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
        values = {key: value for key, value in pair.values.items() if key != "runtime"}
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
