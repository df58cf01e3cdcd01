import pytest

from lmcache_kserve.errors import HarnessError
from lmcache_kserve.lmcache.arguments import api_key, openai_prefix, option, options, served_model_name, workers

VLLM = ("python3", "-m", "vllm.entrypoints.openai.api_server")
KSERVE = ("python3", "-m", "huggingfaceserver")


@pytest.mark.parametrize(
    "arguments",
    ["--max-model-len 4096", "--max-model-len=4096", "--max_model_len=4096", "--max_model_len 4096"],
)
@pytest.mark.parametrize("name", ["--max-model-len", "--max_model_len"])
def test_an_option_is_found_in_every_spelling(arguments: str, name: str) -> None:
    assert option(("--model=m", *arguments.split(), "--port=8080"), name) == "4096"


def test_an_option_without_a_value_has_none() -> None:
    for arguments in (
        (),
        ("--max-model-length=1",),
        ("--max-model-len",),
        ("--max-model-len", "--port=1"),
        ("max-model-len=1",),
    ):
        assert option(arguments, "--max-model-len") is None


def test_of_a_repeated_option_the_last_value_counts_and_all_are_there() -> None:
    arguments = ("--l2-adapter", "a", "--other", "--l2_adapter=b=c", "--l2-adapter=")
    assert list(options(arguments, "--l2-adapter")) == ["a", "b=c", ""]
    assert option(arguments, "--l2-adapter") == ""


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


def test_requests_carry_the_key_of_vllms_own_server_and_its_argument_wins() -> None:
    environment = {"VLLM_API_KEY": "from-a-secret\n"}
    assert api_key(VLLM, environment) == "from-a-secret"
    assert api_key((*VLLM, "--api_key", "argument"), environment) == "argument"
    assert api_key(VLLM, {}) == ""


def test_kserves_server_asks_for_no_key() -> None:
    assert api_key(KSERVE, {"VLLM_API_KEY": "unused"}) == ""


@pytest.mark.parametrize(
    ("arguments", "world_size", "copies"),
    [
        ("", 1, 1),
        ("--tensor-parallel-size=4 --pipeline_parallel_size 2", 8, 1),
        ("-tp 4 -pp=2 -dp 3", 8, 3),
        ("--prefill-context-parallel-size 2", 2, 1),
        ("--data-parallel-size 8 --data_parallel_size_local=2", 1, 2),
        ("--data-parallel-size 8 --data-parallel-rank 0", 1, 1),
        ("-tp 2 -tp 4", 4, 1),
        ("-tp many", 1, 1),
        ("-tp -pp 2", 2, 1),
    ],
)
def test_workers_are_counted_in_every_spelling(arguments: str, world_size: int, copies: int) -> None:
    found = workers((*VLLM, *arguments.split()))
    assert (found.world_size, found.copies, found.count) == (world_size, copies, world_size * copies)
