"""LMCache's configuration: made in one place, rendered as a file or as environment, never both for the same key."""

import json
from typing import Any

import pytest
import yaml
from rendering import (
    BACKENDS,
    CHART,
    Render,
    environment,
    lmcache_environment,
    lmcache_extra_config,
    lmcache_file,
    option,
    pod,
    remote_backend,
)

# What LMCache reads from the environment alone; its file has no such keys.
ENVIRONMENT_ONLY = {"config_file", "log_level", "track_usage", "use_experimental", "remote_url"}


def styled(style: str, values: dict[str, Any] | None = None) -> dict[str, Any]:
    """Values with a configuration style, whatever else they say about LMCache."""
    values = values or {}
    return {**values, "lmcache": {**values.get("lmcache", {}), "configStyle": style}}


def connector(render: Render, values: dict[str, Any] | None = None) -> dict[str, Any]:
    """vLLM's connector configuration as the server reads it."""
    text = option(pod(render(values)).command_line, "--kv-transfer-config")
    assert text is not None
    configuration: dict[str, Any] = json.loads(text)
    return configuration


CONFIGURATIONS = [
    pytest.param({}, id="defaults"),
    pytest.param({"lmcache": {"localDisk": {"enabled": True, "sizeGB": 10}}}, id="disk"),
    pytest.param({"lmcache": {"localCpu": {"enabled": False}}}, id="no CPU tier"),
    pytest.param(
        {"lmcache": {"config": {"extra_config": {"a": {"b": [1, 2]}}, "use_layerwise": True}}}, id="free-form"
    ),
    pytest.param({"lmcache": {"chunkSize": 1000000, "localCpu": {"sizeGB": 0.5}}}, id="odd numbers"),
    pytest.param(remote_backend("redis", auth={"enabled": False}), id="open redis"),
    pytest.param(remote_backend("lmcache-server"), id="lmcache-server"),
    pytest.param({"remoteBackend": {"type": "none"}}, id="no backend"),
]


@pytest.mark.parametrize("values", CONFIGURATIONS)
def test_file_and_environment_say_the_same(render: Render, values: dict[str, Any]) -> None:
    configuration = lmcache_file(render(styled("file", values)))
    variables = lmcache_environment(render(styled("env", values)))
    stated = {key: yaml.safe_load(value) for key, value in variables.items() if key not in ENVIRONMENT_ONLY}
    plugins = stated.pop("remote_storage_plugins", None)
    assert (plugins and plugins.split(",")) == configuration.pop("remote_storage_plugins", None)
    assert stated.pop("extra_config") == lmcache_extra_config(render(styled("file", values)))
    in_file = {"remote_url", "extra_config"}
    assert stated == {key: value for key, value in configuration.items() if key not in in_file}
    assert variables.get("remote_url") == configuration.get("remote_url")


@pytest.mark.parametrize("values", CONFIGURATIONS)
def test_no_key_stands_in_the_file_and_in_the_environment(render: Render, values: dict[str, Any]) -> None:
    manifests = render(styled("file", values))
    # The environment would win without a word.
    assert set(lmcache_file(manifests)) & set(lmcache_environment(manifests)) == set()


@pytest.mark.parametrize("values", CONFIGURATIONS)
def test_environment_style_renders_no_file(render: Render, values: dict[str, Any]) -> None:
    manifests = render(styled("env", values))
    assert "config_file" not in lmcache_environment(manifests)
    assert manifests.labelled(component="lmcache") == []


@pytest.mark.parametrize("style", ["file", "env"])
def test_every_default_that_keeps_a_cache_correct_is_set(render: Render, style: str) -> None:
    manifests = render(styled(style))
    variables = environment(pod(manifests).container)
    assert 0 <= int(variables["PYTHONHASHSEED"]) < 2**32
    assert variables["LMCACHE_TRACK_USAGE"] == "false"
    if style == "file":
        configuration = lmcache_file(manifests)
    else:
        configuration = {key: yaml.safe_load(value) for key, value in lmcache_environment(manifests).items()}
    assert configuration["pre_caching_hash_algorithm"] == "sha256_cbor"
    assert lmcache_extra_config(manifests)["fallback_policy"] == "local_cpu"
    assert connector(render)["kv_load_failure_policy"] == "recompute"


@pytest.mark.parametrize(
    ("lmcache", "runner"),
    [
        pytest.param({}, "0", id="in-process"),
        pytest.param({"kvLoadFailurePolicy": "fail"}, None, id="a failed load fails its request"),
        pytest.param({"mode": "multiprocess"}, None, id="loads come before the request runs"),
    ],
)
def test_a_failed_load_is_computed_again_by_the_model_runner_that_can(
    render: Render, lmcache: dict[str, Any], runner: str | None
) -> None:
    variables = environment(pod(render({"lmcache": lmcache})).container)
    assert variables.get("VLLM_USE_V2_MODEL_RUNNER") == runner


