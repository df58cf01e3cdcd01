import json

import pytest

from lmcache_kserve.errors import HarnessError
from lmcache_kserve.lmcache.settings import read_server_settings, read_settings

CONNECTOR = '{"kv_connector":"LMCacheConnectorV1","kv_role":"kv_both"}'


@pytest.mark.parametrize("arguments", [["--kv-transfer-config", CONNECTOR], [f"--kv-transfer-config={CONNECTOR}"]])
def test_the_connector_is_read_from_either_form_of_the_option(arguments: list[str]) -> None:
    assert read_settings(arguments, {}, config_file=None).connector == "LMCacheConnectorV1"


def test_a_command_line_without_the_option_has_no_connector() -> None:
    assert read_settings(["--model=x"], {}, config_file=None).connector is None


def test_the_environment_overrides_the_file() -> None:
    settings = read_settings([], {"LMCACHE_CHUNK_SIZE": "128"}, config_file="chunk_size: 512\nremote_url: lm://a:1\n")
    assert (settings.chunk_size, settings.remote_url) == (128, "lm://a:1")


def test_the_url_without_credentials_is_preferred() -> None:
    environment = {"REMOTE_BACKEND_URL": "redis://a:1/0", "LMCACHE_REMOTE_URL": "redis://:secret@a:1/0"}
    assert read_settings([], environment, config_file=None).remote_url == "redis://a:1/0"


def test_lmcaches_own_default_holds_where_nothing_is_said() -> None:
    assert read_settings([], {}, config_file=None).chunk_size == 256


def test_settings_of_connectors_in_the_environment_replace_those_in_the_file() -> None:
    file = "extra_config:\n  a: 1\n"
    assert read_settings([], {}, config_file=file).extra_config == {"a": 1}
    assert read_settings([], {"LMCACHE_EXTRA_CONFIG": '{"b": 2}'}, config_file=file).extra_config == {"b": 2}


@pytest.mark.parametrize(
    ("file", "bucket"),
    [
        ("remote_url: s3://kv.a.com\nextra_config: {s3_region: eu}\n", ("https://kv.a.com", "eu")),
        ("remote_url: s3://kv.a:9\nextra_config: {s3_region: eu, disable_tls: true}\n", ("http://kv.a:9", "eu")),
    ],
)
def test_the_bucket_is_read_with_its_region(file: str, bucket: tuple[str, str]) -> None:
    assert read_settings([], {}, config_file=file).bucket == bucket


def test_another_backend_has_no_bucket() -> None:
    with pytest.raises(HarnessError, match="names no bucket"):
        _ = read_settings([], {}, config_file="remote_url: redis://a:1\n").bucket


@pytest.mark.parametrize(
    ("file", "url", "keys"),
    [
        ("remote_url: redis://a:1/2?socket_timeout=1\n", "redis://a:1/2?socket_timeout=1", 2),
        ("remote_url: valkey://a:1\n", "redis://a:1/0", 1),
        ("extra_config: {direct_redis_url: 'rediss://a:1/2', direct_redis_verify: true}\n", "rediss://a:1/2", 1),
        (
            "extra_config: {direct_redis_url: 'rediss://a:1/2', direct_redis_ca: /a, direct_redis_certificate: /b}\n",
            "rediss://a:1/2?ssl_ca_certs=/a&ssl_certfile=/b",
            1,
        ),
        (
            "extra_config: {direct_redis_url: 'rediss://a:1/0', direct_redis_verify: false}\n",
            "rediss://a:1/0?ssl_cert_reqs=none&ssl_check_hostname=false",
            1,
        ),
        (
            "remote_url: valkey://a:1\nextra_config: {valkey_database: 3, tls_enable: true}\n",
            "rediss://a:1/3",
            1,
        ),
    ],
)
def test_a_client_of_redis_finds_the_server_of_either_client_of_lmcache(file: str, url: str, keys: int) -> None:
    settings = read_settings([], {}, config_file=file)
    assert (settings.redis_url, settings.entries_per_chunk) == (url, keys)


@pytest.mark.parametrize(
    ("file", "folder"),
    [
        ("extra_config:\n  remote_storage_plugin.fs.base_path: /shared\n", "/shared"),
        ("remote_url: fs://localhost:0/shared\n", "/shared"),
        ("remote_url: redis://localhost:1/0\n", None),
        ("chunk_size: 16\n", None),
    ],
)
def test_the_shared_folder_is_read_from_either_form(file: str, folder: str | None) -> None:
    assert read_settings([], {}, config_file=file).shared_folder == folder


def test_credentials_are_read_as_the_launcher_reads_them() -> None:
    environment = {"REMOTE_BACKEND_USERNAME": "cache", "REMOTE_BACKEND_PASSWORD": "secret\r\n"}
    settings = read_settings([], environment, config_file=None)
    assert settings.login == {"username": "cache", "password": "secret"}
    assert "secret" not in repr(settings)


SERVER = ["python3", "mp_server.py", "--", "--chunk-size=128", "--l2-adapter"]
RESP = '{"type":"resp","host":"cache","port":6379}'


