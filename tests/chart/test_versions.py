"""What the chart renders and refuses follows the LMCache in the predictor's image."""

from typing import Any

import pytest
import yaml
from rendering import CHART, NEWEST, Render, remote_backend

from lmcache_kserve.chart.helm import Helm, HelmError

DATA = yaml.safe_load((CHART / "files" / "compatibility.yaml").read_text(encoding="utf-8"))
ANNOTATIONS = yaml.safe_load((CHART / "Chart.yaml").read_text(encoding="utf-8"))["annotations"]
SERVERS = ("huggingfaceserver", "vllm")
KSERVE = "docker.io/kserve/huggingfaceserver"
LMCACHE = "docker.io/lmcache/vllm-openai"


def image(repository: str, tag: str) -> dict[str, Any]:
    return {"runtime": {"image": {"repository": repository, "tag": tag}}}


def multiprocess(**mode: Any) -> dict[str, Any]:
    return {"mode": "multiprocess", "multiprocess": mode}


ARC: dict[str, Any] = {"lmcache": multiprocess(l1={"evictionPolicy": "ARC"})}
"""Values that work with the newest LMCache alone."""

ENCRYPTION = {"tenants": {"enabled": True, "encryption": {"enabled": True, "existingSecret": "a"}}}


def refusal(helm: Helm, values: dict[str, Any]) -> str:
    with pytest.raises(HelmError) as caught:
        helm.template(CHART, release="llm", namespace="models", values=values)
    return str(caught.value)


# What needs a release of LMCache: the first with it, the last without it, the values, and what the refusal advises.
NEEDS: dict[str, tuple[str, str, dict[str, Any], str]] = {
    "anything": ("0.4.2", "0.4.1", {}, "v0.18"),
    "multiprocess": ("0.5.0", "0.4.7", {"lmcache": multiprocess()}, "in-process"),
    "isolated IPC of pods": (
        "0.5.5",
        "0.5.4",
        {"lmcache": multiprocess(placement="daemonset")},
        "lmcache.multiprocess.hostSharedMemory",
    ),
    "isolated IPC of a pod": ("0.5.5", "0.5.4", {"lmcache": multiprocess(isolatedIpc=True)}, "leave it empty"),
    "ARC": ("0.5.6", "0.5.5", ARC, "LRU"),
    "encryption": ("0.5.3", "0.5.2", {"lmcache": multiprocess() | ENCRYPTION}, "lmcache/vllm-openai:v0.5.6"),
    "mooncake": ("0.4.7", "0.4.6", {**image("a/b", "1"), **remote_backend("mooncake")}, "newer image"),
    "direct": ("0.4.7", "0.4.6", {**image("a/b", "1"), **remote_backend("redis", client="direct")}, "redis-py"),
    "glide": ("0.4.7", "0.4.6", {**image("a/b", "1"), **remote_backend("valkey", client="glide")}, "redis-py"),
}


@pytest.mark.parametrize("need", NEEDS)
def test_what_an_lmcache_lacks_is_refused_with_the_release_that_has_it(helm: Helm, render: Render, need: str) -> None:
    first, last, values, advice = NEEDS[need]
    lmcache = values.get("lmcache", {})
    message = refusal(helm, {**values, "lmcache": {**lmcache, "version": last}})
    assert f"needs LMCache {first} or newer, but lmcache.version is {last};" in message
    assert advice in message
    assert "1 problem " in message
    assert render({**values, "lmcache": {**lmcache, "version": first}})


def test_pods_share_memory_without_isolated_ipc_where_lmcache_lacks_it(render: Render) -> None:
    for choice in ({"hostSharedMemory": True}, {"transferMode": "engine_driven"}):
        text = render({"lmcache": {"version": "0.5.1", **multiprocess(placement="daemonset", **choice)}}).text
        assert "isolated" not in text


@pytest.mark.parametrize(
    ("repository", "tag", "release"),
    [
        (KSERVE, "v0.15.2-gpu", "0.2.1"),
        (KSERVE, "v0.16.0-gpu", "0.3.0"),
        ("mirror.example.com:5000/kserve/huggingfaceserver", "v0.17.1-gpu", "0.3.9"),
        ("kserve/huggingfaceserver", "0.17.0-gpu", "0.3.9"),
        (LMCACHE, "v0.3.9post2", "0.3.9"),
    ],
)
def test_an_image_whose_lmcache_cannot_work_is_refused_by_its_tag(
    helm: Helm, repository: str, tag: str, release: str
) -> None:
    message = refusal(helm, image(repository, tag))
    needs = f"the chart needs LMCache 0.4.2 or newer, but runtime.image.tag {tag} has {release};"
    assert f"runtime.image.tag: {needs}" in message
    without = {"lmcache": {"enabled": False}, "remoteBackend": {"type": "none"}}
    assert helm.template(CHART, release="llm", namespace="models", values={**image(repository, tag), **without})


