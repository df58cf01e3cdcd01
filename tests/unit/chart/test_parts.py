import tarfile
from pathlib import Path

import pytest

from lmcache_kserve.chart.parts import taken_apart
from lmcache_kserve.errors import HarnessError

FILES = {
    "Chart.yaml": "name: small\nversion: 1.2.3\n",
    "values.yaml": "a: 1\n",
    "templates/NOTES.txt": "notes",
    "templates/_helpers.tpl": "",
    "templates/validate.yaml": "",
    "templates/folder/_validate.tpl": "",
    "templates/folder/object.yaml": "",
}
VALUES = "templates/computed-values.yaml"


@pytest.fixture
def chart(tmp_path: Path) -> Path:
    folder = tmp_path / "small"
    for name, text in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    return folder


def content(folder: Path | None) -> set[str]:
    assert folder is not None
    return {str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file()}


def test_rules_and_objects_stand_in_copies_of_their_own(chart: Path) -> None:
    with taken_apart(chart) as parts:
        assert content(parts.whole) == {*FILES, VALUES}
        assert content(parts.objects()) == {*FILES, VALUES} - {"templates/validate.yaml"}
        assert content(parts.rules()) == {*FILES, VALUES} - {"templates/NOTES.txt", "templates/folder/object.yaml"}
        assert parts.metadata["version"] == "1.2.3"
    assert not parts.whole.exists()
    assert content(chart) == set(FILES)


def test_a_package_is_taken_apart_as_its_folder_is(chart: Path, tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "small-1.2.3.tgz", "w:gz") as package:
        package.add(chart, "small")
    with taken_apart(tmp_path / "small-1.2.3.tgz") as parts:
        assert content(parts.whole) == {*FILES, VALUES}


def test_a_chart_without_rules_has_no_such_part(chart: Path) -> None:
    (chart / "templates" / "validate.yaml").unlink()
    with taken_apart(chart) as parts:
        assert parts.rules() is None


@pytest.mark.parametrize(
    ("text", "complaint"), [("a: b: c", "its Chart.yaml is not YAML"), ("- a", "its Chart.yaml holds no keys")]
)
def test_a_chart_that_says_nothing_of_itself_is_refused(chart: Path, text: str, complaint: str) -> None:
    (chart / "Chart.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(HarnessError, match=rf"--chart .*: {complaint}"), taken_apart(chart):
        pass


def test_what_is_no_chart_is_named(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("no archive", encoding="utf-8")
    for path in (tmp_path / "absent", tmp_path, tmp_path / "text"):
        with pytest.raises(HarnessError, match=rf"--chart {path} is not a"), taken_apart(path):
            pass
