"""What LMCache was told by a predictor's command line, environment and configuration file, or by its server's.

Source: LMCache 0.5.6, `lmcache/v1/config.py` (fields, `LMCACHE_<FIELD>` names), `lmcache/integration/vllm/utils.py`
(the environment overrides the file), and for mode multiprocess `lmcache/v1/multiprocess/config.py` and
`lmcache/v1/distributed/l2_adapters/`, resp_l2_adapter.py and native_plugin_l2_adapter.py.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode, urlsplit

import yaml

from lmcache_kserve.errors import HarnessError
from lmcache_kserve.lmcache.arguments import option, options
from lmcache_kserve.lmcache.count import resp

DEFAULT_CHUNK_SIZE = 256
CONNECTOR_OPTION = "--kv-transfer-config"
ADAPTER_OPTION = "--l2-adapter"
_OWN_CLIENTS = {"redis": "redis-py", "rediss": "redis-py", "valkey": "glide"}
"""LMCache's clients, by the scheme of the URL that selects one."""
DISK_MODULE = "bounded_disk"
"""Module of the chart's adapter for a disk tier, which stands beside that of the remote backend."""
_CERTIFICATES = {
    "direct_redis_ca": "ssl_ca_certs",
    "direct_redis_certificate": "ssl_certfile",
    "direct_redis_key": "ssl_keyfile",
}
"""Files of certificates: what files/direct_redis.py and redis-py call them."""


@dataclass(frozen=True, slots=True)
class LMCacheSettings:
    """The settings that a proof depends on.

    Attributes:
        connector: the vLLM connector of `--kv-transfer-config`, or None without one.
        chunk_size: tokens per cached chunk.
        remote_url: the remote backend's address, without credentials; None where LMCache takes no address. In mode
            multiprocess the scheme is the adapter's name.
        login: `username` and `password` for it, each where it has one.
        extra_config: settings of connectors by name; in mode multiprocess the adapter's settings, and those that it
            hands to a plugin.
    """

    connector: str | None
    chunk_size: int
    remote_url: str | None
    login: Mapping[str, str] = field(default_factory=dict, repr=False)
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
        """Where LMCache's clients find a server of Redis' protocol, for a client of Redis.

        LMCache's `valkey://` takes database and encryption from its settings (`connector/valkey_adapter.py`), the
        adapter `resp` knows neither. The certificates of the chart's own clients become options of redis-py.
        """
        if direct := self.extra_config.get("direct_redis_url"):
            options = {name: self.extra_config.get(key) for key, name in _CERTIFICATES.items()}
            if self.extra_config.get("direct_redis_verify") is False:
                options |= {"ssl_cert_reqs": "none", "ssl_check_hostname": "false"}
            query = urlencode({name: value for name, value in options.items() if value}, safe="/")
            return f"{direct}?{query}" if query else str(direct)
        url = urlsplit(self.remote_url or "")
        match url.scheme:
            case "valkey":
                scheme = "rediss" if self.extra_config.get("tls_enable") else "redis"
                return f"{scheme}://{url.netloc}/{self.extra_config.get('valkey_database', 0)}"
            case "resp":
                return f"redis://{url.netloc}/0"
        return self.remote_url or ""

    @property
    def client(self) -> str:
        """What reaches the backend: the chart's client `direct`, or by its name one of LMCache's own.

        LMCache's own is named by the URL's scheme, by the connector, or in mode multiprocess by the adapter's type.
        """
        if "direct_redis_url" in self.extra_config or any(
            str(self.extra_config.get(key, "")).startswith("direct") for key in ("type", "module_path")
        ):
            return "direct"
        scheme = urlsplit(self.remote_url or "").scheme
        return _OWN_CLIENTS.get(scheme, scheme) or ("fs" if self.shared_folder else "")

    @property
    def has_checksums(self) -> bool:
        """Whether the client sees that a chunk is not what was stored: LMCache's own clients do not."""
        return self.client == "direct"

    @property
    def entries_per_chunk(self) -> int:
        """Objects that one chunk of one worker adds: `redis://` stores data and description apart."""
        return 2 if urlsplit(self.remote_url or "").scheme in {"redis", "rediss"} else 1

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
    """Read the settings of mode in-process as LMCache itself would.

    Args:
        arguments: the predictor's command line.
        environment: its environment.
        config_file: text of the file that `LMCACHE_CONFIG_FILE` names, or None.

    Raises:
        HarnessError: the configuration file, or JSON in the environment or an argument, cannot be read.
    """
    config = _load(config_file)
    return LMCacheSettings(
        connector=_connector(arguments),
        chunk_size=_tokens(environment.get("LMCACHE_CHUNK_SIZE", config.get("chunk_size", DEFAULT_CHUNK_SIZE))),
        remote_url=environment.get("REMOTE_BACKEND_URL")
        or environment.get("LMCACHE_REMOTE_URL")
        or config.get("remote_url"),
        login=resp.login(environment),
        extra_config=_extra_config(environment.get("LMCACHE_EXTRA_CONFIG"), config),
    )


def read_server_settings(
    arguments: Sequence[str], server_arguments: Sequence[str], server_environment: Mapping[str, str]
) -> LMCacheSettings:
    """Read the settings of mode multiprocess, which the server holds.

    Args:
        arguments: the predictor's command line.
        server_arguments: the command line of `lmcache server`.
        server_environment: its environment.

    Raises:
        HarnessError: the connector's or an adapter's JSON cannot be read.
    """
    adapters = [_json(value, ADAPTER_OPTION, "type") for value in options(server_arguments, ADAPTER_OPTION)]
    remote = [adapter for adapter in adapters if adapter.get("module_path") != DISK_MODULE]
    adapter = remote[0] if remote else {}
    return LMCacheSettings(
        connector=_connector(arguments),
        chunk_size=_tokens(option(server_arguments, "--chunk-size") or DEFAULT_CHUNK_SIZE),
        remote_url=_adapter_url(adapter),
        login=resp.login(server_environment),
        extra_config={**adapter, **adapter.get("adapter_params", {})},
    )


def _adapter_url(adapter: Mapping[str, Any]) -> str | None:
    match adapter.get("type"):
        case "resp":
            return f"resp://{adapter['host']}:{adapter['port']}"
        case "s3":
            return str(adapter["s3_endpoint"])
        case "fs":
            return f"fs://{adapter['base_path']}"
    return None


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


def _tokens(chunk_size: object) -> int:
    try:
        return int(str(chunk_size))
    except ValueError as error:
        raise HarnessError(f"lmcache.chunkSize must be a number of tokens, not {chunk_size!r}") from error


def _connector(arguments: Sequence[str]) -> str | None:
    value = option(arguments, CONNECTOR_OPTION)
    return None if value is None else str(_json(value, CONNECTOR_OPTION, "kv_connector")["kv_connector"])


def _json(value: str, option: str, needed: str) -> Mapping[str, Any]:
    try:
        document = json.loads(value)
        document[needed]
    except (ValueError, KeyError, TypeError) as error:
        raise HarnessError(f"{option} must be JSON with {needed}, not {value!r}") from error
    found: Mapping[str, Any] = document
    return found
