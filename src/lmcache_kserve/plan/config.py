"""Reads a model's `config.json`: a file, a model's folder, or a Hugging Face id where the hub can be reached."""

import json
import os
import re
import reprlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2

from lmcache_kserve.errors import HarnessError

HUB = "https://huggingface.co"
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
_TIMEOUT_S = 20.0
_NESTED = ("text_config", "llm_config", "language_config", "language_model", "thinker_config")
"""Keys below which a model of several modalities keeps the configuration of its language model."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """A model's configuration.

    Attributes:
        id: the Hugging Face id, or the file's name where no id is known.
        fields: what `config.json` says of the language model.
        source: where the fields were read, for people.
    """

    id: str
    fields: Mapping[str, Any]
    source: str


def read(model: str) -> Config:
    """Read the configuration of `--model`.

    Args:
        model: path of a `config.json` or of its folder, or a Hugging Face id.

    Raises:
        HarnessError: no configuration can be read there; the message names the option.
    """
    path = Path(model)
    try:
        file = path / "config.json" if path.is_dir() else path
        content = file.read_bytes() if file.is_file() else None
    except OSError as error:
        raise HarnessError(f"--model {reprlib.repr(model)} cannot be read: {error.strerror}") from error
    if content is not None:
        fields = _object(content, model)
        name = file.resolve().parent.name if file.stem == "config" else file.stem
        return Config(id=_id(fields) or name, fields=_language(fields), source=str(file))
    if not _HUB_ID.fullmatch(model):
        raise HarnessError(f"--model {model} is neither a config.json, nor a folder with one, nor a Hugging Face id")
    address = f"{HUB}/{model}/resolve/main/config.json"
    return Config(id=model, fields=_language(_object(_fetch(address, model), model)), source=address)


def _fetch(address: str, model: str) -> bytes:
    token = os.environ.get("HF_TOKEN")
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    try:
        response = httpx2.get(address, headers=headers, follow_redirects=True, timeout=_TIMEOUT_S)
    except httpx2.HTTPError as error:
        raise HarnessError(
            f"--model {model} is no file here, and {HUB} cannot be reached ({error}): give the path of a config.json"
        ) from error
    if response.status_code in {httpx2.codes.UNAUTHORIZED, httpx2.codes.FORBIDDEN}:
        raise HarnessError(f"--model {model} is gated: set HF_TOKEN to a token that may read it")
    if response.status_code != httpx2.codes.OK:
        raise HarnessError(f"--model {model} has no config.json: {address} answers {response.status_code}")
    return response.content


def _object(content: bytes, model: str) -> Mapping[str, Any]:
    try:
        loaded = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise HarnessError(f"--model {model} is not a config.json: {error}") from error
    if not isinstance(loaded, Mapping):
        raise HarnessError(f"--model {model} is not a config.json: it holds no object")
    return loaded


def _id(fields: Mapping[str, Any]) -> str:
    """The id that the model's authors wrote into the file; empty where there is none that can be printed."""
    stated = fields.get("_name_or_path")
    return stated if isinstance(stated, str) and stated.isprintable() else ""


def _language(fields: Mapping[str, Any]) -> Mapping[str, Any]:
    """The fields of the language model; what the whole model says counts where its part says nothing."""
    while part := next((part for key in _NESTED if isinstance(part := fields.get(key), Mapping)), None):
        outer = {name: value for name, value in fields.items() if not isinstance(value, Mapping)}
        kept = {name: fields[name] for name in ("quantization_config",) if name in fields}
        fields = {**outer, **kept, **part}
    return fields
