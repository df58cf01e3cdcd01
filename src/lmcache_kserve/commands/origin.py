"""What a measurement was made from, so that a later look sees whether the chart still renders the same."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from rich.console import Console

from lmcache_kserve.chart.render import Renderer
from lmcache_kserve.commands.preparation import prepared
from lmcache_kserve.engine import catalog
from lmcache_kserve.engine.catalog import Pair
from lmcache_kserve.engine.find import DEFAULT_ENGINE, ENGINE_VARIABLE, Engine, digest_of, parts_of
from lmcache_kserve.errors import HarnessError
from lmcache_kserve.secrets import redact_command


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """What makes a measurement repeatable.

    Attributes:
        engine: name of the engine, as for `--engine`; None for the engine of the machine.
        values: the user's values files, as they were given.
        settings: single values, as for helm's --set.
        made_from: identifies the rendered objects, the mounted scripts among them, and the engine; None where that is
            not known.
    """

    engine: str | None
    values: tuple[str, ...]
    settings: tuple[str, ...]
    made_from: str | None

    @property
    def written(self) -> dict[str, Any]:
        """The origin as JSON values."""
        return {**asdict(self), "values": list(self.values), "settings": list(self.settings)}

    def without(self, secrets: Sequence[str]) -> "Origin":
        """The origin without the secrets in its settings."""
        words = redact_command([word for one in self.settings for word in ("--set", one)], secrets)
        return replace(self, settings=words[1::2])

    @classmethod
    def read(cls, content: Mapping[str, Any] | None) -> "Origin | None":
        """The origin in a report; None where the report has none."""
        if content is None:
            return None
        return cls(
            engine=content["engine"],
            values=tuple(content["values"]),
            settings=tuple(content["settings"]),
            made_from=content["made_from"],
        )


def made_from(renderer: Renderer, pair: Pair) -> str:
    """What identifies the chart, the values and the engine of a measurement.

    Raises:
        HarnessError: the chart cannot be rendered.
    """
    return f"{renderer.digest()}-{digest_of(parts_of(pair))}"


def origin_of(
    renderer: Renderer,
    *,
    engine: str | None,
    values: Sequence[Path],
    settings: Sequence[str],
    found: Engine | None = None,
) -> Origin:
    """The origin of a measurement.

    Args:
        renderer: the chart with the values of the measurement.
        engine: name of the engine, or None for the engine of the machine.
        values: the user's values files.
        settings: single values, without secrets.
        found: the engine that is used; one that this project did not install leaves `made_from` empty.

    Raises:
        HarnessError: the chart cannot be rendered.
    """
    foreign = engine is None and (
        bool(os.environ.get(ENGINE_VARIABLE)) or (found is not None and found.device == "cuda")
    )
    return Origin(
        engine=engine,
        values=tuple(map(str, values)),
        settings=tuple(settings),
        made_from=None if foreign else made_from(renderer, catalog.pair(engine or DEFAULT_ENGINE)),
    )


def is_current(origin: Origin | None, *, beneath: Sequence[Path] = ()) -> bool:
    """Whether the chart and the engine of a measurement are those of today.

    Args:
        origin: what the report says; None and an origin without `made_from` are not current.
        beneath: values files that the command itself puts below the user's.
    """
    if origin is None or origin.made_from is None:
        return False
    files = (*beneath, *map(Path, origin.values))
    quiet = Console(quiet=True)
    try:
        with prepared(origin.engine, quiet, values_files=files, settings=origin.settings) as renderer:
            return made_from(renderer, catalog.pair(origin.engine or DEFAULT_ENGINE)) == origin.made_from
    except HarnessError:
        return False
