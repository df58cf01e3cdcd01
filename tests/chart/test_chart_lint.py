"""What `ct lint` checks, without ct: the shape of Chart.yaml and the style of the YAML that people write."""

import itertools
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from rendering import CHART, REPOSITORY, SCENARIO_FILES, scenario_name

WIDEST_LINE = 160
TEMPLATES = sorted(file for file in (CHART / "templates").rglob("*") if file.is_file())
FILES = (CHART / "Chart.yaml", CHART / "values.yaml", *SCENARIO_FILES)


def test_chart_testing_finds_its_configuration() -> None:
    configuration = yaml.safe_load((REPOSITORY / "ct.yaml").read_text(encoding="utf-8"))
    assert (REPOSITORY / configuration["lint-conf"]).is_file()
    assert (REPOSITORY / configuration["chart-yaml-schema"]).is_file()
    assert configuration["chart-dirs"] == ["charts"]
    assert configuration["helm-lint-extra-args"] == "--strict"


def test_chart_yaml_has_the_required_shape() -> None:
    run("yamale", "--schema", str(REPOSITORY / "chart_schema.yaml"), str(CHART / "Chart.yaml"))


def test_yaml_that_people_write_keeps_the_style() -> None:
    run("yamllint", "--config-file", str(REPOSITORY / "lintconf.yaml"), *map(str, FILES))


@pytest.mark.parametrize("file", TEMPLATES, ids=lambda file: str(file.relative_to(CHART)))
def test_a_line_of_a_template_fits_the_screen(file: Path) -> None:
    lines = enumerate(file.read_text(encoding="utf-8").splitlines(), start=1)
    assert [number for number, line in lines if len(line) > WIDEST_LINE] == []


def run(tool: str, *arguments: str) -> None:
    """Run a tool of the test environment as ct does, and show what it says when it fails."""
    done = subprocess.run([Path(sys.executable).parent / tool, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("file", SCENARIO_FILES, ids=scenario_name)
def test_a_values_file_is_one_document(file: Path) -> None:
    # Helm 3 reads the first document only.
    assert len(list(itertools.islice(yaml.safe_load_all(file.read_text(encoding="utf-8")), 2))) == 1


def test_the_package_leaves_out_the_values_of_chart_testing() -> None:
    assert "ci/" in (CHART / ".helmignore").read_text(encoding="utf-8").splitlines()
