"""A real Valkey, and the client direct connected to it."""

import asyncio
import importlib
import logging
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from direct_stand_ins import PASSWORD, Memory, RemoteConnector, RemoteMetadata, Server
from encryption import Identity, relayed
from rendering import CHART


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    server = Server(tmp_path)
    yield server
    server.stop()


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch) -> Any:
    for name, member, value in [
        ("lmcache.logging", "init_logger", logging.getLogger),
        ("lmcache.v1.protocol", "RemoteMetadata", RemoteMetadata),
        ("lmcache.v1.storage_backend.connector.base_connector", "RemoteConnector", RemoteConnector),
    ]:
        stub = ModuleType(name)
        setattr(stub, member, value)
        monkeypatch.setitem(sys.modules, name, stub)
    monkeypatch.syspath_prepend(CHART / "files")
    for name in ("redis_connections", "direct_redis", "direct_client"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    return importlib.import_module("direct_redis")


@pytest.fixture
def identity(tmp_path: Path) -> Identity:
    return Identity(tmp_path / "identity")


@pytest.fixture
def encrypted(server: Server, identity: Identity) -> Iterator[int]:
    """The port where the server answers with TLS, to clients with a certificate of the authority."""
    with relayed(identity.context, server.port) as port:
        yield port


@pytest.fixture
def certificates(identity: Identity) -> dict[str, str]:
    """Settings with the authority and a certificate of a client."""
    files = {"ca": identity.ca, "certificate": identity.client, "key": identity.client_key}
    return {f"direct_redis_{name}": str(path) for name, path in files.items()}


@pytest.fixture
def connect(module: Any, server: Server) -> Iterator[Callable[..., Any]]:
    made = []

    def connected(*, memory: Memory | None = None, database: int = 0, **settings: Any) -> Any:
        own = {
            "direct_redis_url": f"redis://127.0.0.1:{server.port}/{database}",
            "direct_redis_password": PASSWORD,
            "direct_redis_connections": 3,
            "direct_redis_command_s": 5.0,
        }
        config = SimpleNamespace(extra_config=own | settings)
        connector = module.DirectRedisConnector(None, memory or Memory(), config)
        made.append(connector)
        return connector

    yield connected
    for connector in made:
        asyncio.run(connector.close())
