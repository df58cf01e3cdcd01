import pytest
from made_release import PREDICTOR, Change, Release, volume

from lmcache_kserve.chart import policies


def test_an_unquoted_variable_is_found_in_either_half_of_the_predictor(release: Release) -> None:
    release.model["env"].append({"name": "B", "value": True})
    release.runtime_container["env"] = [{"name": "C", "value": 1}]
    assert release.judged_by(policies.env_values_are_strings) == [
        "InferenceService/llm model.env[B].value",
        "ServingRuntime/llm containers[kserve-container].env[C].value",
    ]


def test_an_unquoted_label_or_annotation_is_found(release: Release) -> None:
    release.service["metadata"]["labels"]["a"] = 1
    release.predictor["annotations"]["b"] = True
    release.deployment["spec"]["template"]["metadata"]["annotations"] = {"c": 1}
    assert release.judged_by(policies.env_values_are_strings) == [
        "InferenceService/llm metadata.labels[a]",
        "InferenceService/llm spec.predictor.annotations[b]",
        "Deployment/llm-redis spec.template.metadata.annotations[c]",
    ]


@pytest.mark.parametrize(
    ("change", "where"),
    [
        (lambda r: r.model["env"].append({"name": "PYTHONHASHSEED"}), "InferenceService/llm model.env[PYTHONHASHSEED]"),
        (
            lambda r: r.model["volumeMounts"].append({"name": "a", "mountPath": "/lmcache"}),
            "InferenceService/llm model.volumeMounts[/lmcache]",
        ),
        (
            lambda r: r.predictor["volumes"].append(volume("lmcache-config", emptyDir={})),
            "InferenceService/llm volumes[lmcache-config]",
        ),
        (
            lambda r: r.runtime_container["ports"].append({"containerPort": 8080, "protocol": "TCP"}),
            "ServingRuntime/llm containers[kserve-container].ports[8080 TCP]",
        ),
        (
            lambda r: r.pod.update(initContainers=[{"name": "redis", "image": "a:1"}]),
            "Deployment/llm-redis containers[redis]",
        ),
    ],
)
def test_whatever_is_listed_twice_is_found(release: Release, change: Change, where: str) -> None:
    change(release)
    assert release.judged_by(policies.no_duplicates) == [where]


def test_the_halves_of_a_predictor_may_name_the_same_thing(release: Release) -> None:
    release.runtime_container["env"] = [{"name": "PYTHONHASHSEED", "value": "1"}]
    assert release.judged_by(policies.no_duplicates) == []


def test_a_mount_may_find_its_volume_in_the_other_half(release: Release) -> None:
    assert release.judged_by(policies.mounts_have_volumes) == []
    release.runtime["spec"]["volumes"] = []
    assert release.judged_by(policies.mounts_have_volumes) == [f"{PREDICTOR}.volumeMounts[/dev/shm]"]


def test_a_stateful_set_may_mount_what_it_claims(release: Release) -> None:
    release.deployment["kind"] = "StatefulSet"
    release.pod["volumes"] = []
    assert release.judged_by(policies.mounts_have_volumes) == [
        "StatefulSet/llm-redis containers[redis].volumeMounts[/data]"
    ]
    release.deployment["spec"]["volumeClaimTemplates"] = [{"metadata": {"name": "data"}}]
    assert release.judged_by(policies.mounts_have_volumes) == []


def test_a_field_without_a_value_is_found(release: Release) -> None:
    release.service_object["spec"]["clusterIP"] = None
    assert release.judged_by(policies.nothing_is_null) == ["Service/llm-redis spec.clusterIP"]
