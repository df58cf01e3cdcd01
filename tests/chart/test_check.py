"""`lmcache-kserve check` on the real chart: what the project ships passes, and planted faults are all named."""

import json
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
import yaml
from rendering import CHART, REPOSITORY, SCENARIO_FILES, scenario_name
from typer.testing import CliRunner, Result

from lmcache_kserve.chart import helm_binary
from lmcache_kserve.chart.helm import Helm
from lmcache_kserve.cli import app

MODEL = {"name": "llama3", "id": "meta-llama/Llama-3.2-1B-Instruct"}
FAULTY_SCHEMA = {"tolerations": [{"key": "gpu", "operatr": "Exists"}]}
FAULTY_POLICY = {"sidecars": [{"name": "agent", "image": "agent:1", "securityContext": {"privileged": True}}]}
FAULTY_RULE = {"token": "hf_0123456789", "existingSecret": "hf-secret"}
PLANTED = {
    ("schema", "kserve", "spec.predictor.tolerations[0]"),
    ("policy", "restricted-pod-security", "containers[agent].securityContext.privileged"),
    ("rule", "chart", "huggingFace.token"),
}


@pytest.fixture(autouse=True)
def chosen_helm(helm: Helm, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(helm_binary.HELM_VARIABLE, str(helm.binary))


def check(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, ["check", "--chart", str(CHART), *map(str, arguments)])


@pytest.fixture
def faulty(tmp_path: Path) -> Path:
    file = tmp_path / "faulty.yaml"
    values = {"model": MODEL, "predictor": {**FAULTY_SCHEMA, **FAULTY_POLICY}, "huggingFace": FAULTY_RULE}
    file.write_text(yaml.safe_dump(values), encoding="utf-8")
    return file


@pytest.mark.parametrize("file", SCENARIO_FILES, ids=scenario_name)
def test_every_values_file_of_the_project_passes(file: Path) -> None:
    result = check("-f", file)
    assert result.exit_code == 0, result.output
    assert "nothing found" in result.output


def test_three_faults_at_once_are_all_named(faulty: Path) -> None:
    result = check("-f", faulty)
    assert result.exit_code == 1
    for _, _, path in PLANTED:
        assert path in result.output
    assert "Traceback" not in result.output


def test_three_faults_at_once_are_all_in_the_document(faulty: Path) -> None:
    document = json.loads(check("-f", faulty, "--format", "json").stdout)
    assert {(one["kind"], one["id"], one["path"]) for one in document["findings"]} >= PLANTED
    assert document["not_done"] == []


def test_three_faults_at_once_fail_three_cases_of_junit(faulty: Path) -> None:
    root = ET.fromstring(check("-f", faulty, "--format", "junit").stdout)  # noqa: S314 - our own document
    failed = {case.get("classname") for case in root.iter("testcase") if case.find("failure") is not None}
    assert failed == {f"lmcache-kserve.check.{kind}" for kind in ("rule", "schema", "policy")}


def test_a_wrong_key_in_the_values_hides_none_of_the_three(faulty: Path) -> None:
    document = json.loads(check("-f", faulty, "--set", "modle=1", "--format", "json").stdout)
    found = {(one["kind"], one["id"], one["path"]) for one in document["findings"]}
    assert found >= {*PLANTED, ("schema", "values", "")}


def test_the_charts_whole_list_of_problems_is_found_line_by_line(faulty: Path) -> None:
    document = json.loads(check("-f", faulty, "--set", "kserve.version=0.14", "--format", "json").stdout)
    rules = {one["path"] for one in document["findings"] if one["kind"] == "rule"}
    assert rules == {"huggingFace.token", "kserve.version"}


def test_the_last_file_wins_and_single_values_win_over_files(tmp_path: Path, faulty: Path) -> None:
    mended = tmp_path / "mended.yaml"
    mended.write_text("predictor: {tolerations: [], sidecars: []}\nhuggingFace: {token: ''}\n", encoding="utf-8")
    assert check("-f", faulty, "-f", mended).exit_code == 0
    assert check("-f", mended, "-f", faulty).exit_code == 1
    assert (
        check("-f", mended, "-f", faulty, "--set-json", 'predictor={"tolerations": [], "sidecars": []}').exit_code == 1
    )
    singles = ("--set-json", "predictor.tolerations=[]", "--set-json", "predictor.sidecars=[]")
    assert check("-f", faulty, *singles, "--set-string", "huggingFace.token=").exit_code == 0


def test_a_package_is_checked_as_the_folder_is(helm: Helm, tmp_path: Path, faulty: Path) -> None:
    package = helm.package(CHART, tmp_path)
    document = json.loads(check("-f", faulty, "--chart", package, "--format", "json").stdout)
    assert {(one["kind"], one["id"], one["path"]) for one in document["findings"]} >= PLANTED


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["-f", "no/such.yaml"], "there is no values file no/such.yaml"),
        (["-f", REPOSITORY / "values/argocd/application.yaml"], "it holds a Kubernetes object of kind Application"),
        (["-f", REPOSITORY / "README.md"], "is not YAML"),
        (["--kube-version", "1.29"], "--kube-version 1.29 is unknown"),
        (["--kserve-version", "0.14"], "use one of 0.15.2, 0.16.0"),
        (["--set-file", "model.id=/no/such"], "--set-file"),
        (["--chart", "/no/such"], "--chart /no/such is not a chart"),
    ],
)
def test_what_cannot_be_checked_is_one_sentence(arguments: list[str | Path], complaint: str) -> None:
    result = check(*arguments)
    assert result.exit_code == 2
    assert complaint in result.output
    assert result.output.count("\n") == 1
    assert "Traceback" not in result.output


def test_the_deliberate_choice_of_infinistore_is_shown_and_is_no_finding() -> None:
    document = json.loads(check("-f", REPOSITORY / "values" / "infinistore.yaml", "--format", "json").stdout)
    assert document["findings"] == []
    assert {one["value"] for one in document["exempt"]} == {"remoteBackend.type infinistore"}
