"""`lmcache-kserve plan`: from options to numbers, a verdict and a values file; and what it refuses."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from lmcache_kserve.cli import app

CONFIGS = Path(__file__).parents[1] / "plan" / "configs"
LLAMA = CONFIGS / "llama-3.1-8b.json"


def invoke(*arguments: object) -> tuple[int, str, str]:
    """The exit code, standard output and standard error."""
    result = CliRunner().invoke(app, ["plan", *map(str, arguments)], catch_exceptions=False)
    return result.exit_code, result.stdout, result.stderr


def planned(*arguments: object) -> dict[str, Any]:
    code, output, _ = invoke(*arguments, "--format", "json")
    assert code == 0
    made: dict[str, Any] = json.loads(output)
    return made


def figures(made: dict[str, Any]) -> dict[str, float]:
    return {one["id"]: one["value"] for one in made["figures"]}


H100 = ("--model", LLAMA, "--gpu", "H100")
REDIS = (*H100, "--network", "25G", "--backend", "redis", "--client", "direct")


def test_the_values_file_of_a_plan_passes_the_check(tmp_path: Path) -> None:
    file = tmp_path / "values.yaml"
    code, output, _ = invoke(*REDIS, "--working-set", 1_000_000, "--values-out", file)
    assert code == 0
    assert f"values: {file}" in output
    assert yaml.safe_load(file.read_text(encoding="utf-8"))["model"]["kvBytesPerToken"] == 131072
    checked = CliRunner().invoke(app, ["check", "-f", str(file)])
    assert checked.exit_code == 0, checked.output
    assert "nothing found" in checked.output


def test_without_a_file_the_values_follow_the_tables() -> None:
    _, output, _ = invoke(*REDIS)
    tables, _, values = output.partition("\n---\n")
    assert "KV cache of a token" in tables
    assert "how wrong" in tables
    assert yaml.safe_load(values)["remoteBackend"]["redis"]["client"] == "direct"


def test_each_number_says_where_it_comes_from_and_how_wrong_it_may_be() -> None:
    made = planned(*REDIS, "--working-set", 2_000_000, "--price-gpu-hour", 3, "--price-gib-month", 4)
    assert {
        *("kv_bytes_per_token", "chunk_bytes", "tokens_per_gib", "weight_bytes", "engine_tokens", "prefill_rate"),
        *("break_even_rate", "rate_gpu_link", "rate_network", "rate_client_direct", "miss_s", "hit_s"),
        *("break_even_tokens", "cache_bytes", "cache_tokens", "engine_share", "added_share", "without_s", "with_s"),
        *("cache_cost", "saved_cost", "break_even_requests"),
    } == set(figures(made))
    assert all(one["source"] and one["error"] for one in made["figures"])
    found = figures(made)
    assert found["kv_bytes_per_token"] == 131072
    assert found["tokens_per_gib"] == 8192
    assert found["break_even_rate"] == pytest.approx(131072 * found["prefill_rate"])


def test_a_fast_way_pays_and_a_slow_one_does_not_for_the_same_traffic() -> None:
    fast = planned(*H100, "--network", "100G", "--backend", "none", "--working-set", 4_000_000)
    slow = planned(*H100, "--network", "1G", "--backend", "redis", "--working-set", 4_000_000)
    assert fast["pays"]
    assert "mean TTFT falls by" in fast["reason"]
    assert not slow["pays"]
    assert "Computing is beaten above" in slow["reason"]


def test_a_working_set_that_fits_the_engines_own_cache_does_not_pay() -> None:
    arguments = (*H100, "--network", "100G", "--backend", "none", "--cache-size", 500, "--working-set")
    low, high = planned(*arguments, 100_000), planned(*arguments, 4_000_000)
    assert not low["pays"]
    assert "The engine's own prefix cache holds" in low["reason"]
    assert figures(low)["engine_share"] == 1
    assert figures(low)["added_share"] == 0
    assert low["reason"] in " ".join(low["values"].replace("\n# ", " ").split())
    assert high["pays"]


def test_a_recorded_trace_decides_the_share_and_the_size(tmp_path: Path) -> None:
    lines = [
        {
            "timestamp": second * 1000,
            "input_length": 4096,
            "output_length": 1,
            "hash_ids": [second % 2 * 8 + part for part in range(8)],
        }
        for second in range(100)
    ]
    file = tmp_path / "trace.jsonl"
    file.write_text("".join(f"{json.dumps(line)}\n" for line in lines), encoding="utf-8")
    made = planned("--model", LLAMA, "--prefill-rate", 5000, "--network", "3.1", "--trace", file)
    assert figures(made)["added_share"] == pytest.approx(0.98)
    assert any(one["title"] == "TTFT of a miss, 4,096 tokens" for one in made["figures"])
    assert figures(made)["cache_bytes"] == 2**30
    assert made["hit_share"][-1] == {"cache_gib": 4.0, "share": 0.98, "added": 0.98}


def test_a_report_of_verify_takes_the_place_of_the_table_of_gpus(tmp_path: Path) -> None:
    pair = {"prompt_tokens": 3000, "hit_tokens": 2816, "warm_s": 0.6}
    report = {"load": {"s_per_token": 0.0001, "compute_s_per_token": 0.001}, "ttft": {"pairs": [pair]}}
    file = tmp_path / "report.json"
    file.write_text(json.dumps(report), encoding="utf-8")
    found = figures(planned("--model", LLAMA, "--verify-report", file, "--prompt-tokens", 3072))
    assert found["prefill_rate"] == pytest.approx(1000)
    assert found["rate_measured_load"] == pytest.approx(131072 / 0.0001)
    assert found["miss_s"] == pytest.approx(3.072)
    assert found["hit_s"] == pytest.approx(0.3072 + 0.6 - 0.2816 - 0.184)


def test_a_model_with_recurrent_layers_gets_values_without_lmcache() -> None:
    made = planned("--model", CONFIGS / "qwen3.5-27b.json", "--gpu", "H100", "--network", "25G")
    assert not made["pays"]
    assert "48 layers of Mamba or linear attention" in made["reason"]
    assert yaml.safe_load(made["values"])["lmcache"] == {"enabled": False}


def test_the_page_quotes_what_the_command_says() -> None:
    page = (Path(__file__).parents[3] / "docs" / "plan.md").read_text(encoding="utf-8")
    command = page.partition("    lmcache-kserve plan ")[2].partition("\n\n")[0].replace("\\", " ").split()
    options = [LLAMA if word == "config.json" else word for word in command]
    _, output, _ = invoke(*options[: options.index("--values-out")])
    quoted = page.partition("ends with:\n\n")[2].partition("\n\n")[0]
    tables = output.partition("\n\n---\n")[0].splitlines()
    assert [line.strip() for line in quoted.splitlines()] == [line.strip() for line in tables[-2:]]


def test_figures_that_are_too_close_ask_for_a_measurement() -> None:
    made = planned("--model", LLAMA, "--prefill-rate", 3000, "--backend", "redis")
    assert any("--verify-report" in sentence for sentence in made["advice"])


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--gpu", "GeForce", "--network", "25G"), "--gpu=GeForce"),
        (("--network", "25G"), "--gpu, --prefill-rate or --verify-report"),
        (("--gpu", "H100", "--network", "quick"), "--network=quick"),
        (("--gpu", "H100", "--backend", "memcached"), "--backend=memcached"),
        (("--gpu", "H100", "--mode", "both"), "--mode=both"),
        (("--gpu", "H100", "--client", "fast"), "--client=fast"),
        (("--gpu", "H100", "--dtype", "int3"), "--dtype=int3"),
        (("--gpu", "H100", "--kv-dtype", "int3"), "--kv-dtype=int3"),
        (("--gpu", "H100", "--price-gpu-hour", "-1", "--price-gib-month", "1"), "--price-gpu-hour=-1"),
        (("--gpu", "H100", "--price-gpu-hour", "1"), "--price-gib-month"),
        (("--gpu", "H100", "--prefill-rate", "0"), "--prefill-rate=0"),
        (("--gpu", "H100", "--cache-size", "-3"), "--cache-size=-3"),
        (("--gpu", "H100", "--tensor-parallel", "0"), "--tensor-parallel=0"),
        (("--gpu", "H100", "--tensor-parallel", "3"), "--tensor-parallel=3 does not divide the model's 32 heads"),
        (("--gpu", "H100", "--pipeline-parallel", "64"), "--pipeline-parallel=64: the model has 32 layers"),
        (("--gpu", "H100", "--chunk-size", "8"), "--chunk-size=8"),
        (("--gpu", "H100", "--prompt-tokens", "100"), "--prompt-tokens=100"),
        (("--gpu", "H100", "--working-set", "0"), "--working-set=0"),
        (("--gpu", "H100", "--working-set", "9", "--trace", "t"), "--working-set and --trace"),
        (("--gpu", "H100", "--trace", "nowhere.jsonl"), "--trace nowhere.jsonl"),
        (("--prefill-rate", "9", "--verify-report", "r"), "--prefill-rate and --verify-report"),
        (("--verify-report", "nowhere.json"), "--verify-report nowhere.json"),
        (("--gpu", "H100", "--gpu-memory-utilization", "2"), "--gpu-memory-utilization=2"),
        (("--gpu", "", "--prefill-rate", "5000"), "--gpu=: choose among"),
        (("--gpu", ""), "--gpu=: choose among"),
        (("--gpu", "H100", "--network", ""), "--network=: give a line"),
        (("--gpu", "H100", "--network", "1e300"), "--network=1e300"),
        (("--prefill-rate", "5000", "--gpu-memory-utilization", "5"), "--gpu-memory-utilization=5"),
        (("--prefill-rate", "5000", "--gpu-memory-utilization", "nan"), "--gpu-memory-utilization=nan"),
        (("--prefill-rate", "1e300"), "--prefill-rate=1e+300"),
        (("--gpu", "H100", "--cache-size", "1e9"), "--cache-size=1000000000"),
        (("--gpu", "H100", "--cache-size", "inf"), "--cache-size=inf"),
        (("--gpu", "H100", "--prompt-tokens", "1000000000"), "--prompt-tokens=1000000000"),
        (("--gpu", "H100", "--replicas", "3000000000"), "--replicas=3000000000"),
        (("--gpu", "H100", "--chunk-size", "3000000000"), "--chunk-size=3000000000"),
        (("--gpu", "H100", "--working-set", "1" + "0" * 400), "--working-set=1000"),
        (("--gpu", "H100", "--working-set", "1000000000000000"), "the whole --working-set has 122,070,312,500 GiB"),
        (("--gpu", "H100", "--values-out", "/nowhere/values.yaml"), "--values-out /nowhere/values.yaml"),
    ],
)
def test_wrong_input_ends_in_one_sentence_that_names_the_option(arguments: tuple[str, ...], says: str) -> None:
    code, _, errors = invoke("--model", LLAMA, *arguments)
    assert code == 2
    assert says in errors
    assert len(errors.strip().splitlines()) == 1


@pytest.mark.parametrize(
    ("backend", "mode"), [("redis", "in-process"), ("none", "in-process"), ("none", "multiprocess")]
)
def test_the_largest_numbers_that_options_take_pass_the_check(tmp_path: Path, backend: str, mode: str) -> None:
    file = tmp_path / "values.yaml"
    largest = ("--cache-size", 2**20, "--prompt-tokens", 2**24, "--replicas", 10_000, "--working-set", 10**9)
    code, _, errors = invoke(*H100, *largest, "--backend", backend, "--mode", mode, "--values-out", file)
    assert code == 0, errors
    checked = CliRunner().invoke(app, ["check", "-f", str(file)])
    assert checked.exit_code == 0, checked.output


def test_a_report_without_any_waiting_gives_a_plan_where_the_engine_has_all(tmp_path: Path) -> None:
    pair = {"prompt_tokens": 3000, "hit_tokens": 2816, "warm_s": 0.6}
    report = {"load": {"s_per_token": 0.0001, "compute_s_per_token": 0.001}, "ttft": {"pairs": [pair]}}
    file = tmp_path / "report.json"
    file.write_text(json.dumps(report), encoding="utf-8")
    made = planned(*H100, "--working-set", 1000, "--verify-report", file)
    assert not made["pays"]
    assert figures(made)["without_s"] == figures(made)["with_s"] == 0
    assert "The engine's own prefix cache holds" in made["reason"]


def test_the_name_of_a_model_is_no_markup(tmp_path: Path) -> None:
    file = tmp_path / "config.json"
    fields = json.loads(LLAMA.read_text(encoding="utf-8"))
    file.write_text(json.dumps({**fields, "_name_or_path": "some/[/b]model"}), encoding="utf-8")
    _, output, _ = invoke("--model", file, "--gpu", "H100", "--network", "25G")
    assert output.startswith("some/[/b]model")


def test_a_model_without_a_usable_configuration_is_refused_by_its_option(tmp_path: Path) -> None:
    file = tmp_path / "config.json"
    file.write_text("{}", encoding="utf-8")
    code, _, errors = invoke("--model", file, "--gpu", "H100")
    assert code == 2
    assert errors.startswith("error: --model: the configuration has no num_hidden_layers")


def test_a_model_that_does_not_fit_names_what_to_raise() -> None:
    code, _, errors = invoke("--model", CONFIGS / "llama-3.1-405b.json", "--gpu", "H100", "--network", "25G")
    assert code == 2
    assert "raise --tensor-parallel" in errors
