"""What the README states is what the repository holds."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from lmcache_kserve.chart import helm_binary, schemas
from lmcache_kserve.lmcache.backends import TRAITS
from lmcache_kserve.lmcache.rate import Cell
from lmcache_kserve.report import fault_table, rate_table, soak_table
from lmcache_kserve.verdict import CHECKS

REPOSITORY = Path(__file__).resolve().parents[2]
README = (REPOSITORY / "README.md").read_text(encoding="utf-8")
CHART = yaml.safe_load((REPOSITORY / "charts/lmcache-kserve/Chart.yaml").read_text(encoding="utf-8"))
PROOFS = json.loads((REPOSITORY / "docs/reports/proofs.json").read_text(encoding="utf-8"))
REPORT = json.loads((REPOSITORY / "docs/reports/demo.json").read_text(encoding="utf-8"))


def rows(heading: str) -> list[list[str]]:
    """Cells of the table below a heading, its header left out."""
    section = README.partition(f"## {heading}\n")[2].partition("\n## ")[0]
    table = [line.strip("| \n").split(" | ") for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in row] for row in table[2:]]


def test_every_check_is_explained_and_no_other() -> None:
    assert tuple(row[0].strip("`") for row in rows("What `make demo` shows")) == tuple(check.id for check in CHECKS)


def test_the_page_for_contributors_names_every_folder_of_the_package() -> None:
    folders = {file.parent.name for file in (REPOSITORY / "src/lmcache_kserve").glob("*/__init__.py")}
    named = set(re.findall(r"`(\w+)/`", source("CONTRIBUTING.md").partition("## Add a backend")[0]))
    assert named == folders


def test_every_backend_has_its_row() -> None:
    named = {re.findall(r"`([a-z0-9-]+)`", row[0])[0] for row in rows("Backends")}
    schema = json.loads((REPOSITORY / "charts/lmcache-kserve/values.schema.json").read_text(encoding="utf-8"))
    assert named == set(schema["properties"]["remoteBackend"]["properties"]["type"]["enum"])
    assert named > set(TRAITS)


@pytest.mark.parametrize("script", ["checks.py", "dashboard_picture.py", "engines_page.py", "matrix.py"])
def test_a_generated_table_is_what_the_reports_say(script: str) -> None:
    path = REPOSITORY / "scripts" / script
    done = subprocess.run([sys.executable, path, "--check"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"run scripts/{script} {done.stderr}"


def test_every_recorded_proof_is_of_a_test_that_there_is() -> None:
    recorded = {one["test"].partition("[")[0] for one in PROOFS}
    missing = {test for test in recorded if f"def {test.rpartition('::')[2]}(" not in source(test.partition("::")[0])}
    assert recorded
    assert missing == set()


def test_the_page_of_faults_is_what_the_report_says() -> None:
    report = json.loads((REPOSITORY / "docs/reports/faults.json").read_text(encoding="utf-8"))
    assert source("docs/faults.md") == fault_table.markdown(report)


def test_the_page_of_rates_is_what_the_report_says() -> None:
    report = json.loads(source("docs/reports/rates.json"))
    arms = [
        rate_table.Arm(
            **{name: arm[name] for name in ("backend", "mode", "client", "problem")},
            cells=[
                Cell(**{name: value for name, value in cell.items() if name != "gigabytes_per_s"})
                for cell in arm["cells"]
            ],
        )
        for arm in report["arms"]
    ]
    expected = rate_table.markdown(arms, command=report["command"], versions=report["versions"])

    def numbers(page: str) -> list[str]:
        return [line for line in page.splitlines() if line.startswith(("| ", "A copy in memory"))]

    assert numbers(source("docs/rates.md")) == numbers(expected)


def test_the_page_of_the_soak_is_what_the_report_says() -> None:
    report = json.loads((REPOSITORY / "docs/reports/soak.json").read_text(encoding="utf-8"))
    assert source("docs/soak.md") == soak_table.markdown(report)


def source(file: str) -> str:
    return (REPOSITORY / file).read_text(encoding="utf-8")


def test_the_tested_versions_are_those_of_the_chart_and_of_the_tests() -> None:
    (vllm, lmcache, kserve, kubernetes, helm) = rows("What it was tested with")[0]
    assert vllm == f"{CHART['annotations']['lmcache-kserve/tested-vllm']} (CPU)"
    assert lmcache == CHART["annotations"]["lmcache-kserve/tested-lmcache"]
    releases = [version.rpartition(".")[0] for version in schemas.KSERVE_VERSIONS]
    assert kserve == f"{releases[0]} to {releases[-1]}"
    assert kubernetes == f"1.30 to {schemas.KUBERNETES_VERSIONS[-1]}"
    assert helm == ", ".join(pin.version for pin in helm_binary.PINNED_HELM.values())


def test_the_quoted_numbers_are_those_of_the_committed_report() -> None:
    ttft = REPORT["ttft"]
    main = {f"{ttft['cold_s']:.2f} s", f"{ttft['warm_s']:.2f} s", f"{ttft['median_ratio']:.1f} times"}
    further = {
        f"{ttft['lower_bound_5pct']:.1f}",
        f"{ttft['gain_share'] * 100:.0f} %",
        f"factor of {ttft['overhead_ratio']:.2f}",
        f"factor of {ttft['noise_ratio']:.2f}",
    }
    explained = source("docs/report.md").partition("## The recorded run")[2]
    assert {number for number in main if number not in README} == set()
    assert {number for number in main | further if number not in explained} == set()


def test_the_committed_report_is_of_the_versions_that_the_chart_names() -> None:
    assert REPORT["passed"]
    for name in ("vllm", "lmcache"):
        assert REPORT["versions"][name] == CHART["annotations"][f"lmcache-kserve/tested-{name}"]
    assert REPORT["versions"]["chart"] == CHART["version"]


def test_the_lines_that_verify_a_release_name_what_the_workflow_publishes() -> None:
    section = README.partition("## Verify a release\n")[2].partition("\n## ")[0]
    workflow = source(".github/workflows/release.yaml")
    published = {
        "ghcr.io/OWNER/charts/lmcache-kserve": ("ghcr.io/${GITHUB_REPOSITORY_OWNER,,}/charts", CHART["version"]),
        "ghcr.io/OWNER/vllm-cpu": ("ghcr.io/${GITHUB_REPOSITORY_OWNER,,}/vllm-cpu", CHART["appVersion"]),
    }
    for name, (pushed, version) in published.items():
        assert pushed in workflow
        assert set(re.findall(rf"{re.escape(name)}:([\w.-]+)", section)) == {version}
    assert set(re.findall(r"lmcache[-_]kserve(?:==|-)(\d[\d.]*\d)", section)) == {CHART["appVersion"]}
    (signer,) = re.findall(r"github\.com/OWNER/NAME/(\S+)@refs/tags/v", section)
    assert (REPOSITORY / signer).is_file()
    # Flux takes the signer as a pattern.
    assert f"/OWNER/NAME/{re.escape(signer)}@refs/tags/v" in source("docs/gitops.md")
