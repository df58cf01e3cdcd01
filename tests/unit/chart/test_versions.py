from typing import Any

import pytest

from lmcache_kserve.chart import versions
from lmcache_kserve.chart.schemas import KSERVE_VERSIONS, KUBERNETES_VERSIONS
from lmcache_kserve.errors import HarnessError


def annotated(oldest: str, newest: str) -> dict[str, Any]:
    return {"annotations": {"lmcache-kserve/oldest-kserve": oldest, "lmcache-kserve/newest-kserve": newest}}


@pytest.mark.parametrize(
    ("constraint", "newest"),
    [
        ("", KUBERNETES_VERSIONS[-1]),
        (">=1.32.0-0", KUBERNETES_VERSIONS[-1]),
        (">=1.32.0-0 <1.35.0-0", "1.34"),
        (">= 1.32, <= 1.35", "1.35"),
        ("^1.30 || >=1.99", KUBERNETES_VERSIONS[-1]),
    ],
)
def test_by_default_the_newest_that_chart_and_schemas_know_judges(constraint: str, newest: str) -> None:
    assert versions.kubernetes({"kubeVersion": constraint}, None) == newest


@pytest.mark.parametrize("wanted", ["1.34", "v1.34", "1.34.2", "v1.34.2-eks-1234567", "1.34.1+k3s1"])
def test_a_kubernetes_version_may_be_given_as_a_cluster_prints_it(wanted: str) -> None:
    assert versions.kubernetes({"kubeVersion": ">=1.32.0-0"}, wanted) == "1.34"


@pytest.mark.parametrize("wanted", ["1.31", "1.99", "1", "newest", ""])
def test_an_unknown_kubernetes_version_is_refused_with_the_known_ones(wanted: str) -> None:
    with pytest.raises(HarnessError, match=rf"--kube-version {wanted} is unknown .* use one of 1\.32, 1\.33"):
        versions.kubernetes({"kubeVersion": ">=1.32.0-0"}, wanted)


def test_a_chart_for_another_time_is_refused() -> None:
    with pytest.raises(HarnessError, match=r"needs Kubernetes >=2\.0"):
        versions.kubernetes({"kubeVersion": ">=2.0"}, None)
    with pytest.raises(HarnessError, match="leave no known release"):
        versions.known_kserve(annotated("9.0", "9.1"))


def test_kserve_releases_are_those_between_the_charts_oldest_and_newest() -> None:
    assert versions.known_kserve({}) == list(KSERVE_VERSIONS)
    assert versions.known_kserve(annotated("0.16", "0.17")) == ["0.16.0", "0.17.1"]


def test_an_unknown_kserve_version_is_refused_with_the_known_ones() -> None:
    with pytest.raises(HarnessError, match=r"--kserve-version 0\.99 is unknown .* use one of 0\.15\.2, 0\.16\.0"):
        versions.pick("--kserve-version", "0.99", KSERVE_VERSIONS)


@pytest.mark.parametrize(
    ("values", "stated"), [({}, ""), ({"kserve": None}, ""), ({"kserve": {"version": "0.20.5"}}, "0.20")]
)
def test_values_state_the_minor_version_of_kserve(values: dict[str, Any], stated: str) -> None:
    assert versions.stated_kserve(values) == stated
