"""What the command line of a model server says about its routes: vLLM's own server, or KServe's around vLLM."""

from collections.abc import Mapping, Sequence

from lmcache_kserve.errors import HarnessError

_KSERVE_SERVER = "huggingfaceserver"
_NAME_OPTIONS = ("--served-model-name", "--model_name", "--model-name")


def served_model_name(arguments: Sequence[str]) -> str:
    """The model name that requests carry.

    Raises:
        HarnessError: the command line does not name it.
    """
    for index, argument in enumerate(arguments):
        option, equals, value = argument.partition("=")
        if option not in _NAME_OPTIONS:
            continue
        if equals:
            return value
        if index + 1 < len(arguments):
            return arguments[index + 1]
    raise HarnessError(f"the predictor's command line has none of {', '.join(_NAME_OPTIONS)}: set model.name")


def openai_prefix(arguments: Sequence[str], environment: Mapping[str, str]) -> str:
    """The path below which the OpenAI routes lie, without a trailing slash."""
    if _KSERVE_SERVER not in arguments:
        return "/v1"
    return environment.get("KSERVE_OPENAI_ROUTE_PREFIX", "/openai").rstrip("/") + "/v1"
