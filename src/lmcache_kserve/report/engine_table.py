"""What the proof said of each engine in each mode: the records of `lmcache-kserve engines prove`, and their tables."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Literal

from lmcache_kserve.engine.catalog import Expectation, Pair
from lmcache_kserve.errors import HarnessError

SCHEMA = "lmcache-kserve/engine/v1"

Outcome = Literal["passed", "failed", "refused"]
"""All checks passed; the proof ran and did not pass; or the proof was refused before anything was started."""

EXPECTED: Mapping[Expectation, Outcome] = {"runs": "passed", "fails": "failed", "impossible": "refused"}
"""The outcome that an expectation of the catalog foretells."""

MODES = ("in-process", "multiprocess")


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One engine in one mode.

    Attributes:
        engine: its name.
        mode: the value of `lmcache.mode`.
        vllm: release of vLLM.
        lmcache: release of LMCache.
        outcome: what the proof said.
        reason: why the proof did not pass; empty where it did.
        command: the command that shows the same.
        started: when, in ISO 8601.
        duration_s: seconds from start to end, the installation of the engine left out.
        made_from: identifies the chart, the values and the engine; None where the proof was refused.
        chart: version of the chart.
        checks: whether each check passed, by its id.
        median_ratio: TTFT cold / warm, the median of the pairs; None where none was measured.
    """

    engine: str
    mode: str
    vllm: str
    lmcache: str
    outcome: Outcome
    reason: str
    command: str
    started: str
    duration_s: float
    made_from: str | None
    chart: str | None
    checks: Mapping[str, bool]
    median_ratio: float | None

    @property
    def text(self) -> str:
        """The record as JSON text."""
        return json.dumps({"schema": SCHEMA} | asdict(self), indent=2, ensure_ascii=False) + "\n"


def file_of(folder: Path, engine: str, mode: str) -> Path:
    """Where the record of an engine and a mode is."""
    return folder / f"{engine}-{mode}.json"


def read(path: Path) -> Record:
    """The record in a file.

    Raises:
        HarnessError: the file is not a record; the message names the file.
    """
    try:
        content: Any = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        content = None
    known = {"schema", *(field.name for field in fields(Record))}
    if not isinstance(content, dict) or content.keys() != known or content.pop("schema") != SCHEMA:
        raise HarnessError(f"{path} is not a record of `lmcache-kserve engines prove`: delete it")
    return Record(**content)


def read_all(folder: Path, pairs: Mapping[str, Pair]) -> dict[tuple[str, str], Record]:
    """The records of a folder, by engine and mode. Engines with the same two releases share their records.

    Raises:
        HarnessError: a file is not a record.
    """
    found = {}
    for pair in pairs.values():
        for mode in pair.modes:
            path = file_of(folder, proven_as(pair, pairs).name, mode)
            if path.exists():
                found[pair.name, mode] = read(path)
    return found


def proven_as(pair: Pair, pairs: Mapping[str, Pair]) -> Pair:
    """The first engine with the releases of `pair`. Its proof counts for every engine with these releases."""
    return next(one for one in pairs.values() if (one.vllm, one.lmcache) == (pair.vllm, pair.lmcache))


def results(records: Mapping[tuple[str, str], Record], pairs: Mapping[str, Pair]) -> Iterator[str]:
    """The table of engines by modes, as lines of Markdown."""
    yield f"| Engine | vLLM | LMCache | {' | '.join(MODES)} |"
    yield "|---" * (3 + len(MODES)) + "|"
    for pair in pairs.values():
        cells = (_cell(records.get((pair.name, mode))) for mode in MODES)
        yield f"| `{pair.name}` | {pair.vllm} | {pair.lmcache} | {' | '.join(cells)} |"


def reasons(records: Mapping[tuple[str, str], Record], pairs: Mapping[str, Pair]) -> Iterator[str]:
    """Why an engine did not pass, as a list in Markdown."""
    for pair in pairs.values():
        for mode in MODES:
            record = records.get((pair.name, mode))
            if record is None:
                yield f"- `{pair.name}`, {mode}: not run yet. Expected: {pair.modes[mode].expect}."
            elif record.outcome != "passed":
                outlook = pair.modes[mode]
                why = outlook.reason if record.outcome == EXPECTED[outlook.expect] else record.reason
                yield f"- `{pair.name}`, {mode}: {record.outcome}. {why}"


def releases_of_kserve(records: Mapping[tuple[str, str], Record], pairs: Mapping[str, Pair]) -> Iterator[str]:
    """The table of what each release of KServe has in its image, and what this chart does with it."""
    yield "| KServe | vLLM in its image | LMCache | With this chart |"
    yield "|---|---|---|---|"
    for pair in pairs.values():
        if pair.kserve:
            passed = [mode for mode in MODES if _passed(records.get((pair.name, mode)))]
            works = f"mode {' and '.join(passed)}" if passed else "name another image in `runtime.image`"
            yield f"| {pair.kserve} | {pair.vllm} | {pair.lmcache} | {works} |"


def proven_pairs(records: Mapping[tuple[str, str], Record], pairs: Mapping[str, Pair]) -> Iterator[str]:
    """The table of the pairs that passed, as lines of Markdown."""
    yield f"| vLLM | LMCache | {' | '.join(MODES)} | In these images |"
    yield "|---" * (3 + len(MODES)) + "|"
    for pair in pairs.values():
        cells = [records.get((pair.name, mode)) for mode in MODES]
        if proven_as(pair, pairs) is pair and any(map(_passed, cells)):
            same = [one for one in pairs.values() if proven_as(one, pairs) is pair]
            images = ", ".join(f"`{image.removeprefix('docker.io/')}`" for one in same for image in one.images)
            yield f"| {pair.vllm} | {pair.lmcache} | {' | '.join(_cell(cell) for cell in cells)} | {images} |"


def surprises(records: Sequence[Record], pairs: Mapping[str, Pair]) -> list[str]:
    """What contradicts the catalog, as sentences."""
    return [
        f"{record.engine}, {record.mode}: engines.yaml says {expected}, but the proof was {record.outcome}. "
        f"{record.reason}".rstrip()
        for record in records
        if record.outcome != EXPECTED[expected := pairs[record.engine].modes[record.mode].expect]
    ]


def _passed(record: Record | None) -> bool:
    return record is not None and record.outcome == "passed"


def _cell(record: Record | None) -> str:
    """What a table says of an engine in a mode."""
    if record is None:
        return "not run yet"
    if record.outcome == "passed":
        ratio = f", {record.median_ratio:.1f} times" if record.median_ratio else ""
        return f"{len(record.checks)} checks passed{ratio}"
    return record.outcome
