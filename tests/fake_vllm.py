"""What the chart's connectors import of vLLM, torch and LMCache, stood in for, so that they load without an engine."""

import enum
import importlib.util
import sys
from abc import ABC
from collections.abc import Mapping
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from rendering import CHART

BASE = "vllm.distributed.kv_transfer.kv_connector.v1.base"

BESIDE = {
    "shared_mp_connector": ("checked_mp_connector",),
    "tenant_mp_connector": ("checked_mp_connector", "shared_mp_connector", "salts"),
}
"""What a connector imports of the chart's other files, in an order in which they load."""


class Role(enum.Enum):
    """KVConnectorRole."""

    SCHEDULER = 0
    WORKER = 1


class HandshakeMetadata(ABC):  # noqa: B024 - as in vLLM
    """KVConnectorHandshakeMetadata."""


class Metadata(ABC):  # noqa: B024 - as in vLLM
    """KVConnectorMetadata."""


class Base:
    """KVConnectorBase_V1 of vLLM 0.32, as far as tests look at it."""

    def __init__(self, vllm_config: Any, role: Role, kv_cache_config: Any = None) -> None:
        self._vllm_config, self._role, self._kv_cache_config = vllm_config, role, kv_cache_config
        self._connector_metadata: Metadata | None = None

    @property
    def prefer_cross_layer_blocks(self) -> bool:
        return False

    def bind_connector_metadata(self, metadata: Metadata) -> None:
        self._connector_metadata = metadata

    def register_kv_caches(self, kv_caches: Mapping[str, Any]) -> None:
        """Nothing to register with."""

    def register_cross_layers_kv_cache(self, kv_cache: Any, attn_backend: type) -> None:
        """Nothing to register with."""

    def get_finished(self, _finished: set[str]) -> tuple[set[str] | None, set[str] | None]:
        return None, None

    def get_block_ids_with_load_errors(self) -> set[int]:
        return set()

    def get_handshake_metadata(self) -> HandshakeMetadata | None:
        return None

    def set_xfer_handshake_metadata(self, metadata: dict[int, HandshakeMetadata]) -> None:
        """Nothing to hear."""

    def set_xfer_handshake_metadata_pp_aware(self, metadata: dict[tuple[int, int], HandshakeMetadata]) -> None:
        if any(stage for stage, _ in metadata):
            raise ValueError("this connector knows no pipelines")
        self.set_xfer_handshake_metadata({rank: told for (_, rank), told in metadata.items()})

    def request_finished(self, _request: object, _block_ids: list[int]) -> tuple[bool, None]:
        return False, None

    @classmethod
    def requires_piecewise_for_cudagraph(cls, _extra: Mapping[str, Any]) -> bool:
        return False


class LMCacheConnector(Base):
    """LMCache's connector of either mode. `used` lists what reached LMCache, beginning with `made`."""

    def __init__(self, vllm_config: Any, role: Role, kv_cache_config: Any = None) -> None:
        super().__init__(vllm_config, role, kv_cache_config)
        self.used = ["made"]
        self.failing: set[int] = set()
        self.metadata = SimpleNamespace(requests=[])
        self.scheduler_adapter = scheduler_adapter(None)
        self.worker_adapter = SimpleNamespace(_ensure_heartbeat_started=lambda: self.used.append("pings"))
        self.request_trackers: dict[str, SimpleNamespace] = {}

    @property
    def prefer_cross_layer_blocks(self) -> bool:
        return "made" in self.used

    def register_kv_caches(self, _kv_caches: Mapping[str, Any]) -> None:
        self.used.append("registered")

    def start_load_kv(self, _context: object, **_: object) -> None:
        self.used.append("loaded")

    def get_num_new_matched_tokens(self, _request: object, _computed: int) -> tuple[int, bool]:
        self.used.append("looked up")
        return 256, False

    def build_connector_meta(self, _scheduled: object) -> Metadata:
        self.used.append("planned")
        return Metadata()

    def get_finished(self, finished: set[str]) -> tuple[set[str], None]:
        return finished, None

    def get_block_ids_with_load_errors(self) -> set[int]:
        failed, self.failing = self.failing, set()
        return failed

    def request_finished_all_groups(self, _request: object, _block_ids: object) -> tuple[bool, None]:
        return True, None

    def _get_connector_metadata(self) -> SimpleNamespace:
        return self.metadata

    def track(self, request: Any) -> SimpleNamespace:
        """What LMCache knows of a request, which it asks for with every step."""
        return self._get_or_create_request_tracker(request)

    def _get_or_create_request_tracker(self, request: Any) -> SimpleNamespace:
        new = SimpleNamespace(cache_salt=request.cache_salt or "")
        return self.request_trackers.setdefault(request.request_id, new)


