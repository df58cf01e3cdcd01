"""Names: within the limits of Kubernetes and of KServe's controller for any release and namespace, and never shared."""

import pytest
from rendering import BACKENDS, EVERYTHING, Render, remote_backend

from lmcache_kserve.chart import policies
from lmcache_kserve.chart.manifests import Manifests

LONGEST_RELEASE = "r" * 53
# KServe's host label `<name>-predictor-<namespace>` leaves ten characters for a name here.
LONGEST_NAMESPACE = "n" * 42


def service_name(manifests: Manifests) -> str:
    return str(manifests.one("InferenceService")["metadata"]["name"])


@pytest.mark.parametrize("backend", ["none", "redis-sentinel", *BACKENDS])
@pytest.mark.parametrize("namespace", ["n", LONGEST_NAMESPACE])
@pytest.mark.parametrize("release", ["llm", LONGEST_RELEASE, "a" + "-1" * 26])
def test_names_fit_the_longest_release_and_namespace(
    render: Render, release: str, namespace: str, backend: str
) -> None:
    manifests = render({"remoteBackend": {"type": backend}}, release=release, namespace=namespace)
    assert policies.names_are_valid(manifests) == []
    name = service_name(manifests)
    assert len(f"isvc.{name}-predictor") <= 63
    assert len(f"{name}-predictor-{namespace}") <= 63


@pytest.mark.parametrize("namespace", ["n", LONGEST_NAMESPACE])
@pytest.mark.parametrize("backend", ["redis", "redis-sentinel", "valkey"])
def test_names_fit_when_everything_is_switched_on(render: Render, backend: str, namespace: str) -> None:
    values = {**EVERYTHING, **remote_backend(backend, persistence={"enabled": True})}
    manifests = render(values, release=LONGEST_RELEASE, namespace=namespace)
    assert policies.names_are_valid(manifests) == []


def test_two_releases_that_begin_alike_share_no_name(render: Render) -> None:
    first, second = (
        {(manifest["kind"], manifest["metadata"]["name"]) for manifest in render(release=f"{'r' * 52}{end}")}
        for end in "ab"
    )
    assert first & second == set()


def test_a_release_that_starts_with_a_digit_gets_a_name_that_kserve_accepts(render: Render) -> None:
    assert service_name(render(release="7b-llama"))[0].isalpha()


@pytest.mark.parametrize("letters", [31, 32, 33, 34])
def test_a_name_cut_at_a_dash_does_not_end_in_it(render: Render, letters: int) -> None:
    release = "a" * letters + "-" + "b" * 15
    name = service_name(render(release=release))
    assert "--" not in name
    assert policies.names_are_valid(render(release=release)) == []


def test_the_users_name_is_used_as_it_is(render: Render) -> None:
    assert service_name(render({"fullnameOverride": "llama"})) == "llama"


def test_a_release_named_after_the_chart_does_not_repeat_it(render: Render) -> None:
    assert service_name(render(release="my-lmcache-kserve")) == "my-lmcache-kserve"


def test_every_object_lives_in_the_namespace_of_the_release(render: Render) -> None:
    assert {manifest["metadata"]["namespace"] for manifest in render(EVERYTHING)} == {"models"}


@pytest.mark.parametrize("backend", BACKENDS)
def test_no_object_carries_the_labels_by_which_kserve_deletes(render: Render, backend: str) -> None:
    values = {**remote_backend(backend), "kserve": {"labels": {"team": "search"}}}
    assert policies.kserve_owns_its_labels(render(values)) == []
    for manifest in render(values):
        assert "serving.kserve.io/inferenceservice" not in manifest["metadata"]["labels"]
