"""Puts the CPU connector where LMCache looks for one.

vLLM loads plugins before it replaces the missing triton by a stub; importing LMCache that early leaves modules bound to
the wrong one. So the plugin only leaves notes for the import system and acts when LMCache's modules are loaded.
"""

import functools
import importlib.abc
import importlib.machinery
import importlib.util
import sys
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any

MODULES = ("lmcache.v1.gpu_connector", "lmcache.integration.vllm.utils")
"""Where the functions below are defined. LMCache 0.4.2 has both names in the first module."""
FACTORY = "CreateGPUConnector"
NO_CONNECTOR = (
    "No supported cpu connector",  # LMCache 0.4.7 to 0.5.6, lmcache/v1/gpu_connector/__init__.py
    "No supported connector found for the current platform",  # LMCache 0.4.2 and 0.4.4, the same file
)
DEVICE = "get_vllm_torch_dev"
NO_DEVICE = "Unsupported device platform"  # LMCache 0.4.2 and 0.4.4, lmcache/integration/vllm/utils.py

_MARK = "_supplies_cpu_connector"


def register() -> None:
    """Entry point for vLLM; may run several times in one process."""
    for name in MODULES:
        loaded = sys.modules.get(name)
        if loaded is not None:
            supply_cpu(loaded)
        elif not any(isinstance(finder, _ModuleFinder) and finder.name == name for finder in sys.meta_path):
            sys.meta_path.insert(0, _ModuleFinder(name))


def supply_cpu(module: ModuleType) -> None:
    """Make the functions of an LMCache module serve CPUs. A release without these functions stays as it is."""
    for name, supplement in ((FACTORY, _with_connector), (DEVICE, _with_device)):
        original = getattr(module, name, None)
        if original is not None and not hasattr(original, _MARK):
            supplied = supplement(original)
            setattr(supplied, _MARK, True)
            setattr(module, name, supplied)


def _with_connector(original: Callable[..., Any]) -> Callable[..., Any]:
    """LMCache's factory of connectors, which builds the CPU connector where LMCache has none of its own.

    The original factory is always asked first, so its checks apply and a connector that LMCache brings itself wins.
    """

    # Parameter names are LMCache's: callers pass some by keyword. Releases differ in the further parameters.
    @functools.wraps(original)
    def create(config: Any, metadata: Any, *further: Any, **named: Any) -> Any:  # noqa: ANN401 - the factory's types belong to LMCache
        try:
            return original(config, metadata, *further, **named)
        except RuntimeError as error:
            if not str(error).startswith(NO_CONNECTOR):
                raise
        from lmcache_cpu_connector.connector import PagedCpuConnector  # noqa: PLC0415 - imports LMCache

        return PagedCpuConnector(config, metadata)

    return create


def _with_device(original: Callable[[], Any]) -> Callable[[], Any]:
    """LMCache's search for torch's device module and the device's name, which ends with the CPU's."""

    @functools.wraps(original)
    def find() -> Any:  # noqa: ANN401 - a module and a name, as LMCache returns them
        try:
            return original()
        except RuntimeError as error:
            if not str(error).startswith(NO_DEVICE):
                raise
        import torch  # noqa: PLC0415 - not before vLLM has imported torch

        return torch.cpu, "cpu"

    return find


class _ModuleFinder(importlib.abc.MetaPathFinder):
    """Waits for a module of LMCache, wraps the module's loader, and leaves."""

    def __init__(self, name: str) -> None:
        self.name = name

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None,  # noqa: ARG002 - the import system's signature
        target: ModuleType | None = None,  # noqa: ARG002 - the import system's signature
    ) -> importlib.machinery.ModuleSpec | None:
        """Find the module as the other finders do, and no other module."""
        if fullname != self.name:
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
        """Run the module, then let its functions serve CPUs."""
        self._loader.exec_module(module)
        supply_cpu(module)

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - inspect.getsource and importlib.resources ask the loader
        return getattr(self._loader, name)
