"""Every alert by Prometheus' own evaluation (promtool): it stays quiet, waits, fires and clears."""

import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from promtool import run
from rendering import CHART, REPOSITORY, Render, merged, remote_backend

CASES: list[dict[str, Any]] = yaml.safe_load((Path(__file__).parent / "cases.yaml").read_text(encoding="utf-8"))
CPU = yaml.safe_load((REPOSITORY / "values" / "cpu.yaml").read_text(encoding="utf-8"))
ON = {"monitoring": {"podMonitor": {"enabled": True}, "rules": {"enabled": True}}, "networkPolicy": {"enabled": False}}
SERVER = {"mode": "multiprocess", "multiprocess": {"metrics": {"enabled": True}}}
RELEASES: dict[str, dict[str, Any]] = {
    "in-process": {},
    "multiprocess": {"lmcache": SERVER},
    "redis-sentinel": remote_backend("redis-sentinel"),
}
JOB = 'namespace="models",job="models/llm-lmcache-kserve'
LABELS = {
    "@predictor@": f'{JOB}-predictor"',
    "@server@": f'{JOB}-predictor",endpoint="lmcache-metrics"',
    "@backend@": f'{JOB}-backend"',
}


def name_of(case: Mapping[str, Any]) -> str:
    return f"{case['alert']}-{case['release']}"


def rules(render: Render, release: str, monitoring: Mapping[str, Any] | None = None) -> dict[str, Any]:
    values = merged(merged(CPU, ON), merged(RELEASES[release], {"monitoring": {"rules": monitoring or {}}}))
    found: dict[str, Any] = render(values).one("PrometheusRule")["spec"]
    return found


def alerts(spec: Mapping[str, Any]) -> list[str]:
    return [rule["alert"] for group in spec["groups"] for rule in group["rules"] if "alert" in rule]


def expectation(alert: str, minute: int, *, firing: bool) -> dict[str, Any]:
    expression = f'clamp_max(count(ALERTS{{alertname="{alert}",alertstate="firing"}}), 1) or vector(0)'
    return {"expr": expression, "eval_time": f"{minute}m", "exp_samples": [{"labels": "{}", "value": int(firing)}]}


def life(spec: Mapping[str, Any], case: Mapping[str, Any], folder: Path) -> subprocess.CompletedProcess[str]:
    """Let promtool live through a case."""
    series = []
    for name, values in case["series"].items():
        for word, labels in LABELS.items():
            name = name.replace(word, labels)  # noqa: PLW2901 - one word after the other
        series.append({"series": name, "values": values})
    moments = {key: case[key] for key in ("quiet", "pending", "fires", "cleared") if key in case}
    expected = [expectation(case["alert"], minute, firing=key == "fires") for key, minute in moments.items()]
    test = {"interval": "1m", "input_series": series, "promql_expr_test": expected}
    (folder / "rules.yaml").write_text(yaml.safe_dump(spec), encoding="utf-8")
    content = {"rule_files": ["rules.yaml"], "evaluation_interval": "1m", "tests": [test]}
    (folder / "test.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    return run(folder, "test", "rules", "test.yaml")


@pytest.mark.parametrize("release", RELEASES)
def test_prometheus_accepts_every_rule(render: Render, release: str, tmp_path: Path) -> None:
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump(rules(render, release)), encoding="utf-8")
    done = run(tmp_path, "check", "rules", "rules.yaml")
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("case", CASES, ids=name_of)
def test_an_alert_stays_quiet_waits_fires_and_clears(render: Render, case: dict[str, Any], tmp_path: Path) -> None:
    done = life(rules(render, case["release"]), case, tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_alert_has_a_case() -> None:
    written = yaml.safe_load((CHART / "files" / "rules.yaml").read_text(encoding="utf-8"))["alerts"]
    assert {case["alert"] for case in CASES} == {alert["alert"] for alert in written}


@pytest.mark.parametrize("case", [case for case in CASES if "pending" in case], ids=name_of)
def test_an_alert_that_does_not_wait_is_seen(render: Render, case: dict[str, Any], tmp_path: Path) -> None:
    eager = rules(render, case["release"], {"alerts": {case["alert"]: {"for": "0m"}}})
    assert life(eager, case, tmp_path).returncode != 0


@pytest.mark.parametrize("case", CASES, ids=name_of)
def test_a_condition_that_is_turned_round_is_seen(render: Render, case: dict[str, Any], tmp_path: Path) -> None:
    spec = yaml.safe_load(yaml.safe_dump(rules(render, case["release"])))
    turned = str.maketrans("<>", "><")
    for group in spec["groups"]:
        for rule in group["rules"]:
            if rule.get("alert") == case["alert"]:
                expression = rule["expr"].translate(turned)
                rule["expr"] = expression.replace("== 1", "!= 1") if expression == rule["expr"] else expression
    assert life(spec, case, tmp_path).returncode != 0
