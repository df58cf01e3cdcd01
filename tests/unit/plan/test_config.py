import json
from pathlib import Path
from typing import Any

import httpx2
import pytest

from lmcache_kserve.errors import HarnessError
from lmcache_kserve.plan.config import read

SMALL = {"num_hidden_layers": 2, "hidden_size": 64, "num_attention_heads": 2}


def written(folder: Path, content: object) -> Path:
    file = folder / "config.json"
    file.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return file


def test_a_folder_and_its_config_json_are_the_same_model(tmp_path: Path) -> None:
    file = written(tmp_path / "..", {}) and written(tmp_path, SMALL)
    assert read(str(tmp_path)) == read(str(file))
    assert read(str(file)).id == tmp_path.name


def test_the_part_of_the_language_model_wins_and_the_rest_of_the_model_counts(tmp_path: Path) -> None:
    nested = {
        "hidden_size": 1,
        "torch_dtype": "bfloat16",
        "quantization_config": {"quant_method": "fp8"},
        "text_config": SMALL,
        "vision_config": {"num_hidden_layers": 99},
    }
    fields = read(str(written(tmp_path, nested))).fields
    assert (fields["hidden_size"], fields["num_hidden_layers"]) == (64, 2)
    assert fields["torch_dtype"] == "bfloat16"
    assert fields["quantization_config"] == {"quant_method": "fp8"}


@pytest.mark.parametrize("content", ["not json", "[1]"])
def test_a_file_of_another_kind_is_refused(tmp_path: Path, content: str) -> None:
    with pytest.raises(HarnessError, match=r"--model .* is not a config\.json"):
        read(str(written(tmp_path, content)))


def test_a_name_that_is_neither_file_nor_id_is_refused() -> None:
    with pytest.raises(HarnessError, match="--model nowhere is neither"):
        read("nowhere")


def answering(monkeypatch: pytest.MonkeyPatch, status: int, content: object) -> list[dict[str, Any]]:
    asked: list[dict[str, Any]] = []

    def get(address: str, **options: Any) -> httpx2.Response:
        asked.append({"address": address, **options})
        return httpx2.Response(status, json=content)

    monkeypatch.setattr(httpx2, "get", get)
    return asked


def test_an_id_is_read_from_the_hub_with_the_token(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = answering(monkeypatch, 200, SMALL)
    monkeypatch.setenv("HF_TOKEN", "hf_1")
    config = read("some/model")
    assert config.id == "some/model"
    assert config.source == asked[0]["address"] == "https://huggingface.co/some/model/resolve/main/config.json"
    assert asked[0]["headers"] == {"Authorization": "Bearer hf_1"}


def test_without_a_token_none_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = answering(monkeypatch, 200, SMALL)
    monkeypatch.delenv("HF_TOKEN", raising=False)
    read("some/model")
    assert asked[0]["headers"] == {}


@pytest.mark.parametrize(("status", "says"), [(401, "HF_TOKEN"), (403, "HF_TOKEN"), (404, "answers 404")])
def test_what_the_hub_refuses_names_the_option(monkeypatch: pytest.MonkeyPatch, status: int, says: str) -> None:
    answering(monkeypatch, status, {})
    with pytest.raises(HarnessError, match=f"--model some/model .*{says}"):
        read("some/model")


def test_where_no_hub_is_reachable_a_file_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    def get(*_: object, **__: object) -> httpx2.Response:
        raise httpx2.ConnectError("no route")

    monkeypatch.setattr(httpx2, "get", get)
    with pytest.raises(HarnessError, match=r"--model some/model .*give the path of a config\.json"):
        read("some/model")
