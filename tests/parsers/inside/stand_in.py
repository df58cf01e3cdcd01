"""Stand-ins for torch: modules and classes that have every name and compute nothing.

The parsers of vLLM and LMCache import torch with their modules, but need no tensor. A stand-in only lets these imports
pass. It is never asked for a value that decides whether a parser knows an option or a key. The compiled modules of both
packages link to torch, so that stand-ins take their places too.
"""

import importlib.abc
import importlib.machinery
import inspect
import sys
from collections.abc import Callable
from types import FunctionType, MethodType, ModuleType
from typing import Any, Protocol

ROOTS = frozenset(
    {
        "awscrt",
        "gguf",
        "llguidance",
        "numba",
        "outlines_core",
        "torch",
        "torchaudio",
        "torchvision",
        "triton",
        "xgrammar",
    }
)
"""torch, what needs torch, and what only reads weights, constrains answers or talks to S3: no option is there."""

COMPILED = frozenset({"lmcache", "vllm"})
"""Packages whose compiled modules link to torch."""


def _infer_schema(function: Callable[..., Any], **_: Any) -> str:
    """Say how many tensors a function returns, which vLLM reads while it is imported."""
    returned = str(inspect.signature(function).return_annotation).count("Tensor")
    return f"() -> ({', '.join(['Tensor'] * returned)})"


KNOWN = {
    "torch.cuda.is_available": lambda: False,
    "torch.cuda.device_count": lambda: 0,
    "torch.library.infer_schema": _infer_schema,
    "torch.version.cuda": None,
    "torch.version.hip": None,
    "torch.version.xpu": None,
}
"""What code asks while it is imported, in order to choose between devices."""


class _Meta(type(Protocol)):  # type: ignore[misc]  # so that a stand-in and a Protocol can be bases of one class
    """Classes that have every attribute: each is such a class too."""

    def __getattr__(cls, name: str) -> Any:
        # A class that somebody derives from a stand-in has its own names only.
        if name.startswith("__") or "_stands_for" not in vars(cls):
            raise AttributeError(name)
        found = _value(f"{cls._stands_for}.{name}")
        setattr(cls, name, found)
        return found

    @property
    def __members__(cls) -> dict[str, Any]:
        """Of a stand-in for an enumeration."""
        return {}

    def __bool__(cls) -> bool:
        return "_stands_for" not in vars(cls)

    def __iter__(cls) -> Any:
        return iter(())

    def __int__(cls) -> int:
        return 0

    __index__ = __len__ = __int__

    def __float__(cls) -> float:
        return 0.0

    def _same(cls, *_: Any) -> Any:
        return cls

    def _no(cls, *_: Any) -> bool:
        return False

    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = __truediv__ = __neg__ = __pow__ = __getitem__ = _same
    __lt__ = __le__ = __gt__ = __ge__ = _no


class Thing(metaclass=_Meta):
    """A stand-in for a class and for its objects."""

    _stands_for = "Thing"

    def __new__(cls, *args: Any, **_: Any) -> Any:
        """Make an object; a decorator returns what it decorates."""
        if "_stands_for" in vars(cls) and len(args) == 1 and isinstance(args[0], FunctionType | MethodType):
            return args[0]
        return super().__new__(cls)

    def __init__(self, *_: Any, **__: Any) -> None:
        """Take everything."""

    def __init_subclass__(cls, **_: Any) -> None:
        """Take every option of a class statement."""

    def __call__(self, *args: Any, **_: Any) -> Any:
        """Decorate, or return an object."""
        return args[0] if len(args) == 1 and callable(args[0]) else self

    def __getattr__(self, name: str) -> Any:
        """Every attribute of the class itself; none of a class that somebody derived."""
        if name.startswith("__") or "_stands_for" not in vars(type(self)):
            raise AttributeError(name)
        return getattr(type(self), name)

    def __enter__(self) -> Any:
        return self

    def __exit__(self, *_: object) -> None:
        """Do nothing."""

    def __iter__(self) -> Any:
        return iter(())

    def __len__(self) -> int:
        return 0

    def __bool__(self) -> bool:
        return "_stands_for" not in vars(type(self))

    def __int__(self) -> int:
        return 0

    __index__ = __int__

    def __float__(self) -> float:
        return 0.0

    def _same(self, *_: Any) -> Any:
        return self

    def _no(self, *_: Any) -> bool:
        return False

    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = __truediv__ = __neg__ = __pow__ = __getitem__ = _same
    __lt__ = __le__ = __gt__ = __ge__ = _no

    @classmethod
    def __class_getitem__(cls, _: Any) -> Any:
        return cls

    @classmethod
    def __get_pydantic_core_schema__(cls, *_: Any) -> Any:
        """Let pydantic take any value for a field of torch's types."""
        from pydantic_core import core_schema  # noqa: PLC0415 - the environment's own, and not every release needs it

        return core_schema.any_schema()


def _value(name: str) -> Any:
    if name in KNOWN:
        return KNOWN[name]
    return _Meta(name.rpartition(".")[2], (Thing,), {"_stands_for": name, "__module__": name.rpartition(".")[0]})


class _Module(ModuleType):
    """A module that has every name."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        found = _value(f"{self.__name__}.{name}")
        setattr(self, name, found)
        return found


class _Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds every module below the roots."""

    def __init__(self, version: str) -> None:
        self._version = version

    def find_spec(self, fullname: str, path: Any = None, _: Any = None) -> importlib.machinery.ModuleSpec | None:
        """Find torch, and what is compiled against torch."""
        root = fullname.partition(".")[0]
        if root in COMPILED and path is not None:
            real = importlib.machinery.PathFinder.find_spec(fullname, path)
            if real is None or not isinstance(real.loader, importlib.machinery.ExtensionFileLoader):
                return None
        elif root not in ROOTS:
            return None
        return importlib.machinery.ModuleSpec(fullname, self, is_package=True)

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType:
        return _Module(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        module.__version__ = self._version  # type: ignore[attr-defined]  # typeshed knows no __version__ of modules
        module.__file__ = f"{module.__name__}.py"


def install(version: str) -> None:
    """Put the stand-ins before everything that may be installed.

    Args:
        version: what `torch.__version__` is.
    """
    sys.meta_path.insert(0, _Finder(version))
