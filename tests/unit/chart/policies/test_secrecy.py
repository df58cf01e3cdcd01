import pytest
from made_release import Change, Release

from lmcache_kserve.chart import policies


@pytest.mark.parametrize(
    ("change", "where"),
    [
        pytest.param(
            lambda r: r.config_map["data"].update(a="x p@ssword/1"), "ConfigMap/llm-lmcache data.a", id="as it is"
        ),
        pytest.param(
            lambda r: r.config_map["data"].update(a="redis://:p%40ssword%2F1@h"),
            "ConfigMap/llm-lmcache data.a",
            id="percent-encoded",
        ),
        pytest.param(
            lambda r: r.config_map["data"].update(a="redis://me:other@host"),
            "ConfigMap/llm-lmcache data.a",
            id="another password in a URL",
        ),
        (
            lambda r: r.runtime_container["args"].append("--password=p@ssword/1"),
            "ServingRuntime/llm spec.containers[0].args[1]",
        ),
        (
            lambda r: r.container["env"][0].update(value="p@ssword/1"),
            "Deployment/llm-redis spec.template.spec.containers[0].env[0].value",
        ),
        (
            lambda r: r.predictor["annotations"].update(a="p@ssword/1"),
            "InferenceService/llm spec.predictor.annotations.a",
        ),
        (
            lambda r: r.secret["metadata"].update(annotations={"a": "p@ssword/1"}),
            "Secret/llm-redis metadata.annotations.a",
        ),
    ],
)
def test_a_secret_in_plain_sight_is_found_and_not_repeated(release: Release, change: Change, where: str) -> None:
    change(release)
    assert release.judged_by(policies.secrets_stay_secret) == [where]
    assert not [found for found in policies.secrets_stay_secret(release.manifests()) if "p@ss" in str(found)]


def test_an_encoded_secret_is_read(release: Release) -> None:
    release.secret["data"] = {"token": "aGZfYWJjZGVm"}
    release.config_map["data"]["a"] = "hf_abcdef"
    assert release.judged_by(policies.secrets_stay_secret) == ["ConfigMap/llm-lmcache data.a"]


@pytest.mark.parametrize(
    "text",
    [
        "redis://host:6379/0",
        "redis://$USER:$PASSWORD@host",
        "{scheme}://{user}:{password}@h",
        "redis://:***@h",
        "default-user",
    ],
)
def test_what_only_looks_like_a_secret_is_none(release: Release, text: str) -> None:
    release.config_map["data"]["a"] = text
    assert release.judged_by(policies.secrets_stay_secret) == []
