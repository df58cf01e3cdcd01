"""Keep LMCache away from a KV cache that it is not known to store and load right.

LMCache may misread the memory of a newer vLLM without an error, and answers are wrong then. unproven.yaml lists what is
not known to be right. The chart's connectors ask here when the engine starts, where the releases in the image and
vLLM's real tensors are visible. A connector that is refused does nothing: vLLM computes every prompt.

A worker sees the tensors and the scheduler does not. So workers tell the scheduler by vLLM's handshake of connectors,
which comes before the first request. It runs in images that others build, with LMCache 0.4.2 and later.
"""

from __future__ import annotations

import functools
import inspect
from dataclasses import dataclass, replace
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import vllm
import yaml
from packaging.version import Version
from vllm.distributed.kv_transfer.kv_connector.v1.base import (
    KVConnectorBase_V1,
    KVConnectorHandshakeMetadata,
    KVConnectorMetadata,
    KVConnectorRole,
)
from vllm.logger import init_logger
from vllm.platforms import current_platform

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from torch import Tensor
    from vllm.config import VllmConfig
    from vllm.v1.kv_cache_interface import KVCacheConfig

ROWS = Path(__file__).absolute().with_name("unproven.yaml")
OVERRIDE = "lmcache-kserve.allow_unproven"
"""Key of `kv_connector_extra_config`; lmcache.allowUnproven sets it."""
PACKED_DIMENSIONS = 4
"""Blocks, heads, tokens, and keys with values (vllm-project/vllm#44455); apart, they have a dimension more."""
NO_LAYERS = frozenset({"ngram", "ngram_gpu", "suffix", "medusa", "mlp_speculator"})
"""Methods of speculative decoding that cache nothing (vLLM 0.32, config/speculative.py)."""

logger = init_logger("vllm.lmcache_kserve")


@dataclass(frozen=True)
class Engine:
    """What unproven.yaml asks about.

    Attributes:
        mode: the value of lmcache.mode.
        device: what holds the KV cache, in torch's words.
        vllm: release of vLLM.
        lmcache: release of LMCache.
        layers: what is cached besides attention: `recurrent`, `draft`.
        layout: `packed` or `split`; empty as long as there are no tensors.
    """

    mode: str
    device: str
    vllm: str
    lmcache: str
    layers: frozenset[str] = frozenset()
    layout: str = ""

    def refusal(self, rows: Iterable[Mapping[str, Any]]) -> str | None:
        """Why LMCache must not be used here; None where nothing speaks against it."""
        for row in rows:
            if self._fits(row):
                return (
                    f"{row['reason']} ({row['thread']}). This is LMCache {self.lmcache}, vLLM {self.vllm}, "
                    f"{self.device}, {self.mode}"
                )
        return None

    def _fits(self, row: Mapping[str, Any]) -> bool:
        fixed = row.get("fixedIn")
        return (
            row.get("mode", self.mode) == self.mode
            and row.get("layout", self.layout) == self.layout
            and ("layers" not in row or row["layers"] in self.layers)
            and row.get("exceptDevice") != self.device
            and not (fixed and Version(self.lmcache) >= Version(fixed))
        )


class Idle(KVConnectorBase_V1):
    """What a refused connector does: what vLLM's own base class does, and nothing where that leaves it open."""

    def start_load_kv(self, _forward_context: object, **_: object) -> None:
        """Load nothing.

        Raises:
            RuntimeError: the scheduler has not heard of the refusal, and its requests count on loaded chunks.
        """
        if not isinstance(self._connector_metadata, (NoMetadata, type(None))):
            raise RuntimeError("a worker refused LMCache, but vLLM's scheduler uses it: set lmcache.enabled to false")  # noqa: TRY004 - nobody passed a wrong argument

    def wait_for_layer_load(self, _layer_name: str) -> None:
        """Wait for nothing."""

    def save_kv_layer(self, *_: object, **__: object) -> None:
        """Store nothing."""

    def wait_for_save(self) -> None:
        """Wait for nothing."""

    def get_num_new_matched_tokens(self, _request: object, _num_computed_tokens: int) -> tuple[int, bool]:
        """Find nothing."""
        return 0, False

    def update_state_after_alloc(self, *_: object) -> None:
        """Remember nothing."""

    def build_connector_meta(self, _scheduler_output: object) -> KVConnectorMetadata:
        """Tell the workers nothing."""
        return NoMetadata()

    def request_finished_all_groups(self, _request: object, _block_ids: object) -> tuple[bool, None]:
        """Hold no blocks back."""
        return False, None


class NoMetadata(KVConnectorMetadata):
    """From a refused scheduler to its workers."""


@dataclass
class Verdict(KVConnectorHandshakeMetadata):
    """From a worker that refuses to its scheduler."""

    refusal: str


