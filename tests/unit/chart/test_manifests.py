from typing import Any

import pytest

from lmcache_kserve.chart.manifests import POD_SPEC_PATHS, ManifestError, Manifests, describe, dotted, load_strict

TWO_OBJECTS = """
apiVersion: v1
kind: ConfigMap
metadata: {name: lmcache-config, labels: {app.kubernetes.io/component: lmcache, app.kubernetes.io/instance: llm}}
---
# a document of comments alone
---
apiVersion: v1
kind: Service
metadata: {name: redis, labels: {app.kubernetes.io/component: remote-backend}}
"""


def test_a_key_given_twice_in_one_mapping_is_refused() -> None:
    with pytest.raises(ManifestError, match="duplicate key 'name'"):
        load_strict("metadata: {name: a, name: b}")


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("{1: a, 1.50: b, true: c}", {"1": "a", "1.50": "b", "true": "c"}),
        ("a: &a {1: x}\nb: {<<: *a}", {"a": {"1": "x"}, "b": {"1": "x"}}),
        ("on: 2026-11-29", {"true": "2026-11-29"}),
        ("a: !!set {x, y}", {"a": {"x": None, "y": None}}),
        ("a: !!omap [x: 1]", {"a": [{"x": 1}]}),
        ("a: !!binary eA==", {"a": "eA=="}),
    ],
)
def test_yaml_is_read_into_what_json_can_say(text: str, read: dict[str, Any]) -> None:
    assert load_strict(text) == [read]


@pytest.mark.parametrize("text", ["{1: a, '1': b}", "{null: a}", "{[a]: b}"])
def test_keys_that_kubernetes_cannot_tell_apart_or_has_not_are_refused(text: str) -> None:
    with pytest.raises(ManifestError):
        load_strict(text)


def test_a_key_given_twice_below_a_merge_key_is_refused() -> None:
    with pytest.raises(ManifestError, match="duplicate key 'b'"):
        load_strict("a: &a {b: 1}\nc:\n  <<: *a\n  b: 2\n  b: 3\n")


def test_a_merged_key_may_be_overridden() -> None:
    assert load_strict("a: &a {b: 1}\nc:\n  <<: *a\n  b: 2\n") == [{"a": {"b": 1}, "c": {"b": 2}}]


def test_text_that_is_no_yaml_is_refused() -> None:
    with pytest.raises(ManifestError, match="invalid YAML"):
        load_strict("a: b: c")


def test_tags_do_not_make_python_objects() -> None:
    with pytest.raises(ManifestError, match="could not determine a constructor"):
        load_strict("!!python/object/apply:os.getcwd []")


def test_documents_without_content_are_no_objects() -> None:
    assert [describe(manifest) for manifest in Manifests.parse(TWO_OBJECTS)] == [
        "ConfigMap/lmcache-config",
        "Service/redis",
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("just text", "not a Kubernetes object"),
        ("kind: Pod\nmetadata: {name: a}", "lacks apiVersion"),
        ("apiVersion: v1\nmetadata: {name: a}", "lacks apiVersion, kind"),
        ("apiVersion: v1\nkind: Pod\nmetadata: {}", r"lacks .*metadata\.name"),
        ("apiVersion: v1\nkind: Pod\nmetadata:", r"lacks .*metadata\.name"),
        ("apiVersion: v1\nkind: Pod\nmetadata: {name: 5}", r"lacks .*metadata\.name"),
    ],
)
def test_a_document_that_is_no_object_is_refused(text: str, message: str) -> None:
    with pytest.raises(ManifestError, match=message):
        Manifests.parse(text)


def test_the_same_object_twice_is_refused() -> None:
    document = "apiVersion: v1\nkind: Secret\nmetadata: {name: a}\n"
    with pytest.raises(ManifestError, match="Secret/a is rendered twice"):
        Manifests.parse(f"{document}---\n{document}")


def test_the_same_name_in_two_namespaces_is_two_objects() -> None:
    document = "apiVersion: v1\nkind: Secret\nmetadata: {{name: a, namespace: {}}}\n"
    assert len(Manifests.parse(f"{document.format('x')}---\n{document.format('y')}")) == 2


def test_objects_are_found_by_kind_name_and_label() -> None:
    manifests = Manifests.parse(TWO_OBJECTS)
    service = manifests.one("Service")
    assert manifests.one("Service", "redis") is service
    assert manifests.of_kind("Service") == [service]
    assert manifests.of_kind("Pod") == []
    assert manifests.named("redis") == [service]
    assert manifests.labelled(component="remote-backend") == [service]
    assert manifests.labelled(component="lmcache", instance="other") == []


def test_asking_for_an_object_that_is_not_there_lists_what_is() -> None:
    with pytest.raises(ManifestError, match="no Secret/a among the rendered objects: ConfigMap/lmcache-config, Serv"):
        Manifests.parse(TWO_OBJECTS).one("Secret", "a")


def test_asking_one_of_nothing_says_so() -> None:
    with pytest.raises(ManifestError, match="no Secret among the rendered objects: nothing"):
        Manifests.parse("").one("Secret")


def test_asking_one_of_two_lists_both() -> None:
    document = "apiVersion: v1\nkind: Secret\nmetadata: {{name: {}}}\n"
    manifests = Manifests.parse(f"{document.format('a')}---\n{document.format('b')}")
    with pytest.raises(ManifestError, match="2 objects fit Secret: Secret/a, Secret/b"):
        manifests.one("Secret")


def test_every_kind_that_makes_pods_yields_its_pod_spec() -> None:
    documents = []
    for kind, path in POD_SPEC_PATHS.items():
        spec = "{marker: here}"
        for step in reversed(path):
            spec = f"{{{step}: {spec}}}"
        documents.append(f"apiVersion: v1\nkind: {kind}\nmetadata: {{name: a}}\nspec: {spec[len('{spec: ') : -1]}\n")
    documents.append("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n")
    found = {owner["kind"]: spec for owner, spec in Manifests.parse("---\n".join(documents)).pod_specs()}
    assert found == {kind: {"marker": "here"} for kind in POD_SPEC_PATHS}


def test_an_object_whose_pod_spec_is_missing_yields_none() -> None:
    manifests = Manifests.parse("apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: a}\nspec: {template: }\n")
    assert list(manifests.pod_specs()) == []


def test_paths_read_like_code() -> None:
    assert dotted(["spec", "containers", 0, "env"]) == "spec.containers[0].env"
