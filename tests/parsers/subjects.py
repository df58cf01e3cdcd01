"""What is asked: every engine, every values file in each mode that it fits, and choices that need a release."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from rendering import CHART, EVERYTHING, SCENARIO_FILES, remote_backend, scenario_name, scenario_values

from lmcache_kserve.engine.catalog import Pair, pairs
from lmcache_kserve.lmcache.backends import MULTIPROCESS

DATA = yaml.safe_load((CHART / "files" / "compatibility.yaml").read_text(encoding="utf-8"))
IN_PROCESS_ONLY = frozenset(
    {"values/external-redis-tls.yaml", "values/gpu-amd.yaml", "values/proxy.yaml", "values/valkey-glide.yaml"}
)
"""Values files with a backend or a GPU that LMCache's server cannot use so."""

CUSTOM = {"values/custom.yaml": "0.5.6"}
"""Values files of type custom, and the LMCache that has their connector. The chart passes such settings on unread."""


@dataclass(frozen=True, slots=True)
class Subject:
    """An engine, as a user names it to the chart.

    Attributes:
        pair: the engine.
        stated: whether the values state the releases. Otherwise the tag of the engine's image tells them.
    """

    pair: Pair
    stated: bool

    def __str__(self) -> str:
        return f"{self.pair.name}{' stated' * (self.stated and self.tagged)}"

    @property
    def tagged(self) -> bool:
        """Whether the engine has an image with a tag."""
        return any(":" in image for image in self.pair.images)

    def values(self, case: "Case") -> dict[str, Any]:
        """Values that lie above those of a case."""
        runtime: dict[str, Any] = {"server": self.pair.server}
        lmcache = {"mode": case.mode}
        if self.stated or case.own_image:
            runtime["vllmVersion"] = self.pair.vllm
            lmcache["version"] = self.pair.lmcache
            if not case.own_image:
                runtime["image"] = {"repository": "example.com/engine", "tag": "1"}
        else:
            repository, _, tag = self.pair.images[0].rpartition(":")
            runtime["image"] = {"repository": repository, "tag": tag}
        values: dict[str, Any] = {"runtime": runtime, "lmcache": lmcache}
        return values | ({"kserve": {"version": self.pair.kserve}} if self.pair.kserve else {})


@dataclass(frozen=True, slots=True)
class Case:
    """Values to render.

    Attributes:
        name: what they are.
        mode: value of lmcache.mode.
        files: values files.
        choice: values that need a release, whatever mode an engine runs; empty for values files.
    """

    name: str
    mode: str
    files: tuple[Path, ...] = ()
    choice: Mapping[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.name} {self.mode}"

    @property
    def own_image(self) -> bool:
        """Whether the values name an image of the user's."""
        named = [scenario_values(file).get("runtime", {}).get("image", {}) for file in self.files]
        return any("repository" in image for image in named)


def _modes(file: Path) -> tuple[str, ...]:
    values = scenario_values(file)
    lmcache = values.get("lmcache", {})
    own = lmcache.get("mode", "in-process")
    kind = values.get("remoteBackend", {}).get("type", "redis")
    one_mode = lmcache.get("enabled") is False or kind not in MULTIPROCESS | {"none"}
    if one_mode or scenario_name(file) in IN_PROCESS_ONLY:
        return (own,)
    return ("in-process", "multiprocess")


def _server(**mode: Any) -> dict[str, Any]:
    return {"lmcache": {"multiprocess": mode}}


_ENCRYPTED = remote_backend(
    "valkey",
    client="auto",
    deploy=False,
    external={"endpoint": "cache.example.com:6380", "database": 1, "tls": {"enabled": True, "caSecret": "ca"}},
    auth={"existingSecret": "login"},
)
CASES = (
    *(Case(scenario_name(file), mode, files=(file,)) for file in SCENARIO_FILES for mode in _modes(file)),
    Case("every switch", "in-process", choice=EVERYTHING),
    Case("a server on each node", "multiprocess", choice=_server(placement="daemonset")),
    Case("memory of the node", "multiprocess", choice=_server(placement="daemonset", hostSharedMemory=True)),
    Case("isolated IPC in a pod", "multiprocess", choice=_server(isolatedIpc=True)),
    Case("ARC", "multiprocess", choice=_server(l1={"evictionPolicy": "ARC"})),
    Case("metrics", "multiprocess", choice=_server(metrics={"enabled": True})),
    Case("the chart's client", "multiprocess", choice=remote_backend("redis", client="direct")),
    Case("TLS and a database", "multiprocess", choice=_ENCRYPTED),
)

_INSTALLABLE = [one for name, one in pairs().items() if one.lock is not None and name != "newest"]
SUBJECTS = (
    *(Subject(one, stated=not any(":" in image for image in one.images)) for one in _INSTALLABLE),
    # The chart refuses the images of these, but not their releases in another image.
    *(Subject(one, stated=True) for one in _INSTALLABLE if one.kserve in DATA["broken"]["kserve/huggingfaceserver"]),
)