@pytest.mark.parametrize(
    ("repository", "tag", "release"),
    [
        (KSERVE, "v0.18.1-gpu", "0.4.2"),
        (KSERVE, "v0.19-gpu", "0.4.4"),
        (KSERVE, "v0.20.0-rc1-gpu", "0.5.1"),
        (KSERVE, "v0.20.0-gpu", "0.5.1"),
        (KSERVE, f"v0.20.0-gpu@sha256:{'a' * 64}", "0.5.1"),
        (KSERVE, "v0.21.0-gpu", "0.5.1"),
        (LMCACHE, "v0.4.4", "0.4.4"),
        (LMCACHE, "v0.5.5-cu129", "0.5.5"),
    ],
)
def test_the_release_is_what_the_tag_of_a_known_image_says(helm: Helm, repository: str, tag: str, release: str) -> None:
    assert f"but runtime.image.tag {tag} has {release};" in refusal(helm, {**image(repository, tag), **ARC})


@pytest.mark.parametrize(
    "values",
    [
        image("example.com/another-kserve/huggingfaceserver-of-mine", "v0.18.0-gpu"),
        image(KSERVE, "latest-gpu"),
        {"runtime": {"image": {"repository": KSERVE, "digest": f"sha256:{'0' * 64}"}}},
    ],
    ids=["another image", "another tag", "a digest alone"],
)
def test_an_image_that_does_not_tell_counts_as_the_tested_release(render: Render, values: dict[str, Any]) -> None:
    assert render({**values, **ARC})


def test_a_stated_release_wins_over_the_tag(render: Render) -> None:
    for tag in ("v0.20.0-gpu", "v0.20.0", "v0.19.0-gpu"):
        assert render({**image(KSERVE, tag), "lmcache": {**ARC["lmcache"], "version": "0.5.6"}})
    older = image(KSERVE, "v0.18.1-gpu")["runtime"]["image"]
    assert render(
        {"runtime": {"image": older, "vllmVersion": "0.24.0"}, "lmcache": {**multiprocess(), "version": "0.5.1"}}
    )


def test_a_stated_release_does_not_mend_an_image_that_has_it(helm: Helm) -> None:
    message = refusal(helm, {**image(KSERVE, "v0.19.0-gpu"), "lmcache": {"version": "0.4.4"}})
    assert "runtime.image.tag: v0.19.0-gpu has LMCache 0.4.4 for CUDA 12 beside CUDA 13" in message
    assert "use v0.20.0-gpu" in message


@pytest.mark.parametrize("tag", ["v0.20.0", "v0.15.1", "0.21.0", "latest", "v0.20.0-gpu-arm"])
def test_an_image_of_kserve_for_cpus_has_no_lmcache(helm: Helm, render: Render, tag: str) -> None:
    message = refusal(helm, image(KSERVE, tag))
    assert f"runtime.image.tag: {tag} is KServe's image for CPUs, which has no LMCache; use v0.20.0-gpu" in message
    assert "1 problem " in message
    assert render({**image(KSERVE, tag), "lmcache": {"enabled": False}, "remoteBackend": {"type": "none"}})


SERVER_OF_ITS_OWN: dict[str, tuple[str, dict[str, Any], str]] = {
    "too old": ("v0.4.7", {}, "lmcache.multiprocess.image.tag: the server needs LMCache 0.5.0 or newer"),
    "no isolated IPC": (
        "v0.5.4",
        {"placement": "daemonset"},
        "lmcache.multiprocess.isolatedIpc: true needs LMCache 0.5.5",
    ),
    "no ARC": (
        "v0.5.5",
        {"l1": {"evictionPolicy": "ARC"}},
        "lmcache.multiprocess.l1.evictionPolicy: ARC needs LMCache 0.5.6",
    ),
}
"""An image of the server by its tag, further values of the mode, and what is refused."""


