"""The load generator: how it is called, and what is read from its results."""

from pathlib import Path
from types import MappingProxyType, SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest
from made_comparison import cell

from lmcache_kserve.engine.find import Engine
from lmcache_kserve.errors import HarnessError
from lmcache_kserve.evidence.comparison import CHAT, DOCUMENTS, Cell
from lmcache_kserve.experiment.load import LoadTool, arguments_of, fills, queries, read

if TYPE_CHECKING:
    from lmcache_kserve.target import Replica

HEADER = (
    "request_id,successful,ttft,request_latency,num_input_tokens,num_output_tokens,decode_speed,submit_time,"
    "first_token_time,finish_time,error"
)
LATER = "doc1_q0,True,0.5,0.75,1033,8,32.0,1001.0,1001.5,1001.75,"
EARLIER = "doc0_q0,True,0.25,0.5,1033,8,32.0,1000.0,1000.25,1000.5,"
FAILED = 'doc2_q0,False,-1.0,0.1,0,0,0.0,1002.0,0.0,1002.1,"Error code: 400, too long"'
REPLICA = cast("Replica", SimpleNamespace(openai_url="http://127.0.0.1:1/v1", arguments=("vllm",), environment={}))


def tool(folder: Path, script: str) -> LoadTool:
    """A tool whose program is a shell script."""
    program = folder / "bin" / "lmcache"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    program.chmod(0o755)
    engine = Engine(program, program.parent, "cpu", MappingProxyType({"lmcache": "0.4.0"}))
    return LoadTool(engine=engine, directory=folder / "files")


def run(one: LoadTool, load: Cell | None = None) -> Any:
    return one.run(load or cell(), REPLICA, model="tiny", seed=42)


def test_results_are_read_in_the_order_in_which_requests_were_sent() -> None:
    first, second = read([HEADER, LATER, EARLIER])
    assert (first.name, first.ttft_s, first.total_s, first.sent_s) == ("doc0_q0", 0.25, 0.5, 1000.0)
    assert (first.prompt_tokens, first.answer_tokens, first.error) == (1033, 8, "")
    assert second.name == "doc1_q0"


def test_a_failed_request_says_why() -> None:
    assert read([HEADER, FAILED])[0].error == "Error code: 400, too long"


@pytest.mark.parametrize(
    "rows", [["request_id", "x"], [HEADER, LATER.replace("0.5", "soon")]], ids=["columns", "value"]
)
def test_results_of_another_form_are_refused(rows: list[str]) -> None:
    with pytest.raises(HarnessError, match=r"bench_results\.csv of another form"):
        read(rows)


def test_the_tool_gets_no_pass_of_its_own_that_would_fill_the_caches() -> None:
    for workload in ("long-doc-qa", CHAT, DOCUMENTS):
        assert {"--no-warmup", "--no-interactive", "--ignore-eos"} <= set(arguments_of(cell(workload=workload)))


def test_a_working_set_has_as_many_documents_as_fit() -> None:
    words = arguments_of(cell(concurrency=4))
    assert "--tokens-per-gb-kvcache=16384" in words
    assert "--kv-cache-volume=1" in words
    assert "--ldqa-num-inflight-requests=4" in words
    assert "--ldqa-shuffle-policy=tile" in words


def test_few_documents_are_asked_about_more_often() -> None:
    assert queries(cell()) == 1
    assert queries(cell(working_set_tokens=4096)) == 3
    assert "--ldqa-query-per-document=3" in arguments_of(cell(working_set_tokens=4096))


def test_a_chat_ends_with_its_last_planned_request() -> None:
    words = arguments_of(cell(workload=CHAT, concurrency=2, working_set_tokens=4096))
    assert "--mrc-qps=2" in words
    assert "--mrc-duration=5.75" in words  # twelve requests, one each half second, the first at once
    assert "--mrc-shared-prompt-length=256" in words
    assert "--mrc-chat-history-length=768" in words


def test_shuffled_documents_are_new_in_each_round_and_fill_nothing() -> None:
    words = arguments_of(cell(workload=DOCUMENTS), words=90)
    assert "--ldp-context-length=90" in words
    assert "--ldp-num-permutations=16" in words
    assert not fills(cell(workload=DOCUMENTS))
    assert fills(cell())


def test_the_program_runs_in_its_folder_and_finds_no_hub(tmp_path: Path) -> None:
    one = tool(
        tmp_path,
        f"printf '%s\\n' \"$HF_HUB_OFFLINE\" \"$@\" > seen; printf '{HEADER}\\n{LATER}\\n' > out/bench_results.csv",
    )
    assert [request.name for request in run(one)] == ["doc1_q0"]
    said = (tmp_path / "files" / "seen").read_text(encoding="utf-8").splitlines()
    assert said[:6] == ["1", "bench", "engine", "--engine-url=http://127.0.0.1:1/v1", "--model=tiny", "--seed=42"]


def test_results_of_an_earlier_run_are_never_taken_for_this_ones(tmp_path: Path) -> None:
    one = tool(tmp_path, "echo no route to the engine >&2; exit 3")
    stale = tmp_path / "files" / "out" / "bench_results.csv"
    stale.parent.mkdir(parents=True)
    stale.write_text(f"{HEADER}\n{LATER}\n", encoding="utf-8")
    with pytest.raises(HarnessError, match="ended with code 3") as caught:
        run(one)
    assert caught.value.__notes__ == ["no route to the engine"]


def test_a_run_without_a_request_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(HarnessError, match="sent no request for long-doc-qa-1024-1-above"):
        run(tool(tmp_path, f"echo {HEADER} > out/bench_results.csv"))


def test_a_release_of_lmcache_without_the_needed_options_is_refused(tmp_path: Path) -> None:
    with pytest.raises(HarnessError, match=r"of LMCache 0\.4\.0 has no --no-warmup and no --ldqa-max-output-length"):
        tool(tmp_path, "echo --ignore-eos").check()


def test_an_engine_without_the_program_is_an_error(tmp_path: Path) -> None:
    one = tool(tmp_path, "")
    one.program.unlink()
    with pytest.raises(HarnessError, match=r"cannot start .*lmcache: No such file"):
        run(one)
