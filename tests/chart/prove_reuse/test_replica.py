"""How `helm test` reads the answers and the counters of one replica."""

from types import ModuleType

import pytest
from fake_replicas import Cluster, Run, arguments

KEY = "sk-0123456789"


def test_other_traffic_spoils_an_attempt_not_the_test(cluster: Cluster, run: Run) -> None:
    cluster.start("a", "b")
    cluster.release.busy_for = 5  # the four short prompts, which are not measured, and the first one that is
    outcome = run()
    assert outcome.code == 0
    assert "attempt 1: replica" in outcome.text
    assert "counted 1" in outcome.text
    # Known as soon as it is counted, not when nothing else comes.
    assert cluster.clock.now < 5


def test_traffic_that_does_not_end_proves_nothing(cluster: Cluster, run: Run) -> None:
    cluster.start("a", "b")
    cluster.release.busy_for = 1000
    outcome = run()
    assert outcome.code == 1
    assert "run it while the release is quiet" in outcome.verdict


def test_a_server_that_does_not_count_hits_proves_nothing(cluster: Cluster, run: Run) -> None:
    cluster.release.counts = False
    cluster.start("a", "b")
    outcome = run()
    assert outcome.code == 1
    assert "/metrics has no vllm:prompt_tokens_total" in outcome.verdict


def test_counters_that_find_what_nobody_has_sent_prove_nothing(cluster: Cluster, run: Run) -> None:
    cluster.release.always_finds = True
    cluster.start("a", "b")
    outcome = run()
    assert outcome.code == 1
    assert "of a prompt that nobody had sent before" in outcome.verdict


def test_an_answer_that_breaks_off_is_asked_for_again(cluster: Cluster, run: Run) -> None:
    cluster.release.breaks_off = 1
    cluster.start("a", "b")
    outcome = run()
    assert outcome.code == 0
    assert "the stream broke off before its end" in outcome.text


@pytest.mark.parametrize(
    ("frames", "problem"),
    [
        (['{"choices": []}', "[DONE]"], "ended without a token"),
        (['{"choices": [{"text": "a"}]}', "[DONE]"], "told no usage.prompt_tokens"),
        (['{"choices": [{"text": "a"}], "usage": {"other": 1}}', "[DONE]"], "told no usage.prompt_tokens"),
        (["no JSON"], "Expecting value"),
    ],
)
def test_a_stream_that_lacks_something_is_no_answer(replica: ModuleType, frames: list[str], problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        replica.read_stream([f"data: {frame}\n".encode() for frame in frames], 0.0)


def test_an_error_in_the_stream_is_told_and_tried_again(cluster: Cluster, run: Run) -> None:
    cluster.release.fails = 1
    cluster.start("a", "b")
    outcome = run()
    assert outcome.code == 0
    assert "the engine is dead" in outcome.text


def test_a_model_that_is_not_served_fails_with_the_servers_words(cluster: Cluster, run: Run) -> None:
    cluster.start("a", "b")
    outcome = run(model="other")
    assert outcome.code == 1
    assert "/v1/completions answers HTTP 404: " in outcome.verdict
    assert "The model does not exist." in outcome.verdict


def test_a_token_without_text_counts_as_one(cluster: Cluster, run: Run) -> None:
    cluster.release.textless = True
    cluster.start("a", "b")
    assert run().code == 0


def test_the_api_key_is_sent_and_not_shown(cluster: Cluster, run: Run) -> None:
    cluster.release.key = KEY
    cluster.start("a", "b")
    outcome = run(key=KEY)
    assert outcome.code == 0
    assert KEY not in outcome.text


@pytest.mark.parametrize("key", ["", "wrong"])
def test_a_missing_api_key_fails_at_once_with_the_value_to_set(cluster: Cluster, run: Run, key: str) -> None:
    cluster.release.key = KEY
    cluster.start("a", "b")
    outcome = run(key=key)
    assert outcome.code == 1
    assert "VLLM_API_KEY in predictor.env" in outcome.verdict
    assert cluster.clock.now == 0


def test_routes_of_the_dialect_are_asked(cluster: Cluster, run: Run) -> None:
    cluster.start("a", "b")
    assert run(openai_path="/openai/v1", model_path="/v1/models/tiny").code == 0
    assert cluster.release.paths == {"/openai/v1/completions"}


def test_addresses_of_both_families_are_written_as_they_are_in_urls(script: ModuleType, replica: ModuleType) -> None:
    settings = script.parse(arguments(8080), {})
    assert str(replica.Replica("10.0.0.5", 8080, settings)) == "10.0.0.5:8080"
    assert str(replica.Replica("fd00::5", 8080, settings)) == "[fd00::5]:8080"
