"""The parts of a chart, each in a copy of its own: a rule that fails the render must not hide the objects.

Every part also renders the computed values: the chart's own, with the user's files and settings merged into them.
"""

import shutil
import tarfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Self

import yaml

from lmcache_kserve.chart.manifests import Manifests
from lmcache_kserve.errors import HarnessError

RULES = Path("templates") / "validate.yaml"
"""The one template that fails when values break a rule of the chart; it renders nothing."""

_VALUES = Path("templates") / "computed-values.yaml"
_VALUES_KIND = "ComputedValues"
_VALUES_TEMPLATE = f"""apiVersion: lmcache-kserve/v1
kind: {_VALUES_KIND}
metadata:
  name: values
values: {{{{ .Values | toJson }}}}
"""


@dataclass(frozen=True, slots=True)
class Rendered:
    """One part, rendered.

    Attributes:
        manifests: the objects.
        values: the computed values.
    """

    manifests: Manifests
    values: Mapping[str, Any]

    @classmethod
    def split(cls, manifests: Manifests) -> Self:
        """Take the computed values out of what a part rendered."""
        values: Mapping[str, Any] = manifests.one(_VALUES_KIND)["values"]
        others = tuple(manifest for manifest in manifests if manifest["kind"] != _VALUES_KIND)
        return cls(manifests=Manifests(objects=others, text=manifests.text), values=values)


@dataclass(frozen=True, slots=True)
class Parts:
    """A chart in copies that Helm can render.

    Attributes:
        whole: everything.
        rules: the rules alone; None where the chart has no template of rules.
        objects: everything but the rules.
        metadata: what Chart.yaml says.
    """

    whole: Path
    rules: Path | None
    objects: Path
    metadata: Mapping[str, Any]


@contextmanager
def taken_apart(chart: Path) -> Iterator[Parts]:
    """Copy the parts of a chart into a scratch folder, which is removed afterwards.

    Args:
        chart: the chart's folder or package.

    Raises:
        HarnessError: there is no chart at that path.
    """
    with TemporaryDirectory(prefix="lmcache-kserve-") as scratch:
        whole = _copy(chart, Path(scratch) / "whole")
        metadata = yaml.safe_load((whole / "Chart.yaml").read_text(encoding="utf-8"))
        objects = Path(shutil.copytree(whole, Path(scratch) / "objects"))
        rules = None
        if (objects / RULES).is_file():
            (objects / RULES).unlink()
            rules = Path(shutil.copytree(whole, Path(scratch) / "rules"))
            for template in (rules / "templates").rglob("*"):
                partial = template.name.startswith("_") and template.suffix == ".tpl"
                if template.is_file() and not partial and template != rules / RULES:
                    template.unlink()
        for part in filter(None, (whole, objects, rules)):
            (part / "templates").mkdir(exist_ok=True)
            (part / _VALUES).write_text(_VALUES_TEMPLATE, encoding="utf-8")
        yield Parts(whole=whole, rules=rules, objects=objects, metadata=metadata)


def _copy(chart: Path, target: Path) -> Path:
    """Copy a chart's folder, or unpack its package; returns the folder with Chart.yaml."""
    if chart.is_file():
        try:
            with tarfile.open(chart) as package:
                package.extractall(target, filter="data")
        except tarfile.TarError as error:
            raise HarnessError(f"--chart {chart} is not a packaged chart: {error}") from error
        folder = next((file.parent for file in sorted(target.glob("*/Chart.yaml"))), target)
    else:
        folder = target
        if chart.is_dir():
            shutil.copytree(chart, folder)
    if not (folder / "Chart.yaml").is_file():
        raise HarnessError(f"--chart {chart} is not a chart: give a folder with Chart.yaml, or its package")
    return folder
