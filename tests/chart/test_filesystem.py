"""Chunks on a shared volume: who mounts it, who writes where, and what deletes from it."""

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from rendering import CHART, Render, environment, lmcache_extra_config, lmcache_file, pod, remote_backend

from lmcache_kserve.chart import policies
from lmcache_kserve.chart.manifests import Manifests

CLEAN = CHART / "files" / "clean_filesystem.py"
PATH = "/var/lib/lmcache-shared"
MIB = 2**20


def filesystem(**values: Any) -> dict[str, Any]:
    return remote_backend("filesystem", **values)


def claim_of(spec: dict[str, Any], container: dict[str, Any]) -> str:
    """The claim that a container mounts where chunks lie."""
    (mount,) = (mount for mount in container["volumeMounts"] if mount["mountPath"] == PATH)
    (volume,) = (volume for volume in spec["volumes"] if volume["name"] == mount["name"])
    return str(volume["persistentVolumeClaim"]["claimName"])


def cleaner(manifests: Manifests) -> tuple[dict[str, Any], dict[str, Any]]:
    """The cleaner's pod spec and its container."""
    spec = manifests.one("CronJob")["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    (container,) = spec["containers"]
    return spec, container


def test_all_replicas_and_the_cleaner_mount_one_claim(render: Render) -> None:
    manifests = render(filesystem())
    (claim,) = manifests.of_kind("PersistentVolumeClaim")
    assert claim["spec"]["accessModes"] == ["ReadWriteMany"]
    assert claim["spec"]["resources"]["requests"]["storage"] == "500Gi"
    name = claim["metadata"]["name"]
    assert claim_of(dict(pod(manifests).spec), dict(pod(manifests).container)) == name
    assert claim_of(*cleaner(manifests)) == name


def test_a_claim_that_exists_is_used_and_none_is_made(render: Render) -> None:
    manifests = render(filesystem(existingClaim="shared", cleaning={"limit": "1Ti"}))
    assert manifests.of_kind("PersistentVolumeClaim") == []
    assert claim_of(dict(pod(manifests).spec), dict(pod(manifests).container)) == "shared"
    assert claim_of(*cleaner(manifests)) == "shared"


def test_the_new_claim_is_what_the_values_say(render: Render) -> None:
    values = filesystem(accessModes=["ReadWriteOnce"], storageClassName="local-path", size="2Gi")
    (claim,) = render(values).of_kind("PersistentVolumeClaim")
    assert claim["spec"]["accessModes"] == ["ReadWriteOnce"]
    assert claim["spec"]["storageClassName"] == "local-path"


@pytest.mark.parametrize("style", ["file", "env"])
def test_the_connector_is_named_the_way_the_release_of_lmcache_knows(render: Render, style: str) -> None:
    manifests = render({**filesystem(), "lmcache": {"configStyle": style}})
    assert lmcache_extra_config(manifests)["remote_storage_plugin.fs.base_path"] == PATH
    variables = environment(pod(manifests).container)
    if style == "file":
        assert lmcache_file(manifests)["remote_storage_plugins"] == ["fs"]
        assert "remote_url" not in lmcache_file(manifests)
    else:
        assert variables["LMCACHE_REMOTE_STORAGE_PLUGINS"] == "fs"
        assert "LMCACHE_REMOTE_URL" not in variables


@pytest.mark.parametrize(
    ("values", "plugins"),
    [
        ({"lmcache": {"version": "0.4.4"}}, False),
        ({"lmcache": {"version": "0.4.7"}}, True),
        ({"runtime": {"server": "vllm"}}, True),
        ({"runtime": {"image": {"repository": "example.com/vllm", "tag": "1"}}}, True),
        ({"runtime": {"image": {"repository": "example.com/a", "tag": "1"}}, "lmcache": {"version": "0.4.2"}}, False),
    ],
)
def test_an_older_lmcache_gets_a_url(render: Render, values: dict[str, Any], *, plugins: bool) -> None:
    configuration = lmcache_file(render({**filesystem(), **values}))
    assert configuration.get("remote_storage_plugins") == (["fs"] if plugins else None)
    assert configuration.get("remote_url") == (None if plugins else f"fs://localhost:0{PATH}")


def test_each_replica_writes_in_a_folder_of_its_own_before_it_renames(render: Render) -> None:
    manifests = render(filesystem())
    names = [variable["name"] for variable in pod(manifests).container["env"]]
    assert lmcache_extra_config(manifests)["fs_connector_relative_tmp_dir"] == ".tmp-$(POD_NAME)"
    assert environment(pod(manifests).container)["POD_NAME"] == {"fieldRef": {"fieldPath": "metadata.name"}}
    assert names.index("POD_NAME") < names.index("LMCACHE_EXTRA_CONFIG")


def test_settings_that_name_the_pod_stand_in_the_environment_alone(render: Render) -> None:
    values = {**filesystem(), "lmcache": {"config": {"extra_config": {"mine": 1}}}}
    assert "extra_config" not in lmcache_file(render(values))
    assert lmcache_extra_config(render(values))["mine"] == 1
    assert lmcache_extra_config(render(values))["fallback_policy"] == "local_cpu"
    without = render({"remoteBackend": {"type": "none"}})
    assert "LMCACHE_EXTRA_CONFIG" not in environment(pod(without).container)
    assert "POD_NAME" not in environment(pod(without).container)


def test_nothing_is_waited_for_and_no_port_is_opened(render: Render) -> None:
    https = {"ports": [{"port": 443}]}
    manifests = render({**filesystem(), "networkPolicy": {"predictor": {"egress": [https]}}})
    assert "initContainers" not in pod(manifests).spec
    (policy,) = (m for m in manifests.labelled(component="predictor") if m["kind"] == "NetworkPolicy")
    assert {port["port"] for rule in policy["spec"]["egress"] for port in rule["ports"]} == {53, 5353, 443}


@pytest.mark.parametrize(
    ("values", "limit"),
    [({}, 400 * 2**30), ({"size": "10Gi"}, 8 * 2**30), ({"cleaning": {"limit": "1Gi"}}, 2**30)],
)
def test_four_fifths_of_the_claim_hold_chunks(render: Render, values: dict[str, Any], limit: int) -> None:
    _, container = cleaner(render(filesystem(**values)))
    assert container["args"] == [PATH, str(limit)]


def test_the_cleaner_is_the_predictors_user_and_talks_to_nobody(render: Render) -> None:
    manifests = render(filesystem())
    spec, container = cleaner(manifests)
    assert container["securityContext"] == pod(manifests).container["securityContext"]
    assert spec["securityContext"] == pod(manifests).spec["securityContext"]
    (policy,) = (m for m in manifests.labelled(component="cache-cleaner") if m["kind"] == "NetworkPolicy")
    assert policy["spec"]["policyTypes"] == ["Ingress", "Egress"]
    assert not policy["spec"].keys() & {"ingress", "egress"}


def test_cleaning_can_be_switched_off(render: Render) -> None:
    manifests = render(filesystem(cleaning={"enabled": False}))
    assert manifests.labelled(component="cache-cleaner") == []


def test_the_cleaner_may_have_a_small_image_of_its_own(render: Render) -> None:
    _, container = cleaner(render(filesystem(cleaning={"image": {"repository": "example.com/python", "tag": "3.13"}})))
    assert container["image"] == "example.com/python:3.13"
    assert cleaner(render(filesystem()))[1]["image"] == pod(render(filesystem())).container["image"]


def test_every_policy_is_kept(render: Render) -> None:
    assert [str(violation) for violation in policies.check(render(filesystem()))] == []


def clean(folder: Path, limit: int) -> str:
    done = subprocess.run([sys.executable, CLEAN, folder, str(limit)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def chunk(folder: Path, name: str, *, used_hours_ago: float, size: int = MIB) -> Path:
    file = folder / name
    file.write_bytes(b"x" * size)
    when = time.time() - used_hours_ago * 3600
    os.utime(file, (when, when))
    return file


def test_what_was_not_used_for_longest_goes_until_the_rest_fits(tmp_path: Path) -> None:
    for age in range(10):
        chunk(tmp_path, f"m@1@0@{age}@float.data", used_hours_ago=age)
    said = clean(tmp_path, 8 * MIB)
    assert sorted(file.name for file in tmp_path.iterdir()) == [f"m@1@0@{age}@float.data" for age in range(7)]
    assert f"deleted 3 chunks of {3 * MIB} bytes" in said


def test_a_read_counts_as_use(tmp_path: Path) -> None:
    read, written = (chunk(tmp_path, f"{name}.data", used_hours_ago=9) for name in ("read", "written"))
    os.utime(read, (time.time(), read.stat().st_mtime))
    clean(tmp_path, int(1.5 * MIB))
    assert read.exists()
    assert not written.exists()


def test_below_the_limit_nothing_goes(tmp_path: Path) -> None:
    kept = chunk(tmp_path, "m@1@0@1@float.data", used_hours_ago=1000)
    assert "deleted 0 chunks" in clean(tmp_path, MIB)
    assert kept.exists()


def test_only_what_lmcache_wrote_is_touched(tmp_path: Path) -> None:
    other = chunk(tmp_path, "readme.txt", used_hours_ago=1000)
    link = tmp_path / "link.data"
    link.symlink_to(other)
    clean(tmp_path, 0)
    assert other.exists()
    assert link.is_symlink()


def test_unfinished_writes_of_killed_replicas_go_and_fresh_ones_stay(tmp_path: Path) -> None:
    folder = tmp_path / ".tmp-llm-predictor-0"
    folder.mkdir()
    fresh, old = (chunk(folder, f"{name}.data", used_hours_ago=age) for name, age in (("a", 0.5), ("b", 2)))
    stray = chunk(tmp_path, "c.tmp", used_hours_ago=2)
    assert "2 files of unfinished writes" in clean(tmp_path, MIB)
    assert (fresh.exists(), old.exists(), stray.exists(), folder.is_dir()) == (True, False, False, True)


def test_wrong_arguments_are_said(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, CLEAN, tmp_path], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (2, "usage: clean_filesystem.py FOLDER BYTES\n")
