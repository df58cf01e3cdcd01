"""LMCache's connector of mode multiprocess, which keeps away from what its server is not known to load right.

vLLM loads it by `kv_connector_module_path`; launcher.py puts it on the module path. It runs in images that others
build, with LMCache 0.5.0 and later.
"""

from __future__ import annotations

from lmcache.integration.vllm.lmcache_mp_connector import LMCacheMPConnector
from unproven import Guarded


class CheckedLMCacheMPConnector(Guarded, LMCacheMPConnector):
    """LMCache's own connector, or an idle one."""

    mode = "multiprocess"
