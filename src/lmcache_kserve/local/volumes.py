"""A pod's volumes as folders: configuration written out, emptyDirs fresh for every pod, claims kept for the run."""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from lmcache_kserve.chart.contract import SHARED_SEGMENT
from lmcache_kserve.chart.environment import Configuration
from lmcache_kserve.errors import HarnessError
from lmcache_kserve.local.plan import PodPlan
from lmcache_kserve.local.rewrite import Rewriter

SHARED_MEMORY = "/dev/shm"  # noqa: S108 - the path of the mount, not a temporary file
"""Mounted from memory in a pod; a local process has the machine's own, which is larger than a container's 64 MiB."""

_PRIVATE = 0o600


@dataclass(frozen=True, slots=True)
class Volumes:
    """The volumes of one pod, below `directory`.

    Attributes:
        pod: the pod they belong to.
        directory: the pod's folder.
        claims: the run's folder for persistent volume claims, which outlive the pod.
        configuration: ConfigMaps and Secrets of the release.
    """

    pod: PodPlan
    directory: Path
    claims: Path
    configuration: Configuration

    def clear(self) -> None:
        """Remove what a pod loses when it is replaced: emptyDirs, configuration, memory that a dead server shared."""
        shutil.rmtree(self.directory, ignore_errors=True)
        for segment in Path(SHARED_MEMORY).glob(f"{SHARED_SEGMENT}*"):
            if not psutil.pid_exists(int(segment.name.removeprefix(SHARED_SEGMENT))):
                segment.unlink(missing_ok=True)

    def mounts(self, container: Mapping[str, Any]) -> dict[str, str]:
        """Folder or file on this machine by mount path of `container`; folders are made, nothing is written yet.

        Raises:
            HarnessError: a volume has no counterpart on this machine.
        """
        mounts: dict[str, str] = {}
        for mount in container.get("volumeMounts", ()):
            if mount["mountPath"].rstrip("/") == SHARED_MEMORY:
                continue
            source = self._source(self._volume(mount["name"]), container["name"])
            target = source / mount["subPath"] if "subPath" in mount else source
            mounts[mount["mountPath"].rstrip("/")] = str(target)
        return mounts

    def write_configuration(self, container: Mapping[str, Any], rewriter: Rewriter) -> None:
        """Write the files of the ConfigMap, Secret and projected volumes that `container` mounts.

        Their text is rewritten as the container would see it, so each container has its own copy.
        """
        for mount in container.get("volumeMounts", ()):
            volume = self._volume(mount["name"])
            for path, text in self._files(volume).items():
                file = self._source(volume, container["name"]) / path
                file.parent.mkdir(parents=True, exist_ok=True)
                file.touch(mode=_PRIVATE)
                file.write_text(rewriter.text(text), encoding="utf-8")

    def _volume(self, name: str) -> Mapping[str, Any]:
        if name in self.pod.claim_templates:
            return {"name": name, "persistentVolumeClaim": {"claimName": f"{name}-{self.pod.name}"}}
        for volume in self.pod.spec.get("volumes", ()):
            if volume["name"] == name:
                found: Mapping[str, Any] = volume
                return found
        raise HarnessError(f"pod {self.pod.name} mounts volume {name!r}, which it does not declare")

    def _source(self, volume: Mapping[str, Any], container: str) -> Path:
        if claim := volume.get("persistentVolumeClaim"):
            folder = self.claims / str(claim["claimName"])
        elif "emptyDir" in volume:
            folder = self.directory / "volumes" / str(volume["name"])
        elif {"configMap", "secret", "projected"} & volume.keys():
            folder = self.directory / "configuration" / container / str(volume["name"])
        else:
            kind = next((key for key in volume if key != "name"), "unknown")
            raise HarnessError(
                f"volume {volume['name']!r} of pod {self.pod.name} is a {kind} volume, which this machine cannot supply"
            )
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def _files(self, volume: Mapping[str, Any]) -> dict[str, str]:
        if source := volume.get("configMap"):
            return _select(self.configuration.config_map(source["name"]), source)
        if source := volume.get("secret"):
            return _select(self.configuration.secret(source["secretName"]), source)
        if source := volume.get("projected"):
            files: dict[str, str] = {}
            for part in source["sources"]:
                if "configMap" in part:
                    files |= _select(self.configuration.config_map(part["configMap"]["name"]), part["configMap"])
                elif "secret" in part:
                    files |= _select(self.configuration.secret(part["secret"]["name"]), part["secret"])
                else:
                    raise HarnessError(f"projected volume {volume['name']!r} has a source that only a cluster supplies")
            return files
        return {}


def _select(data: Mapping[str, str], source: Mapping[str, Any]) -> dict[str, str]:
    if "items" not in source:
        return dict(data)
    try:
        return {item["path"]: data[item["key"]] for item in source["items"]}
    except KeyError as error:
        raise HarnessError(f"a volume selects the key {error.args[0]!r}, which its source does not have") from error
