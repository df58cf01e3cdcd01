"""The Job that sends known prompts after an installation or an upgrade: what the chart renders of it."""

import functools
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from network import Connection, connections, lets_in, lets_out, pods
from rendering import CHART, EVERYTHING, Render, environment, merged, option, remote_backend

from lmcache_kserve.chart import policies
from lmcache_kserve.chart.helm import Helm
from lmcache_kserve.chart.manifests import Manifest, Manifests
from lmcache_kserve.chart.render import Renderer

# A password that the chart generates would be another in each render.
BASE = remote_backend("redis", auth={"existingSecret": "password"})
ON: dict[str, Any] = {**BASE, "warmup": {"prompts": ["You are an assistant.", "Answer:\n- in one line: yes\n"]}}


def warm(render: Render, values: dict[str, Any] | None = None, **warmup: Any) -> Manifests:
    return render(merged(ON, {**(values or {}), "warmup": warmup}))


def spec(manifests: Manifests) -> dict[str, Any]:
    found: dict[str, Any] = manifests.one("Job")["spec"]["template"]["spec"]
    return found


def container(manifests: Manifests) -> dict[str, Any]:
    (found,) = spec(manifests)["containers"]
    return dict(found)


def mounted(manifests: Manifests, folder: str) -> dict[str, str]:
    """The files of a folder in the container."""
    (mount,) = (one for one in container(manifests)["volumeMounts"] if one["mountPath"] == folder)
    (volume,) = (one for one in spec(manifests)["volumes"] if one["name"] == mount["name"])
    data: dict[str, str] = manifests.one("ConfigMap", volume["configMap"]["name"])["data"]
    return data


def test_without_prompts_nothing_of_it_is_rendered(render: Render) -> None:
    manifests = render({"warmup": {"timeoutSeconds": 900, "chat": True, "podLabels": {"a": "b"}}})
    assert manifests.of_kind("Job") == []
    assert manifests.labelled(component="warm-up") == []
    assert "warm_up.py" not in manifests.text


def test_no_helm_waits_for_it_and_none_leaves_it_behind(render: Render) -> None:
    # A hook would hold up the installation while a model loads, and fail it after Helm's five minutes.
    assert "helm.sh/hook" not in warm(render).one("Job")["metadata"].get("annotations", {})


def test_the_prompts_arrive_in_their_order_as_they_were_written(render: Render) -> None:
    manifests = warm(render)
    (folder,) = (word.partition("=")[2] for word in container(manifests)["args"] if word.startswith("--prompts="))
    assert list(mounted(manifests, folder).items()) == [
        ("prompt-000", "You are an assistant."),
        ("prompt-001", "Answer:\n- in one line: yes\n"),
    ]


def test_prompts_of_an_existing_configmap_come_after_those_of_the_values(render: Render) -> None:
    manifests = warm(render, existingConfigMap="prefixes")
    folders = [word.partition("=")[2] for word in container(manifests)["args"] if word.startswith("--prompts=")]
    volumes = {one["name"]: one["configMap"]["name"] for one in spec(manifests)["volumes"]}
    mounts = {one["mountPath"]: volumes[one["name"]] for one in container(manifests)["volumeMounts"]}
    assert [mounts[folder] for folder in folders] == ["llm-lmcache-kserve-warmup-prompts", "prefixes"]
    alone = render({**BASE, "warmup": {"existingConfigMap": "prefixes"}})
    assert [one for one in container(alone)["args"] if one.startswith("--prompts=")] == [f"--prompts={folders[0]}"]


def test_the_script_lies_beside_the_modules_of_helm_test(render: Render) -> None:
    manifests = warm(render, {"tests": {"enabled": False}})
    interpreter, path = container(manifests)["command"]
    folder, _, file = path.rpartition("/")
    files = [CHART / "files" / "warm_up.py", *(CHART / "files" / "prove_reuse").glob("*.py")]
    assert (interpreter, file) == ("python3", "warm_up.py")
    assert mounted(manifests, folder) == {one.name: one.read_text(encoding="utf-8") for one in files}


@pytest.mark.parametrize("values", [BASE, EVERYTHING], ids=["defaults", "everything"])
def test_the_pod_is_admitted_where_pods_are_restricted(render: Render, values: dict[str, Any]) -> None:
    manifests = render({**values, "warmup": ON["warmup"]})
    job = Manifests(objects=(manifests.one("Job"),), text="")
    assert policies.restricted_pod_security(job) == []
    assert container(manifests)["securityContext"]["readOnlyRootFilesystem"] is True
    assert spec(manifests)["automountServiceAccountToken"] is False


