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
    """A chart in copies that Helm can render, each made when it is asked for.

    Attributes:
        whole: a copy of everything.
        metadata: what Chart.yaml says.
    """

    whole: Path
    metadata: Mapping[str, Any]

    def rules(self) -> Path | None:
        """A copy of the rules alone, or None where the chart has no template of rules."""
        if not (self.whole / RULES).is_file():
            return None
        copy = self._copy("rules")
        for template in (copy / "templates").rglob("*"):
            partial = template.name.startswith("_") and template.suffix == ".tpl"
            if template.is_file() and not partial and template not in {copy / RULES, copy / _VALUES}:
                template.unlink()
        return copy

    def objects(self) -> Path:
        """A copy of everything but the rules."""
        copy = self._copy("objects")
        (copy / RULES).unlink(missing_ok=True)
        return copy

    def _copy(self, name: str) -> Path:
        return Path(shutil.copytree(self.whole, self.whole.with_name(f"{self.whole.name}-{name}")))


@contextmanager
def taken_apart(chart: Path) -> Iterator[Parts]:
    """Copy a chart into a scratch folder, which is removed afterwards with all that was made of the copy.

    Args:
        chart: the chart's folder or package.

    Raises:
        HarnessError: the path does not hold a chart.
    """
    with TemporaryDirectory(prefix="lmcache-kserve-") as scratch:
        whole = _copy(chart, Path(scratch) / "chart")
        metadata = _metadata(chart, whole)
        (whole / "templates").mkdir(exist_ok=True)
        (whole / _VALUES).write_text(_VALUES_TEMPLATE, encoding="utf-8")
        yield Parts(whole=whole, metadata=metadata)


def _metadata(chart: Path, folder: Path) -> Mapping[str, Any]:
    try:
        metadata = yaml.safe_load((folder / "Chart.yaml").read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise HarnessError(f"--chart {chart}: its Chart.yaml is not YAML: {' '.join(str(error).split())}") from error
    if not isinstance(metadata, dict):
        raise HarnessError(f"--chart {chart}: its Chart.yaml holds no keys")
    return metadata


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
