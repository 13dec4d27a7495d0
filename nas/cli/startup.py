"""Fast start of a command: imports without garbage collection, and deferred imports of unused libraries."""

from __future__ import annotations

import gc
import importlib.util
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from operator import attrgetter
from types import ModuleType
from typing import Any

DEFERRED: Mapping[str, Mapping[str, str]] = {"scipy.signal": {"hamming": "windows.hamming"}}
"""Modules that torchmetrics imports and no job uses, with the aliases that torchmetrics adds to them."""


@contextmanager
def fast_imports() -> Iterator[None]:
    """Disable garbage collection while packages are imported, because their objects are not garbage.

    Later collections also skip the objects of the packages. Nothing changes in a process that has already imported
    PyTorch, or that runs without garbage collection.
    """
    if "torch" in sys.modules or not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        if "torch" in sys.modules:
            gc.freeze()
        gc.enable()


def defer_imports() -> None:
    """Defer the modules of ``DEFERRED`` until they are used."""
    for name, aliases in DEFERRED.items():
        defer_import(name, aliases)


def defer_import(name: str, aliases: Mapping[str, str]) -> None:
    """Defer the code of the module ``name`` from its import to the first use of one of its names.

    A module that is already imported, or that cannot be found, does not change.

    Args:
        name: dotted name of a module in a package.
        aliases: additional names of the module, and the paths of their values below the module. A test with
            ``hasattr`` does not run the code of the module.
    """
    try:
        spec = importlib.util.find_spec(name)  # imports the package
    except ImportError:
        return
    if name in sys.modules or spec is None or spec.loader is None:
        return
    module = importlib.util.module_from_spec(spec)
    module.__dict__["_deferred"] = _Deferred(spec.loader.exec_module, aliases)
    module.__dict__.update({alias: _stand_in(module, path) for alias, path in aliases.items()})
    module.__class__ = DeferredModule
    sys.modules[name] = module
    parent, _, leaf = name.rpartition(".")
    setattr(sys.modules[parent], leaf, module)


class DeferredModule(ModuleType):
    """Module whose code runs at the first access to a missing name. Afterwards it is an ordinary module."""

    def __getattr__(self, name: str) -> Any:
        _run(self)
        return ModuleType.__getattribute__(self, name)

    def __dir__(self) -> list[str]:
        _run(self)
        return list(ModuleType.__dir__(self))


class _Deferred:
    """Code of a deferred module. One thread runs the code, and other threads wait."""

    def __init__(self, execute: Callable[[ModuleType], None], aliases: Mapping[str, str]) -> None:
        self._execute = execute
        self._aliases = aliases
        self._lock = threading.RLock()
        self._running = False

    def run(self, module: ModuleType) -> None:
        with self._lock:
            if self._running or "_deferred" not in module.__dict__:
                return
            self._running = True
            try:
                for alias in self._aliases:
                    module.__dict__.pop(alias, None)
                self._execute(module)
                for alias, path in self._aliases.items():
                    module.__dict__.setdefault(alias, attrgetter(path)(module))
                module.__class__ = ModuleType
                del module.__dict__["_deferred"]
            finally:
                self._running = False


def _run(module: ModuleType) -> None:
    deferred = module.__dict__.get("_deferred")
    if deferred is not None:
        deferred.run(module)


def _stand_in(module: ModuleType, path: str) -> Callable[..., Any]:
    """Return a function that calls the function at ``path`` below a module."""
    return lambda *args, **kwargs: attrgetter(path)(module)(*args, **kwargs)
