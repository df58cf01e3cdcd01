"""Commands that show what this test cannot see."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from settings import Settings

_SEED = '{.spec.containers[?(@.name=="kserve-container")].env[?(@.name=="PYTHONHASHSEED")].value}'
_SEEDS = f'{{range .items[*]}}{{.metadata.name}}{{"\\t"}}{_SEED}{{"\\n"}}{{end}}'


def of_pods(settings: Settings) -> list[str]:
    """How the state of the predictor's pods is seen."""
    return [_hint(settings, "get pods", "-o wide")]


def of_sharing(settings: Settings) -> list[str]:
    """How the causes of a chunk that is not found are told apart: LMCache's warnings or refusal, and the hash seeds."""
    return [
        _hint(settings, "logs", "-c kserve-container --prefix --tail=-1 | grep -E 'LMCache (WARNING|ERROR|is off)'"),
        _hint(settings, "get pods", f"-o jsonpath='{_SEEDS}'"),
    ]


def _hint(settings: Settings, verb: str, options: str) -> str:
    namespace, _, name = settings.service.partition("/")
    selector = f"serving.kserve.io/inferenceservice={name},component=predictor"
    return f"look at: kubectl {verb} -n {namespace} -l {selector} {options}"