@pytest.mark.parametrize("case", SERVER_OF_ITS_OWN)
def test_the_servers_options_follow_the_servers_own_image(helm: Helm, render: Render, case: str) -> None:
    tag, mode, sentence = SERVER_OF_ITS_OWN[case]
    own = {"repository": LMCACHE, "tag": tag}
    message = refusal(helm, {**NEWEST, "lmcache": multiprocess(image=own, **mode)})
    assert sentence in message
    assert f"but lmcache.multiprocess.image.tag {tag} has {tag[1:]};" in message
    assert "1 problem " in message
    assert render({**NEWEST, "lmcache": multiprocess(**mode)})


def test_a_newer_server_does_not_mend_an_older_engine(helm: Helm, render: Render) -> None:
    newest = {"repository": LMCACHE, "tag": "v0.5.6"}
    message = refusal(helm, {"lmcache": multiprocess(placement="daemonset", image=newest)})
    assert (
        "isolatedIpc: true needs LMCache 0.5.5 or newer, but the image of runtime.server huggingfaceserver" in message
    )
    assert render({"lmcache": multiprocess(image=newest, l1={"evictionPolicy": "ARC"})})


def test_a_server_whose_image_does_not_tell_counts_as_the_predictors(helm: Helm) -> None:
    unknown = {"repository": "example.com/lmcache", "tag": "1"}
    values = {"lmcache": {"version": "0.5.5", **multiprocess(image=unknown, l1={"evictionPolicy": "ARC"})}}
    assert "ARC needs LMCache 0.5.6 or newer, but lmcache.version is 0.5.5;" in refusal(helm, values)


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        (
            {"runtime": {"vllmVersion": "0.19.0"}, "lmcache": multiprocess()},
            "lmcache.mode: multiprocess needs vLLM 0.20.0 or newer, but runtime.vllmVersion is 0.19.0;",
        ),
        (
            {**image(KSERVE, "v0.18.0-gpu"), "lmcache": {**multiprocess(), "version": "0.5.0"}},
            "lmcache.mode: multiprocess needs vLLM 0.20.0 or newer, but runtime.image.tag v0.18.0-gpu has 0.19.0;",
        ),
        (
            {"runtime": {"vllmVersion": "0.9.2"}},
            "lmcache.kvLoadFailurePolicy: recompute needs vLLM 0.15.1 or newer, but runtime.vllmVersion is 0.9.2;",
        ),
    ],
)
def test_what_a_vllm_lacks_is_refused_with_the_release_that_has_it(
    helm: Helm, values: dict[str, Any], sentence: str
) -> None:
    message = refusal(helm, values)
    assert sentence in message
    assert "1 problem " in message


def test_an_older_vllm_works_without_what_it_lacks(render: Render) -> None:
    assert render({"runtime": {"vllmVersion": "0.9.2"}, "lmcache": {"kvLoadFailurePolicy": ""}})
    assert render({"runtime": {"vllmVersion": "0.19.0"}})
    assert render({"runtime": {"vllmVersion": "0.20.0"}, "lmcache": multiprocess()})


@pytest.mark.parametrize("server", SERVERS)
def test_the_default_image_is_known_and_serves_both_modes(helm: Helm, render: Render, server: str) -> None:
    assert ANNOTATIONS[f"lmcache-kserve/image-{server}"].removeprefix("docker.io/").split(":")[0] in DATA["images"]
    runtime = {"server": server}
    assert render({"runtime": runtime})
    assert render({"runtime": runtime, "lmcache": multiprocess()})
    assert f"but the image of runtime.server {server} has 0.5.1" in refusal(helm, {"runtime": runtime, **ARC})


def test_the_known_images_are_those_that_chart_yaml_names() -> None:
    named = {ANNOTATIONS[f"lmcache-kserve/image-{server}"].split("/", 1)[1].partition(":")[0] for server in SERVERS}
    assert set(DATA["images"]) == named
    assert set(DATA["tags"]) == named
    shown = {entry["image"] for entry in yaml.safe_load(ANNOTATIONS["artifacthub.io/images"])}
    assert {ANNOTATIONS[f"lmcache-kserve/image-{server}"] for server in SERVERS} <= shown


def test_versions_are_compared_in_one_template() -> None:
    templates = (CHART / "templates").rglob("*.*")
    comparing = [template.name for template in templates if "semver" in template.read_text(encoding="utf-8")]
    assert comparing == ["_versions.tpl"]