class Guarded:
    """Goes before a connector of LMCache, which then is idle where unproven.yaml refuses it."""

    mode = ""
    _TELL = frozenset({"get_handshake_metadata", "set_xfer_handshake_metadata", "set_xfer_handshake_metadata_pp_aware"})

    def __init_subclass__(cls, **kwargs: object) -> None:
        """Let every method of a connector that this vLLM knows be idle where the connector is refused."""
        super().__init_subclass__(**kwargs)
        for name in dir(Idle):
            idle, own = inspect.getattr_static(Idle, name), inspect.getattr_static(cls, name, None)
            if name.startswith("_") or name in cls._TELL or own is idle:
                continue
            if inspect.isfunction(own):
                setattr(cls, name, _unless_refused(own, idle))
            elif isinstance(own, property):
                setattr(cls, name, property(_unless_refused(own.fget, idle.fget)))

    def __init__(
        self, vllm_config: VllmConfig, role: KVConnectorRole, kv_cache_config: KVCacheConfig | None = None
    ) -> None:
        """Make the connector, or only vLLM's part of it where LMCache is refused."""
        self.refusal: str | None = None
        self._override = vllm_config.kv_transfer_config.get_from_extra_config(OVERRIDE, False) is True
        self._engine = Engine(
            mode=self.mode,
            device=device(),
            vllm=vllm.__version__,
            lmcache=metadata.version("lmcache"),
            layers=special_layers(vllm_config, kv_cache_config),
        )
        self._judge(self._engine)
        if not self.refusal:
            super().__init__(vllm_config, role, kv_cache_config)
            return
        KVConnectorBase_V1.__init__(self, vllm_config, role, kv_cache_config)
        if role is KVConnectorRole.SCHEDULER:
            say(self.refusal)

    def register_kv_caches(self, kv_caches: dict[str, Tensor]) -> None:
        """Look at vLLM's tensors before LMCache does."""
        self._judge(replace(self._engine, layout=layout(kv_caches.values())))
        if not self.refusal:
            super().register_kv_caches(kv_caches)

    def register_cross_layers_kv_cache(self, kv_cache: Tensor, attn_backend: type) -> None:
        """Look at a tensor of all layers, the first dimension, before LMCache does."""
        self._judge(replace(self._engine, layout=layout([kv_cache[0]])))
        if not self.refusal:
            super().register_cross_layers_kv_cache(kv_cache, attn_backend)

    def get_handshake_metadata(self) -> KVConnectorHandshakeMetadata | None:
        """Tell the scheduler of a refusal."""
        return Verdict(self.refusal) if self.refusal else super().get_handshake_metadata()

    def set_xfer_handshake_metadata(self, metadata: dict[int, KVConnectorHandshakeMetadata]) -> None:
        """Hear of a refusal."""
        if not self._hears(metadata.values()):
            super().set_xfer_handshake_metadata(metadata)

    def set_xfer_handshake_metadata_pp_aware(self, metadata: dict[Any, KVConnectorHandshakeMetadata]) -> None:
        """Hear of a refusal, from the workers of every stage of a pipeline."""
        if not self._hears(metadata.values()):
            super().set_xfer_handshake_metadata_pp_aware(metadata)

    def _judge(self, engine: Engine) -> None:
        if not self._override:
            self.refusal = engine.refusal(yaml.safe_load(ROWS.read_text(encoding="utf-8"))["unproven"])

    def _hears(self, told: Iterable[KVConnectorHandshakeMetadata]) -> bool:
        refusals = [one.refusal for one in told if isinstance(one, Verdict)]
        if refusals and not self.refusal:
            self.refusal = refusals[0]
            say(self.refusal)
        return bool(refusals)


def device() -> str:
    """What holds the KV cache."""
    return current_platform.device_type


def layout(caches: Iterable[Any]) -> str:
    """Whether any layer keeps keys and values in one tensor, in the last dimension; recurrent layers have a list."""
    packed = any(getattr(cache, "ndim", 0) == PACKED_DIMENSIONS for cache in caches)
    return "packed" if packed else "split"


def special_layers(vllm_config: VllmConfig, kv_cache_config: KVCacheConfig | None) -> frozenset[str]:
    """What the engine caches besides attention."""
    found = set()
    for group in getattr(kv_cache_config, "kv_cache_groups", ()):
        spec = group.kv_cache_spec
        # A group of layers that differ in size has a spec of each (UniformTypeKVCacheSpecs).
        for one in getattr(spec, "kv_cache_specs", {"all": spec}).values():
            if any(kind.__name__ == "MambaSpec" for kind in type(one).__mro__):
                found.add("recurrent")
    speculation = vllm_config.speculative_config
    if speculation is not None and speculation.method not in NO_LAYERS:
        found.add("draft")
    return frozenset(found)


def say(refusal: str) -> None:
    """Write the one line of a refusal. `lmcache-kserve` reads it (lmcache/logs.py)."""
    logger.error(
        "LMCache is off: %s. Requests are answered without LMCache; lmcache.allowUnproven true uses it all the same.",
        refusal,
    )


def _unless_refused(own: Any, idle: Any) -> Any:  # noqa: ANN401 - any method of any connector
    """A method that is idle where its connector is refused."""

    @functools.wraps(own)
    def method(self: Guarded, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - any method of any connector
        return (idle if self.refusal else own)(self, *args, **kwargs)

    return method