def test_it_is_what_helm_test_is_image_key_place_and_replicas(render: Render) -> None:
    key = {"name": "VLLM_API_KEY", "valueFrom": {"secretKeyRef": {"name": "key", "key": "key"}}}
    predictor = {"env": [key], "nodeSelector": {"gpu": "a100"}, "serviceAccountName": "models"}
    manifests = warm(render, {"runtime": {"server": "vllm"}, "predictor": predictor})
    test: Manifest = manifests.one("Pod")
    (of_test,) = test["spec"]["containers"]
    assert container(manifests)["image"] == of_test["image"]
    assert environment(container(manifests)) == {"VLLM_API_KEY": key["valueFrom"]}
    for field in ("nodeSelector", "serviceAccountName", "affinity", "securityContext"):
        assert spec(manifests)[field] == test["spec"][field]
    for name in ("--pods", "--service", "--model", "--openai-path", "--model-path", "--reuse", "--chunk-size"):
        assert option(container(manifests)["args"], name) == option(of_test["args"], name)


def test_time_and_manner_are_the_users(render: Render) -> None:
    manifests = warm(render, timeoutSeconds=900, chat=True)
    assert option(container(manifests)["args"], "--timeout") == "900"
    assert "--chat" in container(manifests)["args"]
    assert manifests.one("Job")["spec"]["activeDeadlineSeconds"] > 2 * 900


def test_it_reaches_the_replicas_and_nobody_else_lets_it_in(render: Render) -> None:
    closed = {"networkPolicy": {"predictor": {"ingressFrom": [{"podSelector": {"matchLabels": {"app": "gateway"}}}]}}}
    manifests = warm(render, {**closed, "tests": {"enabled": False}})
    (job,) = (pod for pod in pods(manifests) if pod.name.startswith("Job/"))
    mine = [
        one for one in connections(manifests) if one.source == job and one.target.name.startswith("InferenceService")
    ]
    assert mine
    assert all(lets_in(manifests, one) and lets_out(manifests, one) for one in mine)
    (redis,) = (pod for pod in pods(manifests) if "redis" in pod.ports)
    assert not lets_in(manifests, Connection(job, redis, redis.ports["redis"]))
    assert not lets_out(manifests, Connection(job, redis, redis.ports["redis"]))


def test_what_changes_the_job_gives_it_another_name(render: Render) -> None:
    # Kubernetes lets nobody change a Job.
    changes: list[dict[str, Any]] = [
        {},
        {"warmup": {"prompts": ["another"]}},
        {"warmup": {"chat": True}},
        {"warmup": {"resources": {"limits": {"memory": "1Gi"}}}},
        {"warmup": {"podLabels": {"team": "search"}}},
        {"warmup": {"podAnnotations": {"a": "b"}}},
        {"commonLabels": {"owner": "platform"}},
        {"commonAnnotations": {"owner": "platform"}},
        {"model": {"name": "another"}},
        {"runtime": {"image": {"repository": "a/b", "tag": "1"}}},
    ]
    jobs = [render(merged(ON, change)).one("Job") for change in changes]
    names = [job["metadata"]["name"] for job in jobs]
    assert len(set(names)) == len(changes)
    assert all(re.fullmatch(r"llm-lmcache-kserve-warmup-[0-9a-f]{8}", name) for name in names)
    assert render(ON).one("Job") == jobs[0]


def test_each_upgrade_sends_the_prompts_again(helm: Helm, tmp_path: Path) -> None:
    # `helm template` knows the first revision only, so a copy of the chart stands for the second one.
    copy = tmp_path / "lmcache-kserve"
    shutil.copytree(CHART, copy)
    file = copy / "templates" / "warmup" / "job.yaml"
    text = file.read_text(encoding="utf-8")
    names = set()
    for revision in ("1", "2"):
        file.write_text(text.replace(".Release.Revision", revision), encoding="utf-8")
        job = helm.template(copy, release="llm", namespace="models", values=ON).one("Job")
        names.add(job["metadata"]["name"])
    assert len(names) == 2
    assert helm.template(CHART, release="llm", namespace="models", values=ON).one("Job")["metadata"]["name"] in names


def test_a_change_of_the_prompts_restarts_nothing(render: Render) -> None:
    before, after = render(BASE), warm(render)
    for kind in ("InferenceService", "ServingRuntime", "Deployment"):
        assert before.one(kind) == after.one(kind)


def test_a_proof_does_not_depend_on_it(helm: Helm) -> None:
    settings = ("remoteBackend.redis.auth.existingSecret=a",)
    renderer = functools.partial(Renderer, chart=CHART, helm=helm, values_files=())
    assert renderer(settings=settings).digest() == renderer(settings=(*settings, "warmup.prompts={a}")).digest()
