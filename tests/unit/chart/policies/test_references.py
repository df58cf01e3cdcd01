import pytest
from made_release import PREDICTOR, REDIS, Change, Release, volume

from lmcache_kserve.chart import policies


@pytest.mark.parametrize(
    ("change", "where"),
    [
        pytest.param(
            lambda r: r.objects.remove(r.config_map), "InferenceService/llm volumes[lmcache-config]", id="no ConfigMap"
        ),
        pytest.param(
            lambda r: r.config_map.update(data={"other": ""}),
            "InferenceService/llm volumes[lmcache-config]",
            id="no key in the ConfigMap",
        ),
        pytest.param(lambda r: r.objects.remove(r.secret), f"{PREDICTOR}.env[REMOTE_BACKEND_PASSWORD]", id="no Secret"),
        pytest.param(
            lambda r: r.secret["stringData"].pop("password"),
            f"{PREDICTOR}.env[REMOTE_BACKEND_PASSWORD]",
            id="no key in the Secret",
        ),
        (lambda r: r.container.update(envFrom=[{"secretRef": {"name": "no"}}]), f"{REDIS}.envFrom"),
        pytest.param(
            lambda r: r.pod["volumes"].append(volume("a", secret={"secretName": "no"})),
            "Deployment/llm-redis volumes[a]",
            id="a Secret as volume",
        ),
        pytest.param(
            lambda r: r.pod["volumes"].append(volume("a", projected={"sources": [{"secret": {"name": "no"}}]})),
            "Deployment/llm-redis volumes[a]",
            id="a projected Secret",
        ),
        pytest.param(
            lambda r: r.pod["volumes"].append(volume("a", persistentVolumeClaim={"claimName": "no"})),
            "Deployment/llm-redis volumes[a]",
            id="a claim",
        ),
    ],
)
def test_a_reference_to_nothing_is_found(release: Release, change: Change, where: str) -> None:
    change(release)
    assert release.judged_by(policies.references_exist) == [where]


def test_a_reference_may_be_external_or_optional(release: Release) -> None:
    release.objects.remove(release.secret)
    assert policies.references_exist(release.manifests(), external=["llm-redis"]) == []
    release.model["env"][1]["valueFrom"]["secretKeyRef"]["optional"] = True
    assert policies.references_exist(release.manifests()) == []


def test_what_values_expect_in_the_namespace_is_read_from_the_charts_keys_and_from_a_pods() -> None:
    values = {
        "huggingFace": {"existingSecret": "hf", "token": ""},
        "remoteBackend": {"redis": {"auth": {"existingSecret": ""}, "external": {"tls": {"caSecret": "ca"}}}},
        "predictor": {
            "env": [{"name": "A", "valueFrom": {"secretKeyRef": {"name": "env", "key": "k"}}}],
            "volumes": [
                {"name": "a", "secret": {"secretName": "volume"}},
                {"name": "b", "persistentVolumeClaim": {"claimName": "claim"}},
                {"name": "c", "projected": {"sources": [{"configMap": {"name": "projected"}}]}},
            ],
        },
        "model": {"name": "not-a-secret"},
    }
    assert policies.external_names(values) == {"hf", "ca", "env", "volume", "claim", "projected"}
