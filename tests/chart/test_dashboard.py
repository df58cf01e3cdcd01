"""The Grafana dashboard: what its script writes, for what the release serves, with queries of served metrics."""

import json
import re
from types import ModuleType
from typing import Any

import pytest
from loading import module_at
from rendering import CHART, NEWEST, REPOSITORY, Render, merged, remote_backend

ON: dict[str, Any] = merged(
    NEWEST,
    {
        "monitoring": {part: {"enabled": True} for part in ("podMonitor", "rules", "dashboard")},
        "networkPolicy": {"enabled": False},
    },
)
SERVER = {"lmcache": {"mode": "multiprocess", "multiprocess": {"metrics": {"enabled": True}}}}
KSERVE = {"runtime": {"server": "huggingfaceserver", "image": {"repository": "", "tag": ""}}}
RELEASES = {"lmcache": {}, "server": SERVER, "vllm": KSERVE}
RECORDED = set(re.findall(r"record: (\S+)", (CHART / "files" / "rules.yaml").read_text(encoding="utf-8")))
SERVED = {
    name
    for file in (REPOSITORY / "tests" / "metrics").glob("*.txt")
    for name in re.findall(r"^([a-zA-Z_:][\w:]*)", file.read_text(encoding="utf-8"), re.MULTILINE)
}


@pytest.fixture(scope="module")
def script() -> ModuleType:
    return module_at(REPOSITORY / "scripts" / "dashboard.py")


def shown(render: Render, values: dict[str, Any]) -> dict[str, Any]:
    (config,) = [
        one
        for one in render(merged(ON, values)).of_kind("ConfigMap")
        if one["metadata"]["labels"].get("grafana_dashboard") == "1"
    ]
    (text,) = config["data"].values()
    content: dict[str, Any] = json.loads(text)
    return content


def queries(content: dict[str, Any]) -> list[str]:
    return [target["expr"] for panel in content["panels"] for target in panel.get("targets", ())]


def test_the_files_are_what_the_script_writes(script: ModuleType) -> None:
    for served in script.SERVED:
        file = script.FOLDER / f"{served}.json"
        assert file.read_text(encoding="utf-8") == script.written(served), "run scripts/dashboard.py"


@pytest.mark.parametrize("served", RELEASES)
def test_a_release_has_the_dashboard_of_what_it_serves(render: Render, served: str) -> None:
    content = shown(render, RELEASES[served])
    assert content["title"] == "LMCache: models/llm-lmcache-kserve"
    assert re.fullmatch(r"[0-9a-f]{20}", content["uid"])
    found = queries(content)
    assert len(found) > 8
    for query in found:
        assert not re.search(r"@\w+@", query), query
        assert 'namespace="models"' in query
        assert set(re.findall(r"([a-zA-Z_:][\w:]*)\{", query)) <= SERVED | RECORDED | {"up"}
    assert any(query.startswith("lmcache_kserve:saved_seconds") for query in found) is (served == "lmcache")
    assert any("lmcache_mp_" in query for query in found) is (served == "server")


def test_two_releases_have_dashboards_of_their_own(render: Render) -> None:
    one, other = (
        json.loads(next(iter(found["data"].values())))
        for name in ("llm", "other")
        for found in render(ON, release=name).of_kind("ConfigMap")
        if found["metadata"]["name"].endswith("-dashboard")
    )
    assert one["uid"] != other["uid"]


def test_a_sidecar_can_ask_for_other_labels_and_a_folder(render: Render) -> None:
    wanted = {"labels": {"grafana_dashboard": "1", "team": "search"}, "annotations": {"grafana_folder": "LLM"}}
    (config,) = [
        one
        for one in render(merged(ON, {"monitoring": {"dashboard": wanted}, **remote_backend("redis")})).of_kind(
            "ConfigMap"
        )
        if one["metadata"]["name"].endswith("-dashboard")
    ]
    assert config["metadata"]["labels"]["team"] == "search"
    assert config["metadata"]["annotations"]["grafana_folder"] == "LLM"
