"""A type of backend lists the questions that it answers: the list, the templates and the callers agree."""

import json
import re
from pathlib import Path

import pytest
import yaml
from rendering import CHART

FOLDER = CHART / "templates" / "backend"
TEMPLATES = {file: file.read_text(encoding="utf-8") for file in sorted((CHART / "templates").rglob("*.*"))}
DISPATCH = TEMPLATES[FOLDER / "_dispatch.tpl"]
DEFINITION = re.compile(r'\{\{-? define "([^"]+)" -?\}\}(.*?)(?=\{\{-? define |\Z)', re.DOTALL)
DEFINED = {name: body for text in TEMPLATES.values() for name, body in DEFINITION.findall(text)}
SCHEMA = json.loads((CHART / "values.schema.json").read_text(encoding="utf-8"))
TYPES = [t for t in SCHEMA["properties"]["remoteBackend"]["properties"]["type"]["enum"] if t != "none"]
QUESTIONS = set(re.findall(r"^  (\w+) {2,}\S", DISPATCH, re.MULTILINE))


def answers(kind: str) -> dict[str, list[str]]:
    """Questions that a type answers, by the folder whose templates answer them."""
    body = DEFINED[f"lmcache-kserve.backend.{kind}.answers"]
    if same := re.search(r'include "lmcache-kserve\.backend\.([\w-]+)\.answers"', body):
        return answers(same.group(1))
    listed: dict[str, list[str]] = yaml.safe_load(body.partition("{{- end }}")[0])
    return listed


@pytest.mark.parametrize("kind", TYPES)
def test_every_question_that_a_type_lists_has_its_template(kind: str) -> None:
    for folder, questions in answers(kind).items():
        assert set(questions) <= QUESTIONS
        assert {f"lmcache-kserve.backend.{folder}.{question}" for question in questions} <= set(DEFINED)


@pytest.mark.parametrize("kind", TYPES)
def test_two_folders_never_answer_the_same_question(kind: str) -> None:
    listed = [question for questions in answers(kind).values() for question in questions]
    assert len(listed) == len(set(listed))


@pytest.mark.parametrize("folder", sorted({folder for kind in TYPES for folder in answers(kind)}))
def test_a_type_lists_every_template_of_its_folder(folder: str) -> None:
    named = (re.fullmatch(rf"lmcache-kserve\.backend\.{folder}\.(\w+)", name) for name in DEFINED)
    written = {match.group(1) for match in named if match} & QUESTIONS
    assert written in [set(answers(kind).get(folder, ())) for kind in TYPES]


def test_no_template_answers_for_a_folder_without_a_type() -> None:
    folders = {folder for kind in TYPES for folder in answers(kind)}
    named = (re.fullmatch(r"lmcache-kserve\.backend\.([\w-]+)\.(\w+)", name) for name in DEFINED)
    assert {match.group(1) for match in named if match and match.group(2) in QUESTIONS} == folders


def test_every_question_is_asked_and_every_asked_question_is_known() -> None:
    text = "".join(TEMPLATES.values())
    assert set(re.findall(r'"lmcache-kserve\.backend\.ask" \(list [.$\w]+ "(\w+)"\)', text)) == QUESTIONS


@pytest.mark.parametrize(
    "file", [file for file in TEMPLATES if file.is_relative_to(FOLDER)], ids=lambda file: str(file.relative_to(FOLDER))
)
def test_a_template_of_a_backend_has_no_empty_definition(file: Path) -> None:
    text = TEMPLATES[file]
    assert not re.search(r'\{\{-? define "[^"]+" -?\}\}\s*\{\{-? end -?\}\}', text), "answers nothing: do not list it"
