"""What KEDA gets for the queries of preset waiting-requests, by Prometheus' own evaluation (promtool)."""

from pathlib import Path

import pytest
import yaml
from problems.scaling import PRESET
from promtool import run
from rendering import Render, merged

TO_ZERO = {"minReplicas": 0, "waitingRequests": {"activationQuery": 'rate(calls{to="llm"}[1m])'}}
OURS = 'namespace="models",job="models/llm-lmcache-kserve-predictor"'
CALLS = {'calls{to="llm"}': "0+15x20"}
QUEUES = {
    f'vllm:num_requests_waiting{{{OURS},pod="a"}}': "3x20",
    f'vllm:num_requests_waiting{{{OURS},pod="b"}}': "4x20",
    'vllm:num_requests_waiting{namespace="models",job="models/another-predictor",pod="c"}': "50x20",
}
RUNNING = {f'vllm:num_requests_running{{{OURS},pod="a"}}': "9x20"}


@pytest.mark.parametrize(
    ("series", "waiting", "activation"),
    [
        ({}, None, 0),
        (CALLS, None, 1),
        (QUEUES, 7, 0),
        (RUNNING, None, 1),
        ({**QUEUES, **RUNNING, **CALLS}, 7, 1),
    ],
    ids=["nobody asks", "somebody asks and no replica runs", "requests wait", "a long request runs", "all at once"],
)
def test_keda_sees_who_waits_and_whether_a_replica_is_needed(
    render: Render, tmp_path: Path, series: dict[str, str], waiting: int | None, activation: int
) -> None:
    spec = render(merged(PRESET, {"predictor": {"autoscaling": TO_ZERO}})).one("ScaledObject")["spec"]
    queries = {one["name"]: one["metadata"]["query"] for one in spec["triggers"]}
    seen = {"waiting": waiting, "activation": activation}
    expected = [
        {
            "expr": queries[name],
            "eval_time": "5m",
            "exp_samples": [] if value is None else [{"labels": "{}", "value": value}],
        }
        for name, value in seen.items()
    ]
    test = {
        "interval": "15s",
        "input_series": [{"series": name, "values": values} for name, values in series.items()],
        "promql_expr_test": expected,
    }
    (tmp_path / "test.yaml").write_text(yaml.safe_dump({"rule_files": [], "tests": [test]}), encoding="utf-8")
    done = run(tmp_path, "test", "rules", "test.yaml")
    assert done.returncode == 0, done.stdout + done.stderr