def test_every_such_default_can_be_overridden(render: Render) -> None:
    values = {
        "lmcache": {
            "hashSeed": "7",
            "hashAlgorithm": "builtin",
            "kvLoadFailurePolicy": "fail",
            "trackUsage": True,
            "config": {"extra_config": {"fallback_policy": "none"}},
        }
    }
    manifests = render(values)
    variables = environment(pod(manifests).container)
    assert variables["PYTHONHASHSEED"] == "7"
    assert variables["LMCACHE_TRACK_USAGE"] == "true"
    assert lmcache_file(manifests)["pre_caching_hash_algorithm"] == "builtin"
    assert lmcache_extra_config(manifests)["fallback_policy"] == "none"
    assert connector(render, values)["kv_load_failure_policy"] == "fail"


def test_a_failure_policy_can_be_left_to_vllm(render: Render) -> None:
    assert "kv_load_failure_policy" not in connector(render, {"lmcache": {"kvLoadFailurePolicy": ""}})


def test_free_form_keys_win_over_values_and_over_the_backend(render: Render) -> None:
    values = remote_backend("redis", auth={"enabled": False})
    values["lmcache"] = {"chunkSize": 128, "config": {"chunk_size": 512, "remote_serde": "cachegen", "priority": 3}}
    configuration = lmcache_file(render(values))
    assert configuration["chunk_size"] == 512
    assert configuration["remote_serde"] == "cachegen"
    assert configuration["priority"] == 3


def test_a_null_in_the_free_form_configuration_removes_a_key(render: Render) -> None:
    configuration = lmcache_file(render({"lmcache": {"config": {"pre_caching_hash_algorithm": None}}}))
    assert "pre_caching_hash_algorithm" not in configuration


def test_free_form_extra_config_is_merged_key_by_key(render: Render) -> None:
    usual = lmcache_extra_config(render())
    assert usual["fallback_policy"] == "local_cpu"
    manifests = render({"lmcache": {"config": {"extra_config": {"a": 1}}}})
    assert lmcache_extra_config(manifests) == {**usual, "a": 1}


def test_large_numbers_are_not_written_as_floats(render: Render) -> None:
    values = {"lmcache": {"chunkSize": 1048576, "config": {"limit": 12345678}}}
    configuration = lmcache_file(render(values))
    assert configuration["chunk_size"] == 1048576
    assert configuration["limit"] == 12345678
    variables = lmcache_environment(render(styled("env", values)))
    assert variables["chunk_size"] == "1048576"
    assert variables["limit"] == "12345678"


def test_the_connector_stores_and_loads(render: Render) -> None:
    assert connector(render)["kv_connector"] == "CheckedLMCacheConnector"
    assert connector(render)["kv_role"] == "kv_both"
    assert connector(render, {"lmcache": {"kvRole": "kv_consumer"}})["kv_role"] == "kv_consumer"


@pytest.mark.parametrize(("mode", "style"), [("in-process", "file"), ("in-process", "env"), ("multiprocess", "file")])
def test_the_connector_and_what_it_needs_are_where_the_launcher_lets_vllm_import_them(
    render: Render, mode: str, style: str
) -> None:
    values = styled(style, {"remoteBackend": {"type": "none"}, "lmcache": {"mode": mode}})
    manifests = render(values)
    module = connector(render, values)["kv_connector_module_path"]
    files = manifests.one("ConfigMap", "llm-lmcache-kserve-scripts")["data"]
    assert {f"{module}.py", "unproven.py", "unproven.yaml"} <= files.keys()
    assert f"class {connector(render, values)['kv_connector']}(" in files[f"{module}.py"]
    assert files["unproven.yaml"].strip() == (CHART / "files" / "unproven.yaml").read_text(encoding="utf-8").strip()
    assert pod(manifests).container["command"][:3] == ["python3", "/etc/lmcache-kserve/launcher.py", "--"]
    mounts = {mount["mountPath"]: mount["name"] for mount in pod(manifests).container["volumeMounts"]}
    assert mounts["/etc/lmcache-kserve"] == "scripts"


def test_without_a_policy_for_load_failures_the_connector_still_refuses_what_may_be_wrong(render: Render) -> None:
    found = connector(render, {"lmcache": {"kvLoadFailurePolicy": ""}})
    assert found["kv_connector"] == "CheckedLMCacheConnector"


ALLOWED = {"lmcache-kserve.allow_unproven": True}


@pytest.mark.parametrize("mode", ["in-process", "multiprocess"])
def test_only_the_user_overrides_what_is_not_known_to_be_right(render: Render, mode: str) -> None:
    def extra(**lmcache: Any) -> dict[str, Any]:
        given: dict[str, Any] = connector(render, {"lmcache": {"mode": mode, **lmcache}}).get(
            "kv_connector_extra_config", {}
        )
        return given

    assert not ALLOWED.keys() & extra().keys()
    assert extra(allowUnproven=True).items() >= ALLOWED.items()
    both = extra(allowUnproven=True, kvTransferConfig={"kv_connector_extra_config": {"a": 1}})
    assert both.items() >= (ALLOWED | {"a": 1}).items()


