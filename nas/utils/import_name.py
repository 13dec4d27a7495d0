"""Import by dotted name, with separate errors for a missing module, a missing name and a failing module."""

from __future__ import annotations

import os
import pkgutil
import sys
import sysconfig
import traceback
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType
from typing import Any

from nas.utils.errors import NasError, nearest, one_line

MAX_TEXT = 300  # characters of the message of a failing module
MAX_NAMES = 12
"""Number of names of a module up to which a message lists them."""
_SIMILAR = 0.7
_INSTALLED = tuple(sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib"))


def import_name(key: str, name: str) -> Any:
    """Import the object of ``package.module:Name`` or ``package.module.Name``.

    Args:
        key: beginning of messages, such as ``space.model=package.module:Name``.
        name: the dotted name.

    Raises:
        NasError: if it is not a dotted name, a module does not exist or fails, or a module or class lacks the name.
    """
    module, colon, attribute = name.partition(":")
    parts = [*module.split("."), *(attribute.split(".") if colon else ())]
    if len(parts) < 2 or not all(part.isidentifier() for part in parts):
        raise NasError(f"{key}: '{name}' is not a dotted name. Write PACKAGE.MODULE.NAME.")
    path = module if colon else parts[0]
    found: Any = _import_module(key, path)
    for part in attribute.split(".") if colon else parts[1:]:
        found = _member(key, found, path, part)
        path = f"{path}.{part}"
    return found


def _import_module(key: str, name: str) -> ModuleType:
    try:
        return import_module(name)
    except (Exception, SystemExit) as error:  # whatever the code of the module raises
        missing = error.name if isinstance(error, ModuleNotFoundError) else None
        if missing is not None and f"{name}.".startswith(f"{missing}."):
            raise _no_module(key, missing) from None
        raise _failing(key, name, error) from error


def _member(key: str, owner: Any, path: str, name: str) -> Any:
    """Return an attribute of a module or class, or a module of a package."""
    try:
        return getattr(owner, name)
    except AttributeError:
        package = getattr(owner, "__name__", path)  # another one than the path, if a module imports it as X
        if hasattr(owner, "__path__") and find_spec(f"{package}.{name}") is not None:
            return _import_module(key, f"{package}.{name}")
        raise _no_member(key, owner, path, name) from None
    except Exception as error:  # of a module with __getattr__
        raise _failing(key, f"{path}.{name}", error) from error


def _no_module(key: str, name: str) -> NasError:
    parent, _, last = name.rpartition(".")
    near = nearest(last, _modules(sys.modules[parent] if parent else None), 1, _SIMILAR)
    hint = f" Did you mean '{near[0]}'?" if near else ""
    if parent:
        return NasError(f"{key}: '{parent}' has no module '{last}'.{hint or ' Correct the name.'}")
    if os.path.exists(f"{last}.py") or os.path.isdir(last):
        fix = f"It is in {os.getcwd()}, which Python does not search. Run export PYTHONPATH=$PWD first."
    else:
        fix = f"{'Otherwise install' if near else 'Install'} its package, or add its folder to PYTHONPATH."
    return NasError(f"{key}: there is no module '{last}'.{hint} {fix}")


def _no_member(key: str, owner: Any, path: str, name: str) -> NasError:
    public = [other for other in dir(owner) if not other.startswith("_")]
    modules = _modules(owner) if hasattr(owner, "__path__") else []
    near = nearest(name, sorted({*public, *modules}), 2, _SIMILAR)
    content = getattr(owner, "__dict__", {})  # getattr of all names would import the modules of a lazy package
    own = [other for other in public if getattr(content.get(other), "__module__", None) == path]
    fix = "Correct the name."
    if near:
        fix = f"Did you mean {' or '.join(repr(other) for other in near)}?"
    elif 0 < len(own) <= MAX_NAMES:
        fix = f"It defines {', '.join(own)}."
    kind = "module " if isinstance(owner, ModuleType) else ""
    return NasError(f"{key}: {kind}'{path}' has no '{name}'. {fix}")


def _failing(key: str, name: str, error: BaseException) -> NasError:
    text = f"{type(error).__name__}: {one_line(error)[:MAX_TEXT]}"
    missing = error.name if isinstance(error, ModuleNotFoundError) else None
    fix = "Correct it." if missing is None else f"Install the package of '{missing}', or correct the import."
    return NasError(f"{key}: module '{name}' exists, but its import fails ({text}{_place(error)}). {fix}")


def _place(error: BaseException) -> str:
    """Return the last line of the user's code in a traceback, for a message; "" if there is none."""
    if isinstance(error, SyntaxError):  # its message names the line
        return ""
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        if frame.filename not in ("", __file__) and not frame.filename.startswith(("<", *_INSTALLED)):
            return f"; {frame.filename}, line {frame.lineno}"
    return ""


def _modules(package: ModuleType | None) -> list[str]:
    """Return the names of the modules of a package, or of all top-level modules."""
    path = None if package is None else getattr(package, "__path__", [])
    return [module.name for module in pkgutil.iter_modules(path)]
