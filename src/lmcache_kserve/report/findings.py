"""The report of an examination of values: a table for people, JSON and JUnit for programs."""

import json
from importlib import resources
from typing import Any
from xml.etree import ElementTree as ET

from jsonschema_rs import Draft202012Validator
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from lmcache_kserve.chart import policies
from lmcache_kserve.chart.examination import Examination, Finding, Kind
from lmcache_kserve.chart.manifests import VALUES

SCHEMA = "lmcache-kserve/check/v1"


def table(examination: Examination) -> RenderableType:
    """The findings as a table, with what was examined below it."""
    parts: list[RenderableType] = [_table(examination.findings)] if examination.findings else []
    broken = {one.id for one in examination.findings}
    parts += [
        Text(f"{policy.id}, for {policy.subject}: {policy.title}")
        for policy in policies.catalogue()
        if policy.id in broken
    ]
    allowed = dict.fromkeys((one.finding.object, one.value, one.reason) for one in examination.exempt)
    parts += [
        Text(f"{name} breaks a policy, which {value} allows: {reason}.", style="dim") for name, value, reason in allowed
    ]
    parts += [
        Text(f"{name} belongs to an operator, whose schema is not here.", style="dim")
        for name in examination.without_schema
    ]
    parts += [Text(sentence, style="yellow") for sentence in examination.not_done]
    return Group(*parts, _summary(examination))


def dump_json(examination: Examination) -> str:
    """The examination as JSON text.

    Raises:
        jsonschema_rs.ValidationError: the document breaks its own schema, which is an error of this program.
    """
    content = _document(examination)
    schema = json.loads(resources.files(__package__).joinpath("findings.schema.json").read_text(encoding="utf-8"))
    Draft202012Validator(schema).validate(content)
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


def render_junit(examination: Examination) -> str:
    """One test case for each object and kind of finding; the values are judged by rules and by their schema."""
    cases = [(VALUES, Kind.RULE), (VALUES, Kind.SCHEMA)]
    cases += [(name, kind) for name in examination.objects for kind in (Kind.SCHEMA, Kind.POLICY)]
    found: dict[tuple[str, Kind], list[Finding]] = {case: [] for case in cases}
    for finding in examination.findings:
        found[finding.object, finding.kind].append(finding)
    unjudged = {(name, Kind.SCHEMA) for name in examination.without_schema}
    suite = ET.Element(
        "testsuite",
        name=f"lmcache-kserve check {examination.chart}",
        tests=str(len(found)),
        failures=str(sum(bool(findings) for findings in found.values())),
        errors="0",
        skipped=str(len(unjudged)),
    )
    for (name, kind), findings in found.items():
        case = ET.SubElement(suite, "testcase", classname=f"lmcache-kserve.check.{kind}", name=name)
        if findings:
            text = "\n".join(_line(finding) for finding in findings)
            ET.SubElement(case, "failure", message=_line(findings[0])).text = text
        elif (name, kind) in unjudged:
            ET.SubElement(case, "skipped", message="belongs to an operator, whose schema is not here")
    ET.SubElement(suite, "system-out").text = "\n".join((_summary(examination).plain, *examination.not_done))
    root = ET.Element("testsuites")
    root.append(suite)
    ET.indent(root)
    return ET.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def _table(findings: tuple[Finding, ...]) -> Table:
    made = Table(show_lines=True)
    for title in ("finding", "object", "path", "what is wrong"):
        made.add_column(title, overflow="fold", style="bold red" if title == "finding" else None)
    for one in findings:
        made.add_row(*(Text(cell) for cell in (f"{one.kind} {one.id}", one.object, one.path, one.message)))
    return made


def _summary(examination: Examination) -> Text:
    """What was examined, with what, and how it ended: one line."""
    objects = _count(len(examination.objects), "object")
    versions = f"{examination.chart}, Kubernetes {examination.kubernetes}, KServe {examination.kserve}"
    used = f"{objects} checked ({versions}, Helm {examination.helm})"
    if examination.passed:
        return Text(f"{used}: nothing found.", style="bold green")
    counts = {kind: sum(finding.kind is kind for finding in examination.findings) for kind in Kind}
    stated = ", ".join(f"{count} of kind {kind}" for kind, count in counts.items() if count)
    return Text(f"{used}: {_count(len(examination.findings), 'finding')}, {stated}.", style="bold red")


def _count(number: int, thing: str) -> str:
    return f"{number} {thing}" if number == 1 else f"{number} {thing}s"


def _line(finding: Finding) -> str:
    where = f"{finding.object} {finding.path}" if finding.path else finding.object
    return f"{finding.kind} {finding.id}: {where}: {finding.message}"


def _document(examination: Examination) -> dict[str, Any]:
    return {
        "schema": SCHEMA,
        "passed": examination.passed,
        "versions": {
            "chart": examination.chart,
            "helm": examination.helm,
            "kubernetes": examination.kubernetes,
            "kserve": examination.kserve,
        },
        "policies": [
            {"id": policy.id, "title": policy.title, "subject": str(policy.subject)} for policy in policies.catalogue()
        ],
        "objects": list(examination.objects),
        "without_schema": list(examination.without_schema),
        "findings": [_finding(finding) for finding in examination.findings],
        "exempt": [
            {"finding": _finding(one.finding), "value": one.value, "reason": one.reason} for one in examination.exempt
        ],
        "not_done": list(examination.not_done),
    }


def _finding(finding: Finding) -> dict[str, str]:
    return {
        "kind": str(finding.kind),
        "id": finding.id,
        "object": finding.object,
        "path": finding.path,
        "message": finding.message,
    }
