from typing import Any

import pytest
from made_release import PREDICTOR, REDIS, Release

from lmcache_kserve.chart import policies


@pytest.mark.parametrize("image", ["redis", "redis:latest", "example.com:5000/redis", ""])
def test_an_image_without_a_fixed_version_is_found(release: Release, image: str) -> None:
    release.container["image"] = image
    assert release.judged_by(policies.images_are_pinned) == [f"{REDIS}.image"]


def test_the_predictors_image_may_be_pinned_in_either_half(release: Release) -> None:
    release.runtime_container["image"] = "vllm"
    assert release.judged_by(policies.images_are_pinned) == [f"{PREDICTOR}.image"]
    release.model["image"] = "vllm:1"
    assert release.judged_by(policies.images_are_pinned) == []


@pytest.mark.parametrize(
    ("resources", "missing"),
    [
        ({"requests": {"cpu": 1, "memory": "1Gi"}}, ["limits.memory"]),
        ({"limits": {"memory": "1Gi"}}, ["requests.cpu"]),
        ({"limits": {"memory": "1Gi", "cpu": 1}}, []),
        ({}, ["requests.cpu", "requests.memory", "limits.memory"]),
    ],
)
def test_a_container_without_bounds_is_found(release: Release, resources: dict[str, Any], missing: list[str]) -> None:
    release.container["resources"] = resources
    assert release.judged_by(policies.memory_is_bounded) == [f"{REDIS}.resources.{name}" for name in missing]


@pytest.mark.parametrize("value", ["random", "", None])
def test_a_predictor_without_a_fixed_hash_seed_is_found(release: Release, value: str | None) -> None:
    release.model["env"][0]["value"] = value
    assert release.judged_by(policies.hash_seed_is_fixed) == [f"{PREDICTOR}.env[PYTHONHASHSEED]"]


def test_a_predictor_that_does_not_mention_the_hash_seed_is_found(release: Release) -> None:
    release.model["env"] = []
    assert release.judged_by(policies.hash_seed_is_fixed) == [f"{PREDICTOR}.env[PYTHONHASHSEED]"]


def test_the_hash_seed_may_be_fixed_in_the_runtime(release: Release) -> None:
    release.runtime_container["env"] = [release.model["env"].pop(0)]
    assert release.judged_by(policies.hash_seed_is_fixed) == []


def test_who_has_no_hash_seed_is_told_to_leave_it_to_the_chart(release: Release) -> None:
    release.model["env"] = []
    (violation,) = policies.hash_seed_is_fixed(release.manifests())
    assert "when lmcache.hashSeed is empty and predictor.env does not set PYTHONHASHSEED" in violation.message
