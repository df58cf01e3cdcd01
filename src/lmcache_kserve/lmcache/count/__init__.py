"""Counts what a remote backend holds: its stored objects and their bytes.

Each module is a program of its own and needs Python 3.10, not this package: where only a pod of the release reaches the
backend, the harness runs the module's text there. The programs print both numbers.
"""

import inspect
from types import ModuleType


def command(module: ModuleType, *arguments: str) -> list[str]:
    """The command that runs a module of this package, with its arguments, where the package is not installed."""
    return ["python3", "-c", inspect.getsource(module), *arguments]
