"""Lets the parsers of an installed LMCache read what the chart renders, and says what they do not know."""

import argparse
import contextlib
import functools
import importlib.util
import io
import json
import logging
import os
import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

PREFIX = "LMCACHE_"
MP_PREFIX = "lmcache.mp."
PLUGIN_PREFIX = "remote_storage_plugin."
ADAPTER = "--l2-adapter"


def in_process(environment: Mapping[str, str], config: Mapping[str, Any] | None) -> Iterator[str]:
    """What LMCache inside vLLM does not know of its file and its environment.

    Source: `lmcache_get_or_create_config` of lmcache/integration/vllm/utils.py, which loads the file and then lets the
    environment override it.
    """
    from lmcache.v1.config import LMCacheEngineConfig  # noqa: PLC0415 - the stand-ins are installed first

    loaded, said = None, []
    with warnings_into(said), variables({name: text for name, text in environment.items() if name.startswith(PREFIX)}):
        try:
            loaded = LMCacheEngineConfig.from_env()
            if config is not None:
                with tempfile.TemporaryDirectory() as folder:
                    file = Path(folder) / "lmcache_config.yaml"
                    file.write_text(yaml.safe_dump(dict(config)), encoding="utf-8")
                    loaded = LMCacheEngineConfig.from_file(str(file))
                loaded.update_config_from_env()
        except Exception as error:  # noqa: BLE001 - whatever LMCache raises is the answer
            yield f"LMCache's configuration: {error!r}"
            return
    yield from (f"LMCache's configuration: {text}" for text in said)
    fields = set(vars(loaded))
    for name in environment:
        key = name.removeprefix(PREFIX).lower()
        if not name.startswith(PREFIX):
            continue
        if key not in fields and not names(name):
            yield f"variable {name}"
        elif getattr(loaded, key, "") is None:
            yield f"variable {name}: no value was read"
    for key, wanted in (config or {}).items():
        if key not in fields:
            yield f"key {key}"
        elif wanted is not None and getattr(loaded, key) is None:
            yield f"key {key}: {wanted!r} is not a value"
    yield from (f"setting {key}" for key in loaded.extra_config or {} if not knows_setting(key))


def knows_setting(key: str) -> bool:
    """Whether a connector reads a key of `extra_config`: as a literal, below its plugin's name, or by a prefix."""
    if key.startswith(PLUGIN_PREFIX):
        # LMCache puts the plugin's name into the middle of a format.
        return re.search(rf"{re.escape(PLUGIN_PREFIX)}[^\"']*\.{key.rpartition('.')[2]}[\"']", source()) is not None
    # The Mooncake connector hands on every key with this prefix.
    return names(key) or (key.startswith("mooncake_") and names('"mooncake_"'))


def connector(extra: Mapping[str, Any]) -> Iterator[str]:
    """What the connector of mode multiprocess does not know of `kv_connector_extra_config`."""
    for key in extra:
        if not key.startswith(MP_PREFIX) or not word(key.removeprefix(MP_PREFIX), below="integration/vllm"):
            yield f"--kv-transfer-config: kv_connector_extra_config has {key}"


def server(arguments: Sequence[str], environment: Mapping[str, str]) -> Iterator[str]:
    """What `lmcache server` does not know of its arguments and its environment."""
    try:
        parser = server_parser()
    except ImportError as error:
        yield f"lmcache server: {error}"
        return
    complaint = io.StringIO()
    try:
        with contextlib.redirect_stderr(complaint):
            known, rest = parser.parse_known_args(list(arguments))
    except SystemExit:
        yield f"lmcache server: {complaint.getvalue().strip().rpartition('error: ')[2]}"
        return
    yield from (f"lmcache server: argument {argument}" for argument in rest)
    yield from read_by_the_server(known)
    for position, argument in enumerate(arguments):
        option, equals, text = argument.partition("=")
        if option == ADAPTER:
            yield from adapter(json.loads(text if equals else arguments[position + 1]))
    yield from (
        f"lmcache server: variable {name}" for name in environment if name.startswith(PREFIX) and not names(name)
    )


@functools.cache
def server_parser() -> argparse.ArgumentParser:
    """The parser of `lmcache server`.

    Raises:
        ImportError: this LMCache has no such command, or its parser could not be made.
    """
    from lmcache.cli.commands.server import ServerCommand  # noqa: PLC0415 - the stand-ins are installed first

    parser = argparse.ArgumentParser("lmcache server")
    ServerCommand().add_arguments(parser)
    # Where an import fails, LMCache leaves out all options and says so in its log only.
    if "--l1-size-gb" not in parser.format_help():
        raise ImportError("the options of the server could not be imported")
    return parser


