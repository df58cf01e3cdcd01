"""Lets the parsers of an installed vLLM read what the chart renders, and says what they do not know."""

import argparse
import ast
import contextlib
import dataclasses
import functools
import importlib
import importlib.util
import io
import json
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

TRANSFER = "--kv-transfer-config"
PREFIX = "VLLM_"
_LEFT_OUT = frozenset({"default", "type", "help", "formatter_class"})
HUGGINGFACESERVER = ("--model_dir", "--model_id", "--model_revision", "--tokenizer_revision", "--max_model_len")
"""Options that KServe's server adds before vLLM's.

Source: kserve/kserve, python/huggingfaceserver/huggingfaceserver/__main__.py. PyPI does not have that package. PyPI's
package kserve has the rest of the server's options.
"""


def arguments(server: str, given: Sequence[str]) -> Iterator[str]:
    """What a server does not know of its arguments."""
    parser = parser_of(server)
    complaint = io.StringIO()
    try:
        with contextlib.redirect_stderr(complaint):
            # KServe's server ignores what it does not know. vLLM's server refuses it.
            rest = parser.parse_known_args(list(given))[1] if server == "huggingfaceserver" else []
            if server != "huggingfaceserver":
                parser.parse_args(list(given))
    except (SystemExit, argparse.ArgumentError) as error:
        yield f"{server}: {complaint.getvalue().strip().rpartition('error: ')[2] or error!r}"
        return
    yield from (f"{server}: argument {argument}" for argument in rest)


@functools.cache
def parser_of(server: str) -> Any:
    """The argument parser of a server, made as the server makes it."""
    made = first("FlexibleArgumentParser", "vllm.utils.argparse_utils", "vllm.utils")
    make = first("make_arg_parser", "vllm.entrypoints.openai.cli_args", "vllm.entrypoints.launchers.cli_args")
    if server == "vllm":
        return make(made())
    parser = made(parents=[kserve_parser()])
    for option in HUGGINGFACESERVER:
        parser.add_argument(option)
    return make(parser)


def kserve_parser() -> argparse.ArgumentParser:
    """The options of KServe's model server, without the module around them, which needs much else."""
    found = importlib.util.find_spec("kserve")
    assert found is not None and found.origin is not None  # noqa: PT018 - one fact: KServe is installed
    text = (Path(found.origin).parent / "model_server.py").read_text(encoding="utf-8")
    statements = [node for node in ast.parse(text).body if _is_of_the_parser(node)]
    for statement in statements:
        for call in (node for node in ast.walk(statement) if isinstance(node, ast.Call)):
            # Defaults, converters and help texts need other modules, and say nothing about an option's name.
            call.keywords = [one for one in call.keywords if one.arg not in _LEFT_OUT]
    namespace: dict[str, Any] = {"argparse": argparse}
    exec(compile(ast.Module(statements, []), "model_server.py", "exec"), namespace)  # noqa: S102 - of the pinned wheel
    parser: argparse.ArgumentParser = namespace["parser"]
    return parser


def _is_of_the_parser(node: ast.stmt) -> bool:
    """Whether a statement makes the parser or adds an option to it."""
    if isinstance(node, ast.Assign):
        return ast.unparse(node).startswith("parser = argparse.ArgumentParser(")
    return isinstance(node, ast.Expr) and ast.unparse(node).startswith("parser.add_argument(")


def transfer(given: Sequence[str]) -> dict[str, Any] | None:
    """The value of `--kv-transfer-config`, or None without one."""
    for position, argument in enumerate(given):
        option, equals, text = argument.partition("=")
        if option == TRANSFER:
            value: dict[str, Any] = json.loads(text if equals else given[position + 1])
            return value
    return None


def connector(config: Mapping[str, Any]) -> Iterator[str]:
    """What vLLM does not know of a `--kv-transfer-config`, and whether vLLM takes the connector from where it says."""
    from vllm.config import KVTransferConfig  # noqa: PLC0415 - the stand-ins are installed first
    from vllm.distributed.kv_transfer.kv_connector.factory import KVConnectorFactory  # noqa: PLC0415 - vLLM needs the stand-ins

    known = {field.name for field in dataclasses.fields(KVTransferConfig)}
    yield from (f"{TRANSFER}: {key}" for key in config if key not in known)
    try:
        made = KVTransferConfig(**{key: value for key, value in config.items() if key in known})
    except Exception as error:  # noqa: BLE001 - whatever vLLM raises is the answer
        yield f"{TRANSFER}: {error!r}"
        return
    name, path = config["kv_connector"], config.get("kv_connector_module_path")
    if path is None:
        if name not in KVConnectorFactory._registry:  # noqa: SLF001 - nothing public lists vLLM's connectors
            yield f"{TRANSFER}: kv_connector {name}"
        return
    yield from _from_module(KVConnectorFactory, made, name, path)


def _from_module(factory: Any, config: Any, name: str, path: str) -> Iterator[str]:
    if path.startswith("lmcache.") and not _has(path, name):
        yield f"{TRANSFER}: {path} has no {name}"
    ours = type(name, (), {"__init__": lambda *_, **__: None})
    module = ModuleType(path)
    setattr(module, name, ours)
    before = sys.modules.get(path)
    sys.modules[path] = module
    try:
        taken = factory.get_connector_class(config)
    except Exception as error:  # noqa: BLE001 - whatever vLLM raises is the answer
        yield f"{TRANSFER}: {error!r}"
        return
    finally:
        del sys.modules[path]
        if before is not None:
            sys.modules[path] = before
    if taken is not ours:
        yield f"{TRANSFER}: vLLM takes its own {name}, not that of {path}"


def _has(path: str, name: str) -> bool:
    try:
        found = importlib.util.find_spec(path)
    except ImportError:
        return False
    if found is None or found.origin is None:
        return False
    return re.search(rf"\b{name}\b", Path(found.origin).read_text(encoding="utf-8")) is not None


def variables(environment: Mapping[str, str]) -> Iterator[str]:
    """What vLLM does not know of the environment."""
    from vllm import envs  # noqa: PLC0415 - the stand-ins are installed first

    for name in environment:
        if name.startswith(PREFIX) and name not in envs.environment_variables:
            yield f"variable {name}"


def first(name: str, *modules: str) -> Any:
    """What a name stands for in the first of the modules that has it; releases of vLLM move things.

    Raises:
        ImportError: none has it.
    """
    for module in modules:
        try:
            found = importlib.import_module(module)
        except ModuleNotFoundError as error:
            if not module.startswith(str(error.name)):
                raise
            continue
        if hasattr(found, name):
            return getattr(found, name)
    raise ImportError(f"{name} is in none of {', '.join(modules)}")
