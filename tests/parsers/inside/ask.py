"""Asks the parsers of the environment that runs this, and writes what they do not know as the last line, JSON.

Standard input is JSON: `torch`, the release that stands in; `server`, the value of runtime.server; and `releases`, what
the chart rendered, by name. Each has `arguments`, `environment` and `config` of the predictor, `server` (arguments and
environment of `lmcache server`, or null) and `commands` of containers that run in the predictor's image.
"""

import json
import sys
from collections.abc import Iterator, Mapping
from typing import Any

import stand_in


def unknown(server: str, release: Mapping[str, Any]) -> Iterator[str]:
    """What the installed releases do not know of one rendered release."""
    import ask_lmcache  # noqa: PLC0415 - the stand-ins are installed first
    import ask_vllm  # noqa: PLC0415 - it imports vLLM, which needs the stand-ins

    yield from ask_vllm.arguments(server, release["arguments"])
    yield from ask_vllm.variables(release["environment"])
    transfer = ask_vllm.transfer(release["arguments"])
    if transfer is not None:
        yield from ask_vllm.connector(transfer)
        yield from ask_lmcache.connector(transfer.get("kv_connector_extra_config", {}))
        yield from ask_lmcache.in_process(release["environment"], release["config"])
    if release["server"] is not None:
        yield from ask_lmcache.server(release["server"]["arguments"], release["server"]["environment"])
    for command in release["commands"]:
        yield from ask_lmcache.program(command)


def main() -> int:
    """Read, ask and write."""
    asked = json.load(sys.stdin)
    stand_in.install(asked["torch"])
    answers = {name: list(unknown(asked["server"], release)) for name, release in asked["releases"].items()}
    sys.stdout.write(f"\n{json.dumps(answers)}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
