"""Secrets are read by those alone who may read Secrets."""

import base64
import re
from collections.abc import Iterator
from contextlib import suppress
from urllib.parse import quote

from lmcache_kserve.chart.manifests import Manifest, Manifests, Violation, describe
from lmcache_kserve.chart.policies.fields import leaves

_SHORTEST_SECRET = 6  # shorter values turn up in other texts by chance
# A password, and not the placeholder of a shell, a format string or a template.
_URL_CREDENTIALS = re.compile(r"[a-z][a-z0-9+.-]*://[^/\s:@]*:[^/\s@{}$<>()*]+@")
_NOT_SECRET_KEY = re.compile(r"user(name)?$", re.IGNORECASE)


def secrets_stay_secret(manifests: Manifests) -> list[Violation]:
    """No Secret's value and no URL with a password stands where people without access to Secrets can read it."""
    secrets = set(_secret_values(manifests))
    found = []
    for manifest in manifests:
        for path, text in _public_texts(manifest):
            # Messages do not repeat the text, because they end up in logs.
            if any(secret in text for secret in secrets):
                found.append(Violation(describe(manifest), path, "contains the value of a Secret"))
            elif _URL_CREDENTIALS.search(text):
                found.append(Violation(describe(manifest), path, "contains a URL with a password"))
    return found


def _secret_values(manifests: Manifests) -> Iterator[str]:
    """What must not be read elsewhere, as it is and as it would stand in a URL."""
    for secret in manifests.of_kind("Secret"):
        plain = dict(secret.get("stringData") or {})
        for key, encoded in (secret.get("data") or {}).items():
            # The API server refuses a Secret whose text is not base64.
            with suppress(ValueError):
                plain[key] = base64.b64decode(encoded).decode(errors="replace")
        for key, value in plain.items():
            if len(value) >= _SHORTEST_SECRET and not _NOT_SECRET_KEY.search(key):
                yield value
                yield quote(value, safe="")


def _public_texts(manifest: Manifest) -> Iterator[tuple[str, str]]:
    """Every text of an object that people without access to Secrets can read; of a Secret, its metadata."""
    readable = {"metadata": manifest["metadata"]} if manifest["kind"] == "Secret" else manifest
    yield from ((path, text) for path, text in leaves(readable) if isinstance(text, str))
