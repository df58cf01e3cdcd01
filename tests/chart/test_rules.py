"""Recording rules and alerts: they read what is served, and docs have them. tests/alerts lets promtool judge them."""

import re
from typing import Any

import pytest
import yaml
from rendering import CHART, NEWEST, REPOSITORY, Render, environment, merged, pod, remote_backend

RULES: dict[str, list[dict[str, Any]]] = yaml.safe_load((CHART / "files" / "rules.yaml").read_text(encoding="utf-8"))
METRICS = REPOSITORY / "tests" / "metrics"
SERVED = {
    name
    for file in METRICS.glob("*.txt")
    for name in re.findall(r"^([a-zA-Z_:][\w:]*)", file.read_text(encoding="utf-8"), re.MULTILINE)
}
ALL = [*RULES["recording"], *RULES["alerts"]]
NEEDED = {"lmcache": "lmcache:", "server": "lmcache_mp_|process_start", "proxy": "haproxy_"}
"""What stands in front of the names of metrics, by what a rule needs to have them."""
VLLM: dict[str, Any] = merged(
    NEWEST,
    {"monitoring": {"podMonitor": {"enabled": True}, "rules": {"enabled": True}}, "networkPolicy": {"enabled": False}},
)
SERVER = {"lmcache": {"mode": "multiprocess", "multiprocess": {"metrics": {"enabled": True}}}}
FOLDER = "PROMETHEUS_MULTIPROC_DIR"


def rendered(render: Render, values: dict[str, Any], kind: str) -> list[dict[str, Any]]:
    spec = render(merged(VLLM, values)).one("PrometheusRule")["spec"]
    return [rule for group in spec["groups"] for rule in group["rules"] if kind in rule]


def names(render: Render, values: dict[str, Any]) -> list[str]:
    return [rule["alert"] for rule in rendered(render, values, "alert")]


@pytest.mark.parametrize(
    "rule", ALL, ids=[f"{number}-{rule.get('alert') or rule['record']}" for number, rule in enumerate(ALL)]
)
def test_a_rule_reads_what_is_served_and_says_what_it_needs(rule: dict[str, Any]) -> None:
    read = set(re.findall(r"([a-zA-Z_:][\w:]*)\{", rule["expr"]))
    recorded = {one["record"] for one in RULES["recording"]}
    assert read
    assert read - recorded - {"up"} <= SERVED
    needs = {need for need, start in NEEDED.items() for name in read if re.match(start, name)}
    for name in read & recorded:
        needs |= {need for one in RULES["recording"] if one["record"] == name for need in one.get("needs", ())}
    if "@capacity@" in rule["expr"]:
        needs.add("capacity")
    if read == {"up"}:
        needs.add("replica")
    assert set(rule.get("needs", ())) == needs


@pytest.mark.parametrize(
    ("values", "more"),
    [
        ({}, {"LMCacheNotStarted", "LMCacheCostsMoreThanItSaves", "LMCacheBackendTurnsOverFast"}),
        (SERVER, {"LMCacheNotStarted", "LMCacheBackendUnreachable", "LMCacheServerRestarted"}),
        (
            remote_backend("redis-sentinel"),
            {"LMCacheRedisWithoutMaster", "LMCacheFailover", "LMCacheBackendTurnsOverFast"},
        ),
        ({"runtime": {"server": "huggingfaceserver", "image": {"repository": "", "tag": ""}}}, set()),
    ],
    ids=["in-process", "multiprocess", "redis-sentinel", "huggingfaceserver"],
)
def test_a_release_has_the_alerts_whose_metrics_it_serves(
    render: Render, values: dict[str, Any], more: set[str]
) -> None:
    found = names(render, values)
    assert len(found) == len(set(found))
    assert {"LMCacheScrapeMissing", "LMCacheHitShareCollapsed", "LMCacheTtftAboveItsHistory", *more} <= set(found)
    if not more:
        assert not {rule["alert"] for rule in RULES["alerts"] if set(rule.get("needs", ())) - {"replica"}} & set(found)


