"""The numbers that a release is promised to keep; times in seconds.

The command that measures a promise fails where it is missed. `scripts/promises.py` writes them, with the last value of
each, into docs/promises.md.
"""

from collections.abc import Mapping

FAILED_REQUESTS = 0
WRONG_ANSWERS = 0
SLOWEST_S = 15.0
"""Longest request before, during and after a fault."""

HITS_BACK_S: Mapping[str, float] = {
    "redis": 10.0,
    "valkey": 10.0,
    # Sentinel takes 5 s to see that a master is gone, and then elects another one.
    "redis-sentinel": 20.0,
    "lmcache-server": 15.0,
    # A folder has no connection to lose.
    "filesystem": 10.0,
    # Clients and stores join a new master with their next heartbeat.
    "mooncake": 30.0,
}
"""From the end of a fault to the first hit on a fresh prompt of another replica, by backend type."""

SERVER_HITS_BACK_S = 15.0
"""The same after LMCache's own server, of mode multiprocess, was killed."""

CORRUPTED_CHUNKS = 1000
"""Chunks that are changed in the backend and then asked for, of each client with a checksum."""

TTFT_RATIO = 1.3
"""Least median of cold / warm TTFT."""

SCALE_OUT_RATIO = 1.5
"""The 90th percentile of TTFT of a new replica, in times that of an old one."""

SERVER_START_S = 10.0
"""Start of LMCache's server, and its end with a drain."""

CHECKSUM_SHARE = 0.03
"""Most that a checksum may add to a load."""
