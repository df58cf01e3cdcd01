"""Names that stand for tenants' salts, in LMCache's keys and in the chart's quotas.

A request's `cache_salt` may be a secret: whoever knows it can ask whether the tenant has asked a prompt before. LMCache
writes it into the keys of the backend, its metrics and its log. It refuses slashes, `@` and more than 128 characters,
with an exception that ends a vLLM that lets them through (vllm-project/vllm#51444). So a name stands for the salt.
"""

from __future__ import annotations

import hashlib

LENGTH = 32
"""Characters of a name, as the chart's templates cut them too: 128 bits."""


def name_of(salt: str) -> str:
    """The name of a salt: the beginning of its SHA-256. Requests without a salt have none."""
    return hashlib.sha256(salt.encode("utf-8", "surrogatepass")).hexdigest()[:LENGTH] if salt else ""