def test_chunks_travel_unchanged_unless_told_otherwise(render: Render) -> None:
    # LMCache/LMCache#717: answers get worse with cachegen, which loses what it compresses away.
    values = remote_backend("redis")
    assert lmcache_file(render(values))["remote_serde"] == "naive"


def test_the_connector_takes_further_keys(render: Render) -> None:
    values = {"lmcache": {"kvTransferConfig": {"kv_connector_extra_config": {"a": 1}, "kv_role": None}}}
    assert connector(render, values)["kv_connector_extra_config"] == {"a": 1}
    assert "kv_role" not in connector(render, values)


def test_without_lmcache_nothing_of_it_is_rendered(render: Render) -> None:
    manifests = render({"lmcache": {"enabled": False}, "remoteBackend": {"type": "none"}})
    assert option(pod(manifests).command_line, "--kv-transfer-config") is None
    assert lmcache_environment(manifests) == {}
    assert manifests.labelled(component="lmcache") == []
    assert manifests.one("InferenceService")["metadata"]["annotations"]["lmcache-kserve/mode"] == "none"


@pytest.mark.parametrize("backend", ["none", *BACKENDS])
def test_the_service_says_its_mode_and_its_backend(render: Render, backend: str) -> None:
    annotations = render({"remoteBackend": {"type": backend}}).one("InferenceService")["metadata"]["annotations"]
    assert annotations["lmcache-kserve/mode"] == "in-process"
    assert annotations["lmcache-kserve/remote-backend"] == backend


def test_the_disk_tier_names_a_file_url_and_is_mounted_there(render: Render) -> None:
    manifests = render({"lmcache": {"localDisk": {"enabled": True, "sizeGB": 10, "path": "/cache"}}})
    configuration = lmcache_file(manifests)
    assert configuration["local_disk"] == "file:///cache"
    assert configuration["max_local_disk_size"] == 10
    assert [mount for mount in pod(manifests).container["volumeMounts"] if mount["mountPath"] == "/cache"]


def test_the_disk_tier_of_every_worker_is_requested_from_the_node(render: Render) -> None:
    values = {
        "lmcache": {"localDisk": {"enabled": True, "sizeGB": 10}},
        "predictor": {"gpu": {"count": 2}},
    }
    manifests = render(values)
    assert pod(manifests).container["resources"]["requests"]["ephemeral-storage"] == "20Gi"
    (volume,) = (volume for volume in pod(manifests).spec["volumes"] if volume["name"] == "lmcache-disk")
    assert volume["emptyDir"]["sizeLimit"] == "22Gi"


@pytest.mark.parametrize(
    ("volume", "source"),
    [
        ({"type": "ephemeral"}, "ephemeral"),
        ({"type": "existingClaim", "existingClaim": "disk"}, "persistentVolumeClaim"),
    ],
)
def test_a_disk_tier_on_a_claim_takes_nothing_from_the_node(
    render: Render, volume: dict[str, Any], source: str
) -> None:
    disk = {"enabled": True, "sizeGB": 10, "volume": volume}
    manifests = render({"lmcache": {"localDisk": disk}, "predictor": {"replicas": 1}})
    assert "ephemeral-storage" not in pod(manifests).container["resources"]["requests"]
    assert [found for found in pod(manifests).spec["volumes"] if source in found]


def test_the_staging_memory_stays_when_the_cpu_tier_is_off(render: Render) -> None:
    configuration = lmcache_file(render({"lmcache": {"localCpu": {"enabled": False}}}))
    assert configuration["local_cpu"] is False
    assert configuration["max_local_cpu_size"] > 0


@pytest.mark.parametrize("size", ["0.5", "2.25", "3"])
def test_a_size_with_a_fraction_can_be_set_on_the_command_line(render: Render, size: str) -> None:
    # Helm's --set makes text of a number with a fraction.
    manifests = render(set_values=[f"lmcache.localCpu.sizeGB={size}"])
    assert lmcache_file(manifests)["max_local_cpu_size"] == float(size)


def test_the_disk_of_all_workers_is_requested_and_its_volume_is_a_tenth_larger(render: Render) -> None:
    values = {
        "predictor": {"gpu": {"count": 2}},
        "lmcache": {"localDisk": {"enabled": True, "sizeGB": 10}},
    }
    spec = pod(render(values)).spec
    (volume,) = (volume for volume in spec["volumes"] if volume["name"] == "lmcache-disk")
    assert volume["emptyDir"]["sizeLimit"] == "22Gi"
    assert pod(render(values)).container["resources"]["requests"]["ephemeral-storage"] == "20Gi"
