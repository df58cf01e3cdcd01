"""The report as JUnit XML, which continuous integration shows check by check."""

from xml.etree import ElementTree as ET

from lmcache_kserve.report.document import Report
from lmcache_kserve.verdict import CHECKS


def render_junit(report: Report) -> str:
    """One test case for each check; what does not apply is marked as skipped, with its reason."""
    subject, evidence = report.evidence.subject, report.evidence
    failures = sum(not check.passed for check in report.checks)
    suite = ET.Element(
        "testsuite",
        name=f"lmcache-kserve {subject.kind} {subject.backend_type}",
        tests=str(len(report.checks) + len(evidence.not_applicable)),
        failures=str(failures),
        errors="0",
        skipped=str(len(evidence.not_applicable)),
        timestamp=evidence.started.isoformat(timespec="seconds"),
        time=f"{(evidence.finished - evidence.started).total_seconds():.3f}",
    )
    checks = {check.id: check for check in report.checks}
    for name in CHECKS:
        if name not in checks and name not in evidence.not_applicable:
            continue
        case = ET.SubElement(suite, "testcase", classname=f"lmcache-kserve.{subject.backend_type}", name=name)
        check = checks.get(name)
        if check is None:
            ET.SubElement(case, "skipped", message=evidence.not_applicable[name])
        elif check.passed:
            ET.SubElement(case, "system-out").text = check.summary
        else:
            ET.SubElement(case, "failure", message=check.observed).text = check.summary
    root = ET.Element("testsuites")
    root.append(suite)
    ET.indent(root)
    return ET.tostring(root, encoding="unicode", xml_declaration=True) + "\n"
