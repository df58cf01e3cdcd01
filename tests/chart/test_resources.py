"""Resources of every container are the user's to choose: a namespace with a quota asks for them of each."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from rendering import CHART, SCENARIO_FILES, Render, default_values, scenario_name, scenario_values

from lmcache_kserve.chart.policies.pods import running_pods

QUOTA = {"cpu": "7"}
"""A limit that no default and no scenario has."""


def places(values: Mapping[str, Any], path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Paths of all values that hold resources of a container."""
    for key, value in values.items():
        if isinstance(value, dict):
            if key.lower().endswith("resources"):
                yield (*path, key)
            else:
                yield from places(value, (*path, key))


def limited() -> dict[str, Any]:
    """Values that give every container the limit."""
    values: dict[str, Any] = {}
    for path in places(default_values()):
        node = values
        for step in path:
            node = node.setdefault(step, {})
        node["limits"] = QUOTA
    return values


def test_there_are_values_for_the_resources_of_what_waits_and_tests() -> None:
    found = {".".join(path) for path in places(default_values())}
    assert {"predictor.resources", "remoteBackend.waitResources", "tests.resources"} <= found


@pytest.mark.parametrize("file", SCENARIO_FILES, ids=scenario_name)
def test_a_value_decides_the_resources_of_every_container(render: Render, file: Path) -> None:
    given = scenario_values(file)
    sidecars = {
        one["name"] for key in ("sidecars", "initContainers") for one in given.get("predictor", {}).get(key, ())
    }
    limits = {
        f"{pod.object} {path}": ((container.get("resources") or {}).get("limits") or {}).get("cpu")
        for pod in running_pods(render(limited(), files=[file]))
        for path, container in pod.containers()
        if container["name"] not in sidecars  # the user wrote them whole
    }
    assert limits
    assert {name for name, limit in limits.items() if limit != QUOTA["cpu"]} == set()


def test_no_template_states_resources_of_a_container() -> None:
    for template in (CHART / "templates").rglob("*.*"):
        lines = template.read_text(encoding="utf-8").splitlines()
        after = [lines[index + 1].strip() for index, line in enumerate(lines[:-1]) if line.strip() == "resources:"]
        # A claim for a volume states its storage.
        assert [line for line in after if not line.startswith("{{")] in ([], ["requests:"]), template.name
