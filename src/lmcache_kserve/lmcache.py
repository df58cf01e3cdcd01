"""What LMCache was told by a predictor's command line, environment and configuration file.

Source: LMCache 0.5.6, `lmcache/v1/config.py` (fields, `LMCACHE_<FIELD>` names) and `lmcache/integration/vllm/utils.py`
(the environment overrides the file).
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

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
        remote_url: the remote backend's address, without credentials; None without a remote backend.
    """

    connector: str | None
    chunk_size: int
    remote_url: str | None


def read_settings(
    arguments: Sequence[str], environment: Mapping[str, str], *, config_file: str | None
) -> LMCacheSettings:
    """Read LMCache's settings as LMCache itself would.

    Args:
        arguments: the predictor's command line.
        environment: its environment.
        config_file: text of the file that `LMCACHE_CONFIG_FILE` names, or None.

    Raises:
        HarnessError: the configuration file or the connector's JSON cannot be read.
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
    )


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
