"""LMCache's connector of mode in-process, for which a wrong answer is worse than a slow one.

It keeps away from a KV cache that LMCache is not known to read right (unproven.py). It does not store what was computed
on a chunk that could not be loaded.

A chunk that was found may be gone when it is loaded: evicted meanwhile, or its backend is cut off. vLLM has begun to
compute what follows by then, throws the result away and computes it again (`kv_load_failure_policy`). LMCache 0.5.6
stores the first result all the same (`vllm_v1_adapter.py`, `wait_for_save`), under the key of the right one, and later
requests on any replica are answered from it. This connector tells it not to.

vLLM loads it by `kv_connector_module_path`; launcher.py puts it on the module path. It runs in images that others
build, with every vLLM that knows `kv_load_failure_policy`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from unproven import Guarded
from vllm.distributed.kv_transfer.kv_connector.v1.lmcache_connector import LMCacheConnectorV1
from vllm.distributed.parallel_state import get_tp_group

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lmcache.integration.vllm.vllm_v1_adapter import ReqMeta
    from vllm.forward_context import ForwardContext


class CheckedLMCacheConnector(Guarded, LMCacheConnectorV1):
    """One worker's connector; the scheduler's has no loads to check."""

    mode = "in-process"

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - vLLM's releases pass different arguments, and all go on unread
        """Take what vLLM's connector takes."""
        super().__init__(*args, **kwargs)
        self._block_size: int = self._vllm_config.cache_config.block_size
        self._unreported: set[int] = set()
        self._tainted: dict[str, int] = {}

    def start_load_kv(self, forward_context: ForwardContext, **kwargs: Any) -> None:  # noqa: ANN401 - vLLM's releases pass different options, and all go on unread
        """Load, and forbid to store what this step and one that is under way compute on a chunk that is missing."""
        super().start_load_kv(forward_context, **kwargs)
        failed = super().get_block_ids_with_load_errors()
        self._unreported |= failed
        requests = self._get_connector_metadata().requests
        if any(request.load_spec is not None and request.load_spec.can_load for request in requests):
            flags = self._on_any_worker([self._uses(request, failed) for request in requests])
        else:
            flags = [False] * len(requests)
        for request, missing in zip(requests, flags, strict=True):
            tokens = len(request.token_ids)
            if missing:
                self._tainted[request.req_id] = tokens
            # vLLM may have scheduled the next step before it heard of the failure. That one has more tokens; the one
            # that computes them again has not.
            elif tokens <= self._tainted.get(request.req_id, -1):
                del self._tainted[request.req_id]
            if request.req_id in self._tainted and request.save_spec is not None:
                request.save_spec.can_save = False

    def get_block_ids_with_load_errors(self) -> set[int]:
        """Return the blocks that vLLM has not been told of yet."""
        reported = self._unreported | super().get_block_ids_with_load_errors()
        self._unreported = set()
        return reported

    def get_finished(self, finished_req_ids: set[str]) -> tuple[set[str] | None, set[str] | None]:
        """Forget requests that have ended."""
        for request_id in finished_req_ids:
            self._tainted.pop(request_id, None)
        return super().get_finished(finished_req_ids)

    def _uses(self, request: ReqMeta, blocks: set[int]) -> bool:
        """Whether a request reads any of these blocks, its own or shared."""
        return bool(blocks) and not blocks.isdisjoint((request.slot_mapping // self._block_size).tolist())

    @staticmethod
    def _on_any_worker(flags: Sequence[bool]) -> list[bool]:
        """What holds on any tensor-parallel worker: what all compute depends on what each has loaded."""
        group = get_tp_group()
        if group.world_size == 1:
            return list(flags)
        shared = torch.tensor(flags, dtype=torch.int32)
        torch.distributed.all_reduce(shared, op=torch.distributed.ReduceOp.MAX, group=group.cpu_group)
        return [bool(flag) for flag in shared.tolist()]
