"""The connector of mode multiprocess for a server whose memory the engine shares (lmcache.multiprocess.l1.shared).

LMCache 0.5.6 lets the engine die when a server that shares its memory is gone before a store
(`lmcache/v1/multiprocess/transfer_context/shm.py`, `prepare_store`; all other calls there count a server that does not
answer as a miss). This connector goes on without that store.

vLLM loads it by `kv_connector_module_path`; launcher.py puts it on the module path. It runs in images that others
build, with LMCache 0.5.0 and later.
"""

from __future__ import annotations

from checked_mp_connector import CheckedLMCacheMPConnector
from vllm.logger import init_logger

logger = init_logger("vllm.lmcache_kserve")


class SharedLMCacheMPConnector(CheckedLMCacheMPConnector):
    """The checked connector, which outlives a server that does not answer a store."""

    def wait_for_save(self) -> None:
        """Store what this step computed, or compute it again another time."""
        try:
            super().wait_for_save()
        except TimeoutError as error:
            logger.warning("LMCache's server did not answer, so this step is not stored: %s", error)
