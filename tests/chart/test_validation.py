"""Rules across values: each refuses what cannot work, names the value to change, and all speak at once."""

import functools
import re
from collections.abc import Iterator
from typing import Any

import pytest
from problems import PROBLEMS
from problems.case import CPU_IMAGE, KNATIVE, SECRET, arguments, variable
from problems.resp import EXTERNAL, SERVERS
from rendering import CHART, NEWEST, Render, remote_backend

from lmcache_kserve.chart.helm import Helm, HelmError

# Rules that no values reach, because the schema refuses those values first.
BEHIND_THE_SCHEMA = ("the chart has no type",)


@functools.cache
def refusal(helm: Helm, name: str) -> str:
    """What Helm says about values that cannot work."""
    case = PROBLEMS[name]
    with pytest.raises(HelmError) as caught:
        helm.template(CHART, release="llm", namespace=case.namespace, values=case.values)
    return str(caught.value)


def reported(message: str) -> list[str]:
    """The problems of a message."""
    return [line.strip().removeprefix("- ") for line in message.splitlines() if line.strip().startswith("- ")]


@pytest.mark.parametrize("name", PROBLEMS)
def test_what_cannot_work_is_refused_once_and_by_the_value_to_change(helm: Helm, name: str) -> None:
    (line,) = reported(refusal(helm, name))
    assert line.startswith(PROBLEMS[name].named[0])
    assert [value for value in PROBLEMS[name].named if value not in line] == []


def rules() -> Iterator[str]:
    """Every sentence that the chart's validation can write, as a regular expression."""
    for template in (CHART / "templates").rglob("*.tpl"):
        text = re.sub(r"\{\{-? ?/\*.*?\*/ ?-?\}\}", "", template.read_text(encoding="utf-8"), flags=re.DOTALL)
        for definition in text.split("{{- define ")[1:]:
            name, _, body = definition.partition(" -}}\n")
            if ".validate." not in name and not name.endswith('.problems"'):
                continue
            for line in body.splitlines():
                if ": " in line and not line.startswith(("{{-", " ")):
                    yield ".*".join(re.escape(part) for part in re.split(r"\{\{.*?\}\}", line))


def test_every_rule_of_the_chart_has_a_test(helm: Helm) -> None:
    lines = [line for name in PROBLEMS for line in reported(refusal(helm, name))]
    untested = [rule for rule in rules() if not any(re.fullmatch(rule, line) for line in lines)]
    exempt = [re.escape(text) for text in BEHIND_THE_SCHEMA]
    assert [rule for rule in untested if not any(text in rule for text in exempt)] == []
    assert len(list(rules())) > 50


def test_all_problems_of_a_render_are_reported_together(helm: Helm) -> None:
    values = {
        "model": {"hybridMemory": True, "extraArgs": ["{{ a }}"]},
        "lmcache": {"localDisk": {"enabled": True}},
        "predictor": {"env": [{"name": "FLAG", "value": False}], "resources": {"limits": {"memory": "1Gi"}}},
        **remote_backend("redis", deploy=False, auth={"password": "a", "existingSecret": "b"}),
    }
    with pytest.raises(HelmError) as caught:
        helm.template(CHART, release="llm", namespace="models", values=values)
    assert [line.partition(":")[0].partition(" ")[0] for line in reported(str(caught.value))] == [
        "model.extraArgs[0]",
        "model.hybridMemory",
        "predictor.env[0]",
        "predictor.resources.limits.memory",
        "lmcache.localDisk.sizeGB",
        "remoteBackend.redis.external.endpoint",
        "remoteBackend.redis.auth.password",
    ]
    assert "7 problems" in str(caught.value)


def test_a_refusal_is_readable_text(helm: Helm) -> None:
    message = refusal(helm, "two remote URLs")
    assert not [noise for noise in ("execution error", "executing", ".tpl", ".yaml:", "<include") if noise in message]


