import dataclasses
import io
import json
from xml.etree import ElementTree as ET

import pytest
from rich.console import Console

from lmcache_kserve.chart import policies
from lmcache_kserve.chart.examination import Examination, Exempt, Finding, Kind
from lmcache_kserve.report import findings

FINDINGS = (
    Finding(Kind.RULE, "chart", "values", "huggingFace.token", "excludes huggingFace.existingSecret"),
    Finding(Kind.SCHEMA, "kserve", "InferenceService/llm", "spec.predictor", "'a' was unexpected"),
    Finding(Kind.SCHEMA, "kserve", "InferenceService/llm", "spec.predictor", "'b' was unexpected"),
    Finding(Kind.POLICY, "no-duplicates", "Deployment/redis", "volumes[a]", "is listed twice [sic]"),
)
CLEAN = Examination(
    chart="lmcache-kserve 0.2.0",
    helm="4.3.1",
    kubernetes="1.34",
    kserve="0.20.0",
    objects=("InferenceService/llm", "Deployment/redis", "PodMonitor/llm"),
    without_schema=("PodMonitor/llm",),
    findings=(),
    exempt=(
        Exempt(
            Finding(Kind.POLICY, "restricted-pod-security", "Deployment/redis", "volumes[a]", "must not be a hostPath"),
            value="some.value",
            reason="the namespace must admit that",
        ),
    ),
    not_done=(),
)
FAULTY = dataclasses.replace(CLEAN, findings=FINDINGS, not_done=("The rules were not tried.",))


def text(examination: Examination) -> str:
    console = Console(width=200, file=io.StringIO(), record=True)
    console.print(findings.table(examination), highlight=False)
    return console.export_text()


def test_the_table_shows_kind_object_path_and_message_of_every_finding() -> None:
    shown = text(FAULTY)
    for one in FINDINGS:
        for cell in (str(one.kind), one.id, one.object, one.path, one.message):
            assert cell in shown
    assert "no-duplicates, for pods as they are written: Nothing that has a key is listed twice." in shown
    assert "The rules were not tried." in shown
    assert "4 findings, 1 of kind rule, 2 of kind schema, 1 of kind policy" in shown


def test_a_clean_examination_says_what_was_checked_with_what() -> None:
    shown = text(CLEAN)
    assert (
        "3 objects checked (lmcache-kserve 0.2.0, Kubernetes 1.34, KServe 0.20.0, Helm 4.3.1): nothing found" in shown
    )
    assert "Deployment/redis breaks a policy, which some.value allows: the namespace must admit that." in shown
    assert "PodMonitor/llm belongs to an operator" in shown


@pytest.mark.parametrize("examination", [CLEAN, FAULTY])
def test_the_document_has_its_version_and_all_that_was_found(examination: Examination) -> None:
    document = json.loads(findings.dump_json(examination))
    assert document["schema"] == findings.SCHEMA == "lmcache-kserve/check/v1"
    assert document["passed"] is (examination is CLEAN)
    assert [row["id"] for row in document["policies"]] == [policy.id for policy in policies.catalogue()]
    assert document["versions"]["kubernetes"] == "1.34"
    assert [Finding(**{**one, "kind": Kind(one["kind"])}) for one in document["findings"]] == [*examination.findings]
    assert document["exempt"][0]["finding"]["id"] == "restricted-pod-security"
    assert document["not_done"] == list(examination.not_done)


def test_junit_has_one_case_for_each_object_and_kind() -> None:
    (suite,) = ET.fromstring(findings.render_junit(FAULTY))  # noqa: S314 - our own document
    cases = {(case.get("name"), str(case.get("classname")).rpartition(".")[2]): case for case in suite.iter("testcase")}
    objects = [(name, kind) for name in FAULTY.objects for kind in ("schema", "policy")]
    assert [*cases] == [("values", "rule"), ("values", "schema"), *objects]
    assert {key for key, case in cases.items() if case.find("failure") is not None} == {
        (one.object, str(one.kind)) for one in FINDINGS
    }
    assert [key for key, case in cases.items() if case.find("skipped") is not None] == [("PodMonitor/llm", "schema")]
    failure = cases["InferenceService/llm", "schema"].find("failure")
    assert failure is not None
    assert str(failure.text).splitlines() == [
        "schema kserve: InferenceService/llm spec.predictor: 'a' was unexpected",
        "schema kserve: InferenceService/llm spec.predictor: 'b' was unexpected",
    ]
    assert (suite.get("tests"), suite.get("failures"), suite.get("skipped")) == ("8", "3", "1")
    assert "The rules were not tried." in str(suite.findtext("system-out"))