def read_by_the_server(known: argparse.Namespace) -> Iterator[str]:
    """What the server refuses when it turns its arguments into configurations."""
    from lmcache.v1.distributed import config as storage  # noqa: PLC0415 - the stand-ins are installed first
    from lmcache.v1.multiprocess import config as multiprocess  # noqa: PLC0415 - LMCache needs the stand-ins

    for module in (storage, multiprocess):
        for name in sorted(vars(module)):
            if re.fullmatch(r"parse_args_to_(mp_server_|http_frontend_|coordinator_)?config", name):
                try:
                    getattr(module, name)(known)
                except Exception as error:  # noqa: BLE001 - whatever LMCache raises is the answer
                    yield f"lmcache server, {name}: {error!r}"


class _Read(dict[str, Any]):
    """A dict that remembers which of its keys somebody asked for."""

    def __init__(self, content: Mapping[str, Any]) -> None:
        super().__init__(content)
        self.asked: set[str] = set()

    def get(self, key: str, default: Any = None) -> Any:
        self.asked.add(key)
        return super().get(key, default)

    def pop(self, key: str, *default: Any) -> Any:
        self.asked.add(key)
        return super().pop(key, *default)

    def __getitem__(self, key: str) -> Any:
        self.asked.add(key)
        return super().__getitem__(key)


def adapter(settings: Mapping[str, Any]) -> Iterator[str]:
    """What an L2 adapter never reads of its settings."""
    from lmcache.v1.distributed.l2_adapters import config  # noqa: PLC0415 - the stand-ins are installed first

    kind = settings["type"]
    if hasattr(config, "_ensure_config_loaded"):
        config._ensure_config_loaded(kind)  # noqa: SLF001 - as LMCache's own parser does
    known = config._L2_ADAPTER_CONFIG_REGISTRY  # noqa: SLF001 - nothing public says which adapters there are
    if kind not in known:
        yield f"{ADAPTER}: type {kind}"
        return
    read = _Read(settings)
    try:
        known[kind].from_dict(read)
    except Exception as error:  # noqa: BLE001 - whatever LMCache raises is the answer
        yield f"{ADAPTER} {kind}: {error!r}"
        return
    yield from (f"{ADAPTER} {kind}: setting {key}" for key in settings if key != "type" and key not in read.asked)


def program(command: Sequence[str]) -> Iterator[str]:
    """What LMCache does not bring of a container's command."""
    from importlib.metadata import entry_points  # noqa: PLC0415 - used here only

    if command[0].startswith("lmcache") and command[0] not in entry_points(group="console_scripts").names:
        yield f"program {command[0]}"


@contextlib.contextmanager
def variables(wanted: Mapping[str, str]) -> Iterator[None]:
    """Set LMCache's variables, and no others of LMCache, for the time of a `with` block."""
    before = {name: os.environ.pop(name) for name in list(os.environ) if name.startswith(PREFIX)}
    os.environ.update(wanted)
    try:
        yield
    finally:
        for name in wanted:
            os.environ.pop(name, None)
        os.environ.update(before)


@contextlib.contextmanager
def warnings_into(said: list[str]) -> Iterator[None]:
    """Collect what LMCache warns of, whichever logger says it."""
    make = logging.getLogRecordFactory()

    def record(*args: Any, **kwargs: Any) -> logging.LogRecord:
        made = make(*args, **kwargs)
        if made.levelno >= logging.WARNING and made.name.startswith("lmcache"):
            said.append(made.getMessage())
        return made

    logging.setLogRecordFactory(record)
    try:
        yield
    finally:
        logging.setLogRecordFactory(make)


@functools.cache
def source(below: str = "") -> str:
    """The text of all modules of the installed LMCache, or of those in one folder."""
    found = importlib.util.find_spec("lmcache")
    assert found is not None and found.origin is not None  # noqa: PT018 - one fact: LMCache is installed
    files = sorted((Path(found.origin).parent / below).rglob("*.py"))
    return "\n".join(file.read_text(encoding="utf-8") for file in files if "tests" not in file.parts)


@functools.cache
def names(text: str) -> bool:
    """Whether a module of LMCache has the text."""
    return text in source()


@functools.cache
def word(text: str, *, below: str) -> bool:
    """Whether a module of LMCache in a folder has the word."""
    return re.search(rf"\b{re.escape(text)}\b", source(below)) is not None
