"""Puts the CPU connector where LMCache looks for one.

vLLM loads plugins before it replaces the missing triton by a stub; importing LMCache that early leaves modules bound to
the wrong one. So the plugin only leaves a note for the import system and acts when LMCache's factory module is loaded.
"""

import importlib.abc
import importlib.machinery
import importlib.util
import sys
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any

FACTORY_MODULE = "lmcache.v1.gpu_connector"
FACTORY = "CreateGPUConnector"
NO_CONNECTOR = "No supported cpu connector"  # LMCache 0.5.6, lmcache/v1/gpu_connector/__init__.py

_MARK = "_supplies_cpu_connector"


def register() -> None:
    """Entry point for vLLM; may run several times in one process."""
    loaded = sys.modules.get(FACTORY_MODULE)
    if loaded is not None:
        supply_cpu_connector(loaded)
    elif not any(isinstance(finder, _FactoryFinder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _FactoryFinder())


def supply_cpu_connector(factory_module: ModuleType) -> None:
    """Make LMCache's factory build the CPU connector where it has none of its own.

    The original factory is always asked first, so its checks apply and a connector that LMCache brings itself wins.
    """
    original: Callable[..., Any] = getattr(factory_module, FACTORY)
    if hasattr(original, _MARK):
        return

    # Parameter names are LMCache's: callers pass some by keyword.
    def create(config: Any, metadata: Any, engine: Any, layout_hints: Any = None) -> Any:  # noqa: ANN401 - the factory's types belong to LMCache
        try:
            return original(config, metadata, engine, layout_hints)
        except RuntimeError as error:
            if not str(error).startswith(NO_CONNECTOR):
                raise
        from lmcache_cpu_connector.connector import PagedCpuConnector  # noqa: PLC0415 - imports LMCache

        return PagedCpuConnector(config, metadata)

    setattr(create, _MARK, True)
    setattr(factory_module, FACTORY, create)


class _FactoryFinder(importlib.abc.MetaPathFinder):
    """Waits for LMCache's factory module, wraps its loader, and leaves."""

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None,  # noqa: ARG002 - the import system's signature
        target: ModuleType | None = None,  # noqa: ARG002 - the import system's signature
    ) -> importlib.machinery.ModuleSpec | None:
        """Find the factory module as the other finders do, and no other module."""
        if fullname != FACTORY_MODULE:
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(fullname)
        if spec is not None and spec.loader is not None:
            spec.loader = _SupplyingLoader(spec.loader)
        return spec


class _SupplyingLoader(importlib.abc.Loader):
    """The module's own loader, with one step after it."""

    def __init__(self, loader: importlib.abc.Loader) -> None:
        self._loader = loader

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType | None:
        """As the module's own loader does."""
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        """Run the module, then put the connector into it."""
        self._loader.exec_module(module)
        supply_cpu_connector(module)

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - inspect.getsource and importlib.resources ask the loader
        return getattr(self._loader, name)
