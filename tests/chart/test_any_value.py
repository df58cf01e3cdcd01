"""Wrong values, several at a time: refused by name, or harmless. `make test-values` tries each of them alone."""

from typing import Any

import pytest
from any_value import WRONG, assigned, fault, files, paths
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lmcache_kserve.chart.helm import Helm

# YAML has no control characters.
TEXT = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cn", "Co", "Cs")), max_size=12)
VALUES = st.one_of(st.sampled_from(WRONG), TEXT, st.integers(), st.booleans())


FEW = 100


def examples(config: pytest.Config) -> int:
    return int(config.getoption("--examples"))


@st.composite
def changed(draw: st.DrawFn) -> tuple[tuple[str, ...], dict[str, Any]]:
    """The first path that was chosen, and values with all that were."""
    chosen = draw(st.lists(st.tuples(st.sampled_from(paths()), VALUES), min_size=1, max_size=4))
    values: dict[str, Any] = {}
    for path, value in chosen:
        assigned(values, path, value)
    return chosen[0][0], values


def test_values_are_refused_by_name_or_rendered_as_a_cluster_admits_them(
    helm: Helm, pytestconfig: pytest.Config
) -> None:
    @settings(
        max_examples=examples(pytestconfig),
        # A change is not judged by chance: make test tries the same sets each time, make test-values other ones.
        derandomize=examples(pytestconfig) <= FEW,
        database=None,
        deadline=None,
        print_blob=True,
        suppress_health_check=[HealthCheck.too_slow],
    )
    @given(changed())
    def holds(given_values: tuple[tuple[str, ...], dict[str, Any]]) -> None:
        path, values = given_values
        assert fault(helm, values, files(path)) == ""

    holds()