def test_in_mode_multiprocess_the_server_holds_the_settings() -> None:
    connector = '{"kv_connector":"LMCacheMPConnector"}'
    settings = read_server_settings(
        ["--kv-transfer-config", connector], [*SERVER, RESP], {"LMCACHE_RESP_PASSWORD": "secret\n"}
    )
    assert (settings.connector, settings.chunk_size) == ("LMCacheMPConnector", 128)
    assert (settings.remote_url, settings.login) == ("resp://cache:6379", {"password": "secret"})


def test_the_servers_other_adapters_are_read_as_the_connectors_of_their_kind() -> None:
    assert read_server_settings([], [*SERVER, '{"type":"fs","base_path":"/a"}'], {}).shared_folder == "/a"
    bucket = '{"type":"s3","s3_endpoint":"s3://kv.s3.example","s3_region":"eu-central-1","disable_tls":false}'
    assert read_server_settings([], [*SERVER, bucket], {}).bucket == ("https://kv.s3.example", "eu-central-1")


def test_a_disk_tier_of_the_server_is_no_remote_backend() -> None:
    disk = json.dumps({"type": "plugin", "module_path": "bounded_disk", "adapter_params": {"base_path": "/disk"}})
    alone = read_server_settings([], [*SERVER, disk], {})
    assert (alone.remote_url, alone.extra_config) == (None, {})
    beside = read_server_settings([], [*SERVER, disk, "--l2-adapter", '{"type":"fs","base_path":"/shared"}'], {})
    assert beside.remote_url == "fs:///shared"


def test_a_plugin_of_the_server_is_read_as_the_same_client_of_mode_in_process() -> None:
    plugin = '{"type":"native_plugin","class_name":"A","adapter_params":{"direct_redis_url":"rediss://a:1/3"}}'
    settings = read_server_settings([], [*SERVER, plugin], {"LMCACHE_RESP_PASSWORD": "secret\n"})
    assert (settings.redis_url, settings.entries_per_chunk) == ("rediss://a:1/3", 1)
    assert settings.login == {"password": "secret"}
    assert settings.extra_config["class_name"] == "A", "the adapter cannot be made of its settings any more"


def test_a_server_without_an_adapter_has_no_remote_backend() -> None:
    assert read_server_settings([], [*SERVER, '{"type":"mock"}'], {}).remote_url is None
    assert read_server_settings([], ["lmcache", "server"], {}).chunk_size == 256


def test_an_adapter_that_cannot_be_read_is_refused() -> None:
    with pytest.raises(HarnessError, match="--l2-adapter must be JSON with type"):
        read_server_settings([], [*SERVER, "{}"], {})


@pytest.mark.parametrize(
    ("arguments", "environment", "config_file", "message"),
    [
        ([], {"LMCACHE_CHUNK_SIZE": "many"}, None, "lmcache.chunkSize must be a number of tokens, not 'many'"),
        ([], {"LMCACHE_EXTRA_CONFIG": "a"}, None, "LMCACHE_EXTRA_CONFIG must be JSON"),
        ([], {"LMCACHE_EXTRA_CONFIG": "[]"}, None, "LMCACHE_EXTRA_CONFIG must be a JSON object"),
        ([], {}, "- a\n- b\n", "must hold a mapping"),
        ([], {}, "a: [", "not YAML"),
        (["--kv-transfer-config", "{}"], {}, None, "kv_connector"),
    ],
)
def test_unreadable_settings_are_refused(
    arguments: list[str], environment: dict[str, str], config_file: str | None, message: str
) -> None:
    with pytest.raises(HarnessError, match=message):
        read_settings(arguments, environment, config_file=config_file)


@pytest.mark.parametrize(
    ("file", "client"),
    [
        ("remote_url: redis://a:1\n", "redis-py"),
        ("remote_url: valkey://a:1\n", "glide"),
        ("remote_url: lm://a:1\n", "lm"),
        ("remote_storage_plugins: [fs]\nextra_config: {remote_storage_plugin.fs.base_path: /a}\n", "fs"),
        ("extra_config: {direct_redis_url: 'redis://a:1/2'}\n", "direct"),
        ("", ""),
    ],
)
def test_the_client_follows_from_the_configuration_and_only_the_charts_has_checksums(file: str, client: str) -> None:
    settings = read_settings([], {}, config_file=file)
    assert settings.client == client
    assert settings.has_checksums == (client == "direct")


@pytest.mark.parametrize(
    ("adapter", "client"),
    [
        ('{"type":"resp","host":"a","port":1}', "resp"),
        ('{"type":"fs","base_path":"/a"}', "fs"),
        ('{"type":"plugin","module_path":"direct_l2","class_name":"Adapter"}', "direct"),
        ('{"type":"direct"}', "direct"),
    ],
)
def test_the_client_of_a_server_is_its_adapter(adapter: str, client: str) -> None:
    assert read_server_settings([], ["--l2-adapter", adapter], {}).client == client
