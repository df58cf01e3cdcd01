"""What the command line of a server says: its options, the served name, its routes.

A server is vLLM's own, KServe's around vLLM, or LMCache's. Source: argparse, which all three use, and vLLM's
`FlexibleArgumentParser`, which takes `_` for `-` in the names of options.
"""

from collections.abc import Iterator, Mapping, Sequence

from lmcache_kserve.errors import HarnessError

_KSERVE_SERVER = "huggingfaceserver"
_NAME_OPTIONS = ("--served-model-name", "--model-name")


def options(arguments: Sequence[str], name: str) -> Iterator[str]:
    """Every value of an option, in order.

    Args:
        arguments: a command line.
        name: the option, `--max-model-len`; found as `--max_model_len` too, its value behind `=` or in the next word.
    """
    wanted = _dashed(name)
    for index, argument in enumerate(arguments):
        key, equals, value = argument.partition("=")
        if not key.startswith("--") or _dashed(key) != wanted:
            continue
        if equals:
            yield value
        elif index + 1 < len(arguments) and not arguments[index + 1].startswith("--"):
            yield arguments[index + 1]


def option(arguments: Sequence[str], name: str) -> str | None:
    """The value of an option, None without one. Of a repeated option the last value counts."""
    return next(reversed(list(options(arguments, name))), None)


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
