"""What LMCache was told by a predictor's command line, environment and configuration file.

Source: LMCache 0.5.6, `lmcache/v1/config.py` (fields, `LMCACHE_<FIELD>` names) and `lmcache/integration/vllm/utils.py`
(the environment overrides the file).
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import yaml

from lmcache_kserve.errors import HarnessError

DEFAULT_CHUNK_SIZE = 256
CONNECTOR_OPTION = "--kv-transfer-config"


@dataclass(frozen=True, slots=True)
class LMCacheSettings:
    """The settings that a proof depends on.

    Attributes:
        connector: the vLLM connector of `--kv-transfer-config`, or None without one.
        chunk_size: tokens per cached chunk.
        remote_url: the remote backend's address, without credentials; None where it has none or is named otherwise.
        extra_config: settings of connectors, by name.
    """

    connector: str | None
    chunk_size: int
    remote_url: str | None
    extra_config: Mapping[str, Any] = field(default_factory=dict)

    @property
    def bucket(self) -> tuple[str, str]:
        """Address and region of the bucket that the connector `s3` uses.

        Raises:
            HarnessError: it is not used.
        """
        url = urlsplit(self.remote_url or "")
        if url.scheme != "s3":
            raise HarnessError(f"LMCache's remote_url {self.remote_url!r} names no bucket")
        scheme = "http" if self.extra_config.get("disable_tls") else "https"
        return f"{scheme}://{url.netloc}", str(self.extra_config.get("s3_region"))

    @property
    def redis_url(self) -> str:
        """Where the clients `redis://` and `valkey://` find their server, for a client of Redis.

        LMCache's `valkey://` takes database and encryption from its settings (`connector/valkey_adapter.py`).
        """
        url = urlsplit(self.remote_url or "")
        if url.scheme != "valkey":
            return self.remote_url or ""
        scheme = "rediss" if self.extra_config.get("tls_enable") else "redis"
        return f"{scheme}://{url.netloc}/{self.extra_config.get('valkey_database', 0)}"

    @property
    def keys_per_chunk(self) -> int:
        """Keys that a client of Redis or Valkey writes for one chunk: data and description, or both in one."""
        return 1 if urlsplit(self.remote_url or "").scheme == "valkey" else 2

    @property
    def shared_folder(self) -> str | None:
        """The folder that the connector `fs` writes to, or None where it is not used."""
        if folder := self.extra_config.get("remote_storage_plugin.fs.base_path"):
            return str(folder)
        url = urlsplit(self.remote_url or "")
        return url.path if url.scheme == "fs" else None


def read_settings(
    arguments: Sequence[str], environment: Mapping[str, str], *, config_file: str | None
) -> LMCacheSettings:
    """Read LMCache's settings as LMCache itself would.

    Args:
        arguments: the predictor's command line.
        environment: its environment.
        config_file: text of the file that `LMCACHE_CONFIG_FILE` names, or None.

    Raises:
        HarnessError: the configuration file, or JSON in the environment or an argument, cannot be read.
    """
    config = _load(config_file)
    chunk_size = environment.get("LMCACHE_CHUNK_SIZE", config.get("chunk_size", DEFAULT_CHUNK_SIZE))
    try:
        tokens = int(chunk_size)
    except (TypeError, ValueError) as error:
        raise HarnessError(f"lmcache.chunkSize must be a number of tokens, not {chunk_size!r}") from error
    return LMCacheSettings(
        connector=_connector(arguments),
        chunk_size=tokens,
        remote_url=environment.get("REMOTE_BACKEND_URL")
        or environment.get("LMCACHE_REMOTE_URL")
        or config.get("remote_url"),
        extra_config=_extra_config(environment.get("LMCACHE_EXTRA_CONFIG"), config),
    )


def _extra_config(variable: str | None, config: Mapping[str, Any]) -> Mapping[str, Any]:
    """The variable's JSON replaces what the file says; nothing is merged."""
    if variable is None:
        return config.get("extra_config") or {}
    try:
        loaded = json.loads(variable)
    except ValueError as error:
        raise HarnessError(f"LMCACHE_EXTRA_CONFIG must be JSON, not {variable!r}") from error
    if not isinstance(loaded, Mapping):
        raise HarnessError("LMCACHE_EXTRA_CONFIG must be a JSON object of settings")
    return loaded


def _load(config_file: str | None) -> Mapping[str, Any]:
    if config_file is None:
        return {}
    try:
        loaded = yaml.safe_load(config_file) or {}
    except yaml.YAMLError as error:
        raise HarnessError(f"LMCache's configuration file is not YAML: {error}") from error
    if not isinstance(loaded, Mapping):
        raise HarnessError("LMCache's configuration file must hold a mapping of settings")
    return loaded


def _connector(arguments: Sequence[str]) -> str | None:
    for index, argument in enumerate(arguments):
        if argument == CONNECTOR_OPTION and index + 1 < len(arguments):
            return _connector_name(arguments[index + 1])
        if argument.startswith(f"{CONNECTOR_OPTION}="):
            return _connector_name(argument.split("=", 1)[1])
    return None


def _connector_name(value: str) -> str:
    try:
        return str(json.loads(value)["kv_connector"])
    except (ValueError, KeyError, TypeError) as error:
        raise HarnessError(f"{CONNECTOR_OPTION} must be JSON with kv_connector, not {value!r}") from error
