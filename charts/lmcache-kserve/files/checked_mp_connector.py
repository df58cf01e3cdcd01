"""LMCache's connector of mode multiprocess, kept from what its server may load wrong, and from losing its server.

unproven.py says where LMCache is not used. The scheduler of LMCache 0.5.0 to 0.5.5 never starts the pings that it makes
ready: it takes its empty dict of pings for started ones (`vllm_multi_process_adapter.py`, `_ensure_heartbeat_started`).
A server that missed one lookup then counts as dead until the replica restarts. This connector starts the pings.

Every release starts a worker's pings with its first request. By a ping a worker learns that its server was replaced,
and registers again. So a worker that had no request yet goes on with a server that does not know it: each hit waits for
half a minute, and is computed after all. This connector starts a worker's pings as soon as it is registered.

vLLM loads it by `kv_connector_module_path`; launcher.py puts it on the module path. It runs in images that others
build, with LMCache 0.5.0 and later.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lmcache.integration.vllm.lmcache_mp_connector import LMCacheMPConnector
from lmcache.integration.vllm.vllm_multi_process_adapter import HeartbeatThread
from unproven import Guarded

if TYPE_CHECKING:
    from lmcache.integration.vllm.vllm_multi_process_adapter import LMCacheMPSchedulerAdapter
    from torch import Tensor
    from vllm.v1.request import Request


class CheckedLMCacheMPConnector(Guarded, LMCacheMPConnector):
    """LMCache's own connector, or an idle one."""

    mode = "multiprocess"

    def get_num_new_matched_tokens(self, request: Request, num_computed_tokens: int) -> tuple[int | None, bool]:
        """Look up a prompt, and ping the servers from the first lookup on, when vLLM is ready."""
        start_pings(self.scheduler_adapter)
        return super().get_num_new_matched_tokens(request, num_computed_tokens)

    def register_kv_caches(self, kv_caches: dict[str, Tensor]) -> None:
        """Register with the server, and ping it from now on."""
        super().register_kv_caches(kv_caches)
        if not self.refusal:
            self.worker_adapter._ensure_heartbeat_started()  # noqa: SLF001 - LMCache has no public name for it


def start_pings(adapter: LMCacheMPSchedulerAdapter) -> None:
    """Start the pings of a scheduler that would not start them; LMCache 0.5.6 has None before it starts its own."""
    if getattr(adapter, "_heartbeats", None) != {}:
        return
    # LMCache 0.5.5 gave the clients another name, and this argument of its pings too.
    clients = adapter.req_clients if hasattr(adapter, "req_clients") else adapter.mq_clients
    for url, client in clients.items():
        ping = HeartbeatThread(client, adapter._health_events[url], adapter._heartbeat_interval)  # noqa: SLF001 - LMCache has no public names for them
        adapter._heartbeats[url] = ping  # noqa: SLF001 - LMCache stops its pings from this dict, which has no public name
        ping.start()
