"""images/kserve-backends: pinned, on the image that the chart starts, and the same Mooncake as in the CPU image."""

import re

import pytest
import yaml
from rendering import CHART, REPOSITORY

IMAGE = REPOSITORY / "images" / "kserve-backends"
CPU_REQUIREMENTS = REPOSITORY / "images" / "vllm-cpu" / "requirements.in"
CLIENTS = ("infinistore", "mooncake", "valkey")
PACKAGES = {"infinistore": "infinistore", "mooncake": "mooncake-transfer-engine-cuda13", "valkey": "valkey-glide-sync"}


def pin(client: str) -> str:
    """The release of a client's package."""
    (found,) = re.findall(rf"^{PACKAGES[client]}==([\w.]+)", (IMAGE / f"{client}.txt").read_text(), re.MULTILINE)
    return str(found)


def dockerfile() -> str:
    return (IMAGE / "Dockerfile").read_text(encoding="utf-8")


def test_it_is_built_on_the_image_that_the_chart_starts() -> None:
    annotations = yaml.safe_load((CHART / "Chart.yaml").read_text(encoding="utf-8"))["annotations"]
    assert f"ARG BASE_IMAGE={annotations['lmcache-kserve/image-huggingfaceserver']}\n" in dockerfile()


@pytest.mark.parametrize("client", CLIENTS)
def test_every_client_is_pinned_and_copied(client: str) -> None:
    assert re.fullmatch(r"\d+(\.\d+)+(\.post\d+)?", pin(client))
    assert f"{client}.txt" in dockerfile()


def test_there_is_a_file_for_each_client_and_no_other() -> None:
    assert sorted(file.stem for file in IMAGE.glob("*.txt")) == list(CLIENTS)


def test_mooncake_is_the_release_that_was_run_on_cpu() -> None:
    tried = re.search(r"^mooncake-transfer-engine-non-cuda==([\w.]+)", CPU_REQUIREMENTS.read_text(), re.MULTILINE)
    assert tried is not None
    assert pin("mooncake") == tried[1]


def test_glide_is_new_enough_for_lmcache() -> None:
    # lmcache/v1/storage_backend/connector/valkey_connector.py: "valkey-glide-sync (>= 2.3.0)".
    assert tuple(map(int, pin("valkey").split("."))) >= (2, 3)


def test_the_server_is_no_root() -> None:
    assert [line for line in dockerfile().splitlines() if line.startswith("USER")][-1] == "USER 1000:1000"


def test_the_guide_names_every_type_of_backend() -> None:
    schema = yaml.safe_load((CHART / "values.schema.json").read_text(encoding="utf-8"))
    types = schema["properties"]["remoteBackend"]["properties"]["type"]["enum"]
    for page in (IMAGE / "README.md", REPOSITORY / "docs" / "backends.md"):
        text = page.read_text(encoding="utf-8")
        assert [kind for kind in types if f"`{kind}`" not in text] == [], page.name
