"""What the command line of a server says: its options, the served name, its routes.

A server is vLLM's own, KServe's around vLLM, or LMCache's. Source: argparse, which all three use, and vLLM's
`FlexibleArgumentParser`, which takes `_` for `-` in the names of options.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from lmcache_kserve.errors import HarnessError

_KSERVE_SERVER = "huggingfaceserver"
_NAME_OPTIONS = ("--served-model-name", "--model-name")
_OPTION = re.compile(r"--?[A-Za-z]")
_STAGES = (
    ("--tensor-parallel-size", "-tp"),
    ("--pipeline-parallel-size", "-pp"),
    ("--prefill-context-parallel-size", "-pcp"),
)
"""Options whose product is the number of workers of one copy of the model; vLLM calls it the world size."""

_COPIES = ("--data-parallel-size", "-dp")
_COPIES_HERE = ("--data-parallel-size-local", "-dpl")
_RANK = ("--data-parallel-rank", "-dpn")


@dataclass(frozen=True, slots=True)
class Workers:
    """Workers of one server.

    Attributes:
        world_size: workers that share one copy of the model; this number is part of every chunk's key.
        copies: copies of the model in this server, of its data parallelism.
    """

    world_size: int
    copies: int

    @property
    def count(self) -> int:
        """All workers, each with its own memory and disk tier."""
        return self.world_size * self.copies


def options(arguments: Sequence[str], *names: str) -> Iterator[str]:
    """Every value of an option, in order.

    Args:
        arguments: a command line.
        names: all names of the option, `--max-model-len`; found as `--max_model_len` too, its value behind `=` or in
            the next word.
    """
    wanted = {_dashed(name) for name in names}
    for index, argument in enumerate(arguments):
        _, equals, value = argument.partition("=")
        if _name(argument) not in wanted:
            continue
        if equals:
            yield value
        elif index + 1 < len(arguments) and not _OPTION.match(arguments[index + 1]):
            yield arguments[index + 1]


def option(arguments: Sequence[str], *names: str) -> str | None:
    """The value of an option, None without one. Of a repeated option the last value counts."""
    return next(reversed(list(options(arguments, *names))), None)


def workers(arguments: Sequence[str]) -> Workers:
    """Count the workers of a vLLM server as the chart does (templates/inference/_workers.tpl).

    Source: vLLM 0.32, `vllm/config/parallel.py` and `vllm/engine/arg_utils.py`.
    """
    world_size = 1
    for names in _STAGES:
        world_size *= _size(arguments, names)
    if _given(arguments, _RANK):
        return Workers(world_size, copies=1)
    return Workers(world_size, copies=_size(arguments, _COPIES_HERE if _given(arguments, _COPIES_HERE) else _COPIES))


def _size(arguments: Sequence[str], names: Sequence[str]) -> int:
    """A parallel size by the names of its option, 1 without a number."""
    size = option(arguments, *names)
    return max(1, int(size)) if size and size.isdecimal() else 1


def _given(arguments: Sequence[str], names: Sequence[str]) -> bool:
    return any(_name(argument) in names for argument in arguments)


def _name(argument: str) -> str:
    """The name of an option, with dashes; of another word the word."""
    return _dashed(argument.partition("=")[0])


def _dashed(name: str) -> str:
    return name.replace("_", "-")


def served_model_name(arguments: Sequence[str]) -> str:
    """The model name that requests carry.

    Raises:
        HarnessError: the command line does not name it.
    """
    for name in _NAME_OPTIONS:
        if (value := option(arguments, name)) is not None:
            return value
    raise HarnessError(f"the predictor's command line has none of {', '.join(_NAME_OPTIONS)}: set model.name")


def openai_prefix(arguments: Sequence[str], environment: Mapping[str, str]) -> str:
    """The path below which the OpenAI routes lie, without a trailing slash."""
    if _KSERVE_SERVER not in arguments:
        return "/v1"
    return environment.get("KSERVE_OPENAI_ROUTE_PREFIX", "/openai").rstrip("/") + "/v1"


def api_key(arguments: Sequence[str], environment: Mapping[str, str]) -> str:
    """The key that requests to the server carry; empty where the server asks for none.

    KServe's server asks for none. vLLM's own prefers its argument (vllm/entrypoints/serve/middleware, 0.32).
    """
    if _KSERVE_SERVER in arguments:
        return ""
    return (option(arguments, "--api-key") or environment.get("VLLM_API_KEY", "")).strip("\r\n")
