"""The connector of mode multiprocess for requests of several tenants (lmcache.tenants).

LMCache's connector reads a request's `cache_salt` once, when it begins to track the request, and puts it into every
lookup, load and store. This connector puts the salt's name there; salts.py says why.

vLLM loads it by `kv_connector_module_path`; launcher.py puts it on the module path. It runs in images that others
build, with LMCache 0.5.0 and later.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from salts import name_of
from shared_mp_connector import SharedLMCacheMPConnector

if TYPE_CHECKING:
    from vllm.v1.request import Request


class TenantLMCacheMPConnector(SharedLMCacheMPConnector):
    """The chart's connector, which names the tenant of each request without its salt."""

    def _get_or_create_request_tracker(self, request: Request) -> Any:  # noqa: ANN401 - LMCache's own type, which has no stable home
        """What LMCache knows of a request; it is made at the first call, and again after a preemption."""
        tracker = super()._get_or_create_request_tracker(request)
        tracker.cache_salt = name_of(request.cache_salt or "")
        return tracker