@pytest.mark.parametrize("text", ["true", "False", "yes", "off", "NO"])
def test_a_quoted_boolean_is_a_string_as_any_other(render: Render, text: str) -> None:
    manifests = render({"predictor": {"env": [{"name": "FLAG", "value": text}]}})
    environment = manifests.one("InferenceService")["spec"]["predictor"]["model"]["env"]
    assert {"name": "FLAG", "value": text} in environment


WORKING: dict[str, dict[str, Any]] = {
    "enough memory": {"predictor": {"gpu": {"count": 4}, "resources": {"limits": {"memory": "64Gi"}}}},
    "no memory limit": {"predictor": {"resources": {"limits": {"memory": None}}}},
    "a disk with a size": {"lmcache": {"localDisk": {"enabled": True, "sizeGB": 10}}},
    "no LMCache": {"lmcache": {"enabled": False}, "remoteBackend": {"type": "none"}},
    "hybrid memory without LMCache": {
        "model": {"hybridMemory": True},
        "lmcache": {"enabled": False},
        "remoteBackend": {"type": "none"},
    },
    "the longest name": {"fullnameOverride": "a" * 40},
    "an existing secret": remote_backend("redis", auth=SECRET),
    "external servers without Sentinels": remote_backend("redis-sentinel", **SERVERS, auth=SECRET),
    "an open external server": remote_backend("redis", **EXTERNAL, auth={"enabled": False}),
    "an external server with a password": remote_backend("redis", **EXTERNAL, auth={"password": "a"}),
    "no GPU with another image": {"predictor": {"gpu": {"count": 0}}, "runtime": {"image": CPU_IMAGE}},
    "adapters without LMCache": {
        "model": arguments("--enable-lora"),
        "lmcache": {"enabled": False},
        "remoteBackend": {"type": "none"},
    },
    "adapters that every request names": {
        "model": arguments("--enable-lora"),
        "lmcache": {"adaptersByTag": True},
    },
    "the largest seed": {"lmcache": {"hashSeed": 4294967295}},
    "hybrid memory with a server": {
        "model": {"hybridMemory": True, "extraArgs": ["--no-disable-hybrid-kv-cache-manager"]},
        "lmcache": {"mode": "multiprocess"},
    },
    "options of a program that starts the server": {
        "runtime": {
            "server": "vllm",
            "command": ["a-launcher", "--config", "/a.yaml", "--mode", "fast", "--", "vllm", "serve"],
        }
    },
    "options that begin like one of the chart's": {
        "model": arguments("-n", "2", "-r=1", "--model-loader-extra-config={}")
    },
    "a server on each node in Knative": {
        **KNATIVE,
        **NEWEST,
        "lmcache": {"mode": "multiprocess", "multiprocess": {"placement": "daemonset"}},
    },
    "the port of KServe's gRPC beside vLLM's own server": {
        "runtime": {"server": "vllm"},
        "lmcache": {"mode": "multiprocess", "multiprocess": {"httpPort": 8081}},
    },
    "the port of KServe's gRPC in another pod": {
        "lmcache": {
            "mode": "multiprocess",
            "multiprocess": {"httpPort": 8081, "placement": "daemonset", "transferMode": "engine_driven"},
        },
    },
    "the port of KServe's gRPC for vLLM's own server": {"runtime": {"server": "vllm", "port": 8081}},
    "a server with too little memory for in-process": {
        "lmcache": {"mode": "multiprocess", "localCpu": {"sizeGB": 100}},
    },
    "a word that is no Boolean": {"lmcache": {"config": {"cache_policy": "LRU"}}},
    "a variable of LMCache that the file lacks": {"predictor": variable(name="LMCACHE_BLEND_CHECK_LAYERS", value="1")},
}


@pytest.mark.parametrize("name", WORKING)
def test_what_works_is_not_refused(render: Render, name: str) -> None:
    assert len(render(WORKING[name])) > 0
