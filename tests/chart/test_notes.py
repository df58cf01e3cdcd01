"""NOTES.txt: the exact commands to try and to check the release, and no secret."""

import shutil
from pathlib import Path
from typing import Any

import pytest
from rendering import BACKENDS, CHART, EVERYTHING, PASSWORD, remote_backend

from lmcache_kserve.chart.helm import Helm

NOTES = """\
apiVersion: v1
kind: ConfigMap
metadata:
  name: notes
data:
  notes: {{ tpl (.Files.Get "notes.txt") . | quote }}
"""


@pytest.fixture(scope="session")
def chart_with_notes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The chart with its notes as an object: `helm template` does not show them."""
    copy = tmp_path_factory.mktemp("chart") / "lmcache-kserve"
    shutil.copytree(CHART, copy)
    (copy / "templates" / "NOTES.txt").rename(copy / "notes.txt")
    (copy / "templates" / "notes.yaml").write_text(NOTES, encoding="utf-8")
    return copy


def notes(helm: Helm, chart: Path, values: dict[str, Any]) -> str:
    manifests = helm.template(chart, release="llm", namespace="models", values=values)
    return str(manifests.one("ConfigMap", "notes")["data"]["notes"])


@pytest.mark.parametrize("backend", [*BACKENDS, "redis-sentinel"])
def test_notes_name_the_objects_to_look_at(helm: Helm, chart_with_notes: Path, backend: str) -> None:
    manifests = helm.template(CHART, release="llm", namespace="models", values=remote_backend(backend))
    name = manifests.one("InferenceService")["metadata"]["name"]
    text = notes(helm, chart_with_notes, remote_backend(backend))
    assert "kubectl" in text
    assert f"serving.kserve.io/inferenceservice={name}" in text
    assert "kserve-container" in text
    assert "-n models" in text


@pytest.mark.parametrize(
    ("server", "route"), [("vllm", "/v1/completions"), ("huggingfaceserver", "/openai/v1/completions")]
)
def test_notes_ask_the_dialects_route_for_the_served_model(
    helm: Helm, chart_with_notes: Path, server: str, route: str
) -> None:
    text = notes(helm, chart_with_notes, {"runtime": {"server": server}, "model": {"name": "llama"}})
    assert route in text
    assert "llama" in text


@pytest.mark.parametrize("backend", ["redis", "valkey"])
def test_notes_show_how_to_count_what_the_backend_holds(helm: Helm, chart_with_notes: Path, backend: str) -> None:
    assert f"{backend}-cli dbsize" in notes(helm, chart_with_notes, remote_backend(backend))


STORAGE: dict[str, Any] = {
    "model": {"storageUri": "pvc://models/llama"},
    **remote_backend("redis", deploy=False, external={"endpoint": "a:6379"}, auth={"enabled": False}),
}


@pytest.mark.parametrize(
    ("values", "warned"),
    [
        (STORAGE, False),
        ({**STORAGE, "lmcache": {"hashSeed": "0"}}, True),
        ({**STORAGE, "kserve": {"version": "0.16"}}, True),
        ({"model": STORAGE["model"], "lmcache": {"hashSeed": "0"}}, False),
        ({**STORAGE, "model": {"id": "a/b"}, "lmcache": {"hashSeed": "0"}}, False),
    ],
    ids=["computed seed", "given seed", "a vLLM without seeds", "own backend", "model id"],
)
def test_notes_warn_of_a_shared_backend_in_which_models_could_mix(
    helm: Helm, chart_with_notes: Path, values: dict[str, Any], *, warned: bool
) -> None:
    assert ("every model is /mnt/models" in notes(helm, chart_with_notes, values)) is warned


def test_notes_say_how_a_request_names_its_adapter(helm: Helm, chart_with_notes: Path) -> None:
    tagged = {"lmcache": {"adaptersByTag": True}}
    assert "lmcache.tag.lora" in notes(helm, chart_with_notes, tagged)
    assert "lmcache.tag.lora" not in notes(helm, chart_with_notes, {})


def test_notes_show_no_secret(helm: Helm, chart_with_notes: Path) -> None:
    text = notes(helm, chart_with_notes, EVERYTHING)
    assert PASSWORD not in text
    assert "hf_0123456789" not in text


def test_notes_of_a_release_without_lmcache_do_not_promise_hits(helm: Helm, chart_with_notes: Path) -> None:
    off = {"lmcache": {"enabled": False}, "remoteBackend": {"type": "none"}}
    assert "hit tokens" not in notes(helm, chart_with_notes, off)
    assert "hit tokens" in notes(helm, chart_with_notes, {})


def test_notes_name_the_commands_that_prove_it(helm: Helm, chart_with_notes: Path) -> None:
    prove = "helm test llm -n models --logs"
    assert prove in notes(helm, chart_with_notes, {})
    assert prove not in notes(helm, chart_with_notes, {"tests": {"enabled": False}})
    for values in ({}, {"tests": {"enabled": False}}):
        assert "lmcache-kserve verify llm -n models" in notes(helm, chart_with_notes, values)
