import pytest

from lmcache_kserve.errors import HarnessError
from lmcache_kserve.lmcache.arguments import openai_prefix, served_model_name

VLLM = ("python3", "-m", "vllm.entrypoints.openai.api_server")
KSERVE = ("python3", "-m", "huggingfaceserver")


@pytest.mark.parametrize(
    "arguments",
    [("--served-model-name=tiny",), ("--served-model-name", "tiny"), ("--model_name=tiny",), ("--model-name", "tiny")],
)
def test_the_served_name_is_read_in_every_spelling(arguments: tuple[str, ...]) -> None:
    assert served_model_name((*VLLM, *arguments)) == "tiny"


@pytest.mark.parametrize("arguments", [(), ("--model=tiny",), ("--served-model-name",)])
def test_a_command_line_without_a_name_says_which_value_sets_it(arguments: tuple[str, ...]) -> None:
    with pytest.raises(HarnessError, match=r"set model\.name"):
        served_model_name((*VLLM, *arguments))


def test_each_server_has_its_own_prefix() -> None:
    assert openai_prefix(VLLM, {}) == "/v1"
    assert openai_prefix(KSERVE, {}) == "/openai/v1"
    assert openai_prefix(KSERVE, {"KSERVE_OPENAI_ROUTE_PREFIX": ""}) == "/v1"
    assert openai_prefix(VLLM, {"KSERVE_OPENAI_ROUTE_PREFIX": "/elsewhere"}) == "/v1"
