from pathlib import Path

import pytest

from lmcache_kserve.chart.values_files import ignored_by_helm, require_values_files
from lmcache_kserve.errors import HarnessError


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "mine.yaml"


def test_a_file_that_does_not_exist_is_named(tmp_path: Path) -> None:
    with pytest.raises(HarnessError, match=r"there is no values file .*/absent\.yaml"):
        require_values_files([tmp_path / "absent.yaml"])
    with pytest.raises(HarnessError, match="there is no values file"):
        require_values_files([tmp_path])


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("a: b: c\n", "mine.yaml is not YAML: line 1: mapping values are not allowed here"),
        ("- a\n", "mine.yaml is not a values file: it holds a list"),
        ("hello\n", "mine.yaml is not a values file: it holds a str"),
        ("apiVersion: argoproj.io/v1alpha1\nkind: Application\n", "it holds a Kubernetes object of kind Application"),
    ],
)
def test_a_file_that_holds_no_values_is_one_sentence(file: Path, text: str, complaint: str) -> None:
    file.write_text(text, encoding="utf-8")
    with pytest.raises(HarnessError) as caught:
        require_values_files([file])
    assert complaint in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_no_text_is_not_yaml(file: Path) -> None:
    file.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(HarnessError, match="is not YAML"):
        require_values_files([file])


@pytest.mark.parametrize("text", ["", "# nothing\n", "model:\n  name: a\n"])
def test_what_helm_takes_whole_is_not_mentioned(file: Path, text: str) -> None:
    file.write_text(text, encoding="utf-8")
    assert ignored_by_helm([file]) == []


def test_what_helm_drops_without_a_word_is_found(file: Path, tmp_path: Path) -> None:
    file.write_text("model:\n  name: a\n  name: b\n", encoding="utf-8")
    several = tmp_path / "several.yaml"
    several.write_text("a: 1\n---\nb: 2\n", encoding="utf-8")
    assert [(found.path, found.message) for found in ignored_by_helm([file, several])] == [
        (f"{file}, line 3", "duplicate key 'name'; Helm takes the last"),
        (str(several), "has several YAML documents; Helm reads only the first"),
    ]
