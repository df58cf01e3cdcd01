"""The connector that keeps a tenant's salt out of LMCache."""

from types import SimpleNamespace
from typing import Any

import pytest
from fake_vllm import Role, connector_script, vllm_config


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Any:
    return connector_script("tenant_mp_connector", monkeypatch)


def salt_in_lmcache(script: Any, salt: str | None) -> str:
    """What LMCache puts into the keys of a request with this salt."""
    connector = script.TenantLMCacheMPConnector(vllm_config(), Role.SCHEDULER)
    request = SimpleNamespace(request_id="1", cache_salt=salt)
    assert connector.track(request) is connector.track(request)
    return str(connector.track(request).cache_salt)


def test_lmcache_sees_a_hash_of_the_salt(script: Any) -> None:
    # printf %s acme | sha256sum
    assert salt_in_lmcache(script, "acme") == "822b33ad87c148a0a20a5ba7cd5ebcaa"


def test_a_salt_that_lmcache_refuses_becomes_a_name_that_it_takes(script: Any) -> None:
    names = {salt_in_lmcache(script, salt) for salt in ("a/b", "a@b", "a\\b", "a\0b", "a" * 1000, "\ud800")}
    assert len(names) == 6
    assert all(len(name) == 32 and set(name) <= set("0123456789abcdef") for name in names)


@pytest.mark.parametrize("salt", [None, ""])
def test_a_request_without_a_salt_stays_one(script: Any, salt: str | None) -> None:
    assert salt_in_lmcache(script, salt) == ""
