import pytest
from made_release import REDIS, Change, Release

from lmcache_kserve.chart import policies


def test_the_labels_of_kserves_controller_are_found(release: Release) -> None:
    labels = release.deployment["metadata"]["labels"]
    labels["serving.kserve.io/inferenceservice"] = "llm"
    assert release.judged_by(policies.kserve_owns_its_labels) == []
    labels["component"] = "predictor"
    assert release.judged_by(policies.kserve_owns_its_labels) == ["Deployment/llm-redis metadata.labels"]


@pytest.mark.parametrize(
    ("change", "where"),
    [
        (lambda r: r.service["metadata"].update(name="a" * 49), f"InferenceService/{'a' * 49} metadata.name"),
        (lambda r: r.service["metadata"].update(name="0llm"), "InferenceService/0llm metadata.name"),
        (lambda r: r.service_object["metadata"].update(name="a.b"), "Service/a.b metadata.name"),
        (lambda r: r.deployment["metadata"].update(name="a" * 64), f"Deployment/{'a' * 64} metadata.name"),
        (lambda r: r.config_map["metadata"].update(name="Config"), "ConfigMap/Config metadata.name"),
        (
            lambda r: r.service["metadata"]["labels"].update({"a b": "c"}),
            "InferenceService/llm metadata.labels[a b]",
        ),
        (
            lambda r: r.predictor.update(labels={"a": "b" * 64}),
            "InferenceService/llm spec.predictor.labels[a]",
        ),
        (
            lambda r: r.deployment["spec"]["selector"]["matchLabels"].update(a="-b"),
            "Deployment/llm-redis spec.selector.matchLabels[a]",
        ),
        (lambda r: r.service_object["spec"]["selector"].update(a="b!"), "Service/llm-redis spec.selector[a]"),
        (lambda r: r.container["ports"][0].update(name="a" * 16), f"{REDIS}.ports"),
    ],
)
def test_a_name_that_is_too_long_or_not_allowed_is_found(release: Release, change: Change, where: str) -> None:
    change(release)
    assert release.judged_by(policies.names_are_valid) == [where]