def test_a_release_that_may_have_no_replica_misses_no_scrape(render: Render) -> None:
    scaling = {"enabled": True, "class": "keda", "minReplicas": 0}
    assert "LMCacheScrapeMissing" not in names(render, {"predictor": {"autoscaling": scaling}})
    assert "LMCacheScrapeMissing" in names(render, {"predictor": {"autoscaling": {**scaling, "minReplicas": 1}}})


@pytest.mark.parametrize(
    "values", [{}, SERVER, remote_backend("redis-sentinel")], ids=["in-process", "server", "proxy"]
)
def test_every_word_of_the_release_is_put_in(render: Render, values: dict[str, Any]) -> None:
    for kind in ("record", "alert"):
        for rule in rendered(render, values, kind):
            assert not re.search(r"@\w+@", rule["expr"]), rule["expr"]
            assert {"namespace": "models", "inferenceservice": "llm-lmcache-kserve"}.items() <= rule["labels"].items()


def test_a_daemonset_is_read_where_its_own_podmonitor_scrapes(render: Render) -> None:
    placement = {"lmcache": {"multiprocess": {"placement": "daemonset", "transferMode": "engine_driven"}}}
    (rule,) = [
        rule
        for rule in rendered(render, merged(SERVER, placement), "alert")
        if rule["alert"] == "LMCacheServerRestarted"
    ]
    assert 'job="models/llm-lmcache-kserve-cache-server"' in rule["expr"]


def test_an_alert_can_be_changed_and_turned_off(render: Render) -> None:
    change = {"threshold": 0, "for": "1h", "severity": "info"}
    alerts = {"LMCacheHitShareCollapsed": change, "LMCacheScrapeMissing": {"enabled": False}}
    rules = {"alerts": alerts, "runbookUrl": "https://example.com/runbook"}
    found = {rule["alert"]: rule for rule in rendered(render, {"monitoring": {"rules": rules}}, "alert")}
    changed = found["LMCacheHitShareCollapsed"]
    assert "LMCacheScrapeMissing" not in found
    assert "< 0 * " in changed["expr"]
    assert (changed["for"], changed["labels"]["severity"]) == ("1h", "info")
    assert changed["annotations"]["runbook_url"] == "https://example.com/runbook#lmcachehitsharecollapsed"


def test_engine_and_server_of_metrics_meet_in_a_folder_of_the_pod(render: Render) -> None:
    with_rules, without = pod(render(VLLM)), pod(render(NEWEST))
    folder = environment(with_rules.container)[FOLDER]
    (mount,) = [one for one in with_rules.container["volumeMounts"] if one["mountPath"] == folder]
    (volume,) = [one for one in with_rules.spec["volumes"] if one["name"] == mount["name"]]
    assert volume["emptyDir"]["medium"] == "Memory"
    assert FOLDER not in environment(without.container)
    assert FOLDER not in environment(pod(render(merged(VLLM, SERVER))).container)
    assert FOLDER in environment(pod(render(merged(NEWEST, {"lmcache": {"metrics": True}}))).container)


def test_every_alert_has_a_section_and_a_row_with_its_defaults() -> None:
    runbook, page = (
        (REPOSITORY / "docs" / name).read_text(encoding="utf-8") for name in ("runbook.md", "monitoring.md")
    )
    rows = dict(re.findall(r"^\| `(LMCache\w+)` \| (.*) \|$", page, re.MULTILINE))
    assert re.findall(r"^## (LMCache\w+)$", runbook, re.MULTILINE) == list(rows)
    assert set(rows) == {alert["alert"] for alert in RULES["alerts"]}
    for alert in RULES["alerts"]:
        row = rows[alert["alert"]]
        assert alert["severity"] in row
        assert ("at once" if alert["for"] == "0m" else alert["for"]) in row
        assert str(alert.get("threshold", "")) in row
    for rule in RULES["recording"]:
        assert f"`{rule['record']}`" in page