class Ping:
    """HeartbeatThread of LMCache, whose first argument has another name from 0.5.5 on."""

    def __init__(self, client: object, /, health_event: object, interval: float = 10.0) -> None:
        self.client, self.health_event, self.interval = client, health_event, interval
        self.starts = 0

    def start(self) -> None:
        self.starts += 1


def scheduler_adapter(pings: dict[str, Ping] | None, *, clients: str = "req_clients") -> SimpleNamespace:
    """LMCacheMPSchedulerAdapter of two servers; LMCache 0.5.0 to 0.5.5 begins with an empty dict, 0.5.6 with None.

    Args:
        pings: what it begins with.
        clients: name of its clients; mq_clients before LMCache 0.5.5.
    """
    servers = ("tcp://a:5555", "tcp://b:5555")
    return SimpleNamespace(
        **{clients: {url: f"client of {url}" for url in servers}},
        _health_events={url: f"health of {url}" for url in servers},
        _heartbeat_interval=5.0,
        _heartbeats=pings,
    )


class KVTransferConfig(SimpleNamespace):
    """vLLM's, of which the connectors read the extra configuration."""

    def get_from_extra_config(self, key: str, default: object) -> object:
        return vars(self).get(key, default)


def vllm_config(*, block_size: int = 16, speculation: str | None = None, **extra: object) -> SimpleNamespace:
    """VllmConfig, with the method of speculative decoding and `kv_connector_extra_config`."""
    return SimpleNamespace(
        cache_config=SimpleNamespace(block_size=block_size),
        kv_transfer_config=KVTransferConfig(**extra),
        speculative_config=SimpleNamespace(method=speculation) if speculation else None,
    )


def kv_cache_config(*specs: object) -> SimpleNamespace:
    """KVCacheConfig with a group of layers for each specification."""
    return SimpleNamespace(kv_cache_groups=[SimpleNamespace(kv_cache_spec=spec) for spec in specs])


def connector_script(name: str, monkeypatch: pytest.MonkeyPatch, *, device: str = "cuda") -> Any:
    """A connector of the chart's files/, loaded as in an image whose vLLM keeps its KV cache on a device."""
    logged: list[str] = []

    def write(text: str, *args: object) -> None:
        logged.append(text % args)

    logger = SimpleNamespace(error=write, warning=write)
    modules: dict[str, dict[str, Any]] = {
        "torch": {},
        "vllm": {"__version__": "0.32.0"},
        "vllm.logger": {"init_logger": lambda _name: logger},
        "vllm.platforms": {"current_platform": SimpleNamespace(device_type=device)},
        BASE: {
            "KVConnectorBase_V1": Base,
            "KVConnectorHandshakeMetadata": HandshakeMetadata,
            "KVConnectorMetadata": Metadata,
            "KVConnectorRole": Role,
        },
        "vllm.distributed.kv_transfer.kv_connector.v1.lmcache_connector": {"LMCacheConnectorV1": LMCacheConnector},
        "vllm.distributed.parallel_state": {"get_tp_group": lambda: SimpleNamespace(world_size=1)},
        "lmcache.integration.vllm.lmcache_mp_connector": {"LMCacheMPConnector": LMCacheConnector},
        "lmcache.integration.vllm.vllm_multi_process_adapter": {"HeartbeatThread": Ping},
    }
    for module, content in modules.items():
        stub = ModuleType(module)
        stub.__dict__.update(content)
        monkeypatch.setitem(sys.modules, module, stub)
    unproven = _loaded("unproven", monkeypatch)
    unproven.metadata = SimpleNamespace(version={"lmcache": "0.5.6"}.__getitem__)
    unproven.logged = logged
    for beside in BESIDE.get(name, ()):
        _loaded(beside, monkeypatch)
    return unproven if name == "unproven" else _loaded(name, monkeypatch)


def _loaded(name: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    spec = importlib.util.spec_from_file_location(name, CHART / "files" / f"{name}.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, name, module)
    spec.loader.exec_module(module)
    return module
