"""Small caches, so that they fill quickly and evict."""

from collections.abc import Mapping

SIZES: Mapping[str, tuple[str, ...]] = {
    "redis": ("redis.maxmemory=128Mi",),
    "valkey": ("valkey.maxmemory=128Mi",),
    "redis-sentinel": ("redisSentinel.maxmemory=128Mi",),
    "mooncake": ("mooncake.localBuffer=128Mi", "mooncake.store.segmentSize=128Mi"),
}
"""The backends that evict. Keys are backend types; values go below `remoteBackend`."""


def small(backend: str) -> tuple[str, ...]:
    """The settings of a small backend of this type, as for helm's --set; none where its size cannot be set."""
    return tuple(f"remoteBackend.{setting}" for setting in SIZES.get(backend, ()))
