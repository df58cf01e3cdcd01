"""The report as JUnit XML, which continuous integration shows check by check."""

from xml.etree import ElementTree as ET

from lmcache_kserve.report.document import Report


def render_junit(report: Report) -> str:
    """One test case for each check. A check that does not apply is skipped, with its reason."""
    subject, evidence = report.evidence.subject, report.evidence
    suite = ET.Element(
        "testsuite",
        name=f"lmcache-kserve {subject.kind} {subject.backend_type}",
        tests=str(len(report.rows)),
        failures=str(len(report.failed)),
        errors="0",
        skipped=str(sum(row.result is None for row in report.rows)),
        timestamp=evidence.started.isoformat(timespec="seconds"),
        time=f"{(evidence.finished - evidence.started).total_seconds():.3f}",
    )
    for row in report.rows:
        case = ET.SubElement(suite, "testcase", classname=f"lmcache-kserve.{subject.backend_type}", name=row.check.id)
        if row.result is None:
            ET.SubElement(case, "skipped", message=row.reason or "")
        elif row.result.passed:
            ET.SubElement(case, "system-out").text = row.result.summary
        else:
            ET.SubElement(case, "failure", message=row.result.seen).text = row.result.summary
    root = ET.Element("testsuites")
    root.append(suite)
    ET.indent(root)
    return ET.tostring(root, encoding="unicode", xml_declaration=True) + "\n"
