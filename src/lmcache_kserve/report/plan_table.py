"""The plan of a release: tables for people, JSON for programs."""

import json
import re
from importlib import resources
from typing import Any

from jsonschema_rs import Draft202012Validator
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from lmcache_kserve.plan import words
from lmcache_kserve.plan.plan import Plan

SCHEMA = "lmcache-kserve/plan/v1"
_LINK = re.compile(r"https://[^\s),;]+")


def table(plan: Plan) -> RenderableType:
    """Numbers, curves, advice and verdict; the values file is not part of it."""
    links: dict[str, int] = {}
    parts: list[RenderableType] = [_numbers(plan, links), _lengths(plan)]
    if plan.sizes:
        parts.append(_sizes(plan))
    parts += [Text(f"[{number}] {link}", style="dim", overflow="fold") for link, number in links.items()]
    parts += [Text(f"→ {sentence}", style="yellow") for sentence in plan.advice]
    return Group(*parts, _verdict(plan))


def dump_json(plan: Plan) -> str:
    """The plan as JSON text.

    Raises:
        jsonschema_rs.ValidationError: the document breaks its own schema, which is an error of this program.
    """
    content = document(plan)
    schema = json.loads(resources.files(__package__).joinpath("plan.schema.json").read_text(encoding="utf-8"))
    Draft202012Validator(schema).validate(content)
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


def document(plan: Plan) -> dict[str, Any]:
    """The plan as JSON values; numbers in the base unit that `unit` names."""
    return {
        "schema": SCHEMA,
        "model": plan.model_id,
        "pays": plan.verdict.pays,
        "reason": plan.verdict.reason,
        "advice": list(plan.advice),
        "figures": [
            {
                "id": one.id,
                "title": one.title,
                "value": one.value,
                "unit": one.unit,
                "source": one.source,
                "error": one.error,
            }
            for one in plan.figures
        ],
        "ttft": [{"tokens": one.tokens, "miss_s": one.miss_s, "hit_s": one.hit_s} for one in plan.lengths],
        "hit_share": [{"cache_gib": one.gib, "share": one.share, "added": one.added} for one in plan.sizes],
        "values": plan.values,
    }


def _numbers(plan: Plan, links: dict[str, int]) -> Table:
    """The numbers; addresses become notes, whose numbers go into `links`."""
    made = Table(title=Text(plan.model_id), title_justify="left", title_style="bold")
    for title in ("what", "number", "where from", "how wrong"):
        made.add_column(title, overflow="fold", style="bold" if title == "number" else None)
    for one in plan.figures:
        source = _LINK.sub(lambda found: f"[{links.setdefault(found[0], len(links) + 1)}]", one.source)
        made.add_row(*(Text(cell) for cell in (one.title, one.text, source, one.error)))
    return made


def _lengths(plan: Plan) -> Table:
    made = Table(title="TTFT by length of the prompt, one request at a time", title_justify="left", title_style="bold")
    for title in ("tokens", "miss", "hit", "times sooner"):
        made.add_column(title, justify="right")
    for one in plan.lengths:
        times = f"{one.miss_s / one.hit_s:.1f}"
        made.add_row(f"{one.tokens:,}", words.seconds(one.miss_s), words.seconds(one.hit_s), times)
    return made


def _sizes(plan: Plan) -> Table:
    made = Table(title="Hit share by size of the cache", title_justify="left", title_style="bold")
    for title in ("GiB", "tokens found", "beside the engine's own cache"):
        made.add_column(title, justify="right")
    for one in plan.sizes:
        made.add_row(f"{one.gib:,.4g}", words.share(one.share), words.share(one.added))
    return made


def _verdict(plan: Plan) -> Text:
    if plan.verdict.pays:
        return Text(f"Offloading pays. {plan.verdict.reason}.", style="bold green")
    return Text(f"Offloading does not pay. {plan.verdict.reason}.", style="bold red")
