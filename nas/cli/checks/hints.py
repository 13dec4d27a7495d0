"""Values of the configuration against the type hints of the options that they set."""

from __future__ import annotations

import inspect
import types
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any

UNIONS = (types.UnionType, typing.Union)
SCALARS = {int: "a whole number", float: "a number", bool: "true or false"}
TEXTS = (str, Path)
OBJECT = "keys with _target_"


def accepts(hint: Any, value: Any) -> bool:
    """Return whether a value of a yaml file can be an argument with a type hint; True for a hint that is not known.

    A mapping with ``_target_`` becomes an object before the call, so it fits every class. A reference fits every hint.
    """
    if isinstance(value, str) and "${" in value:
        return True
    origin, parts = typing.get_origin(hint), typing.get_args(hint)
    if origin in UNIONS:
        return any(accepts(part, value) for part in parts)
    if origin is typing.Literal:
        return value in parts
    if hint in SCALARS:
        return fits(hint, value)
    if hint in TEXTS:
        return isinstance(value, TEXTS)
    kind = origin or hint
    if not inspect.isclass(kind) or kind in (Any, object):
        return True
    if value is None or kind is type(None):
        return value is None and kind is type(None)
    if getattr(kind, "_is_protocol", False):
        return isinstance(value, Mapping)
    if isinstance(value, Mapping):
        keyed = issubclass(dict, kind) and not issubclass(list, kind)
        return "_target_" in value or keyed or typing.is_typeddict(kind)
    if isinstance(value, list | tuple):
        listed = not typing.is_typeddict(kind) and (issubclass(list, kind) or issubclass(tuple, kind))
        return listed and (len(set(parts) - {...}) != 1 or all(accepts(parts[0], element) for element in value))
    return not isinstance(value, str) and not typing.is_typeddict(kind) and isinstance(value, kind)


def describe(hint: Any) -> str:
    """Return the kinds of values that fit a type hint."""
    return " or ".join(dict.fromkeys(_kinds(hint)))


def fits(kind: type, value: Any) -> bool:
    """Return whether a value is a number or a boolean of this kind."""
    if kind is bool or isinstance(value, bool):
        return kind is bool and isinstance(value, bool)
    if not isinstance(value, int | float):
        return False
    return kind is float or float(value).is_integer()


def is_text(hint: Any) -> bool:
    """Return whether a hint accepts only texts and paths."""
    parts = typing.get_args(hint) if typing.get_origin(hint) in UNIONS else (hint,)
    return str in parts and all(part in (*TEXTS, type(None)) for part in parts)


def _kinds(hint: Any) -> list[str]:
    origin, parts = typing.get_origin(hint), typing.get_args(hint)
    if origin in UNIONS:
        return [kind for part in parts for kind in _kinds(part)]
    if origin is typing.Literal:
        return [str(part) for part in parts]
    if hint in SCALARS:
        return [SCALARS[hint]]
    if hint in TEXTS:
        return ["text"]
    if hint is type(None):
        return ["null"]
    kind = origin or hint
    if not inspect.isclass(kind) or getattr(kind, "_is_protocol", False):
        return [OBJECT]
    if issubclass(list, kind):
        return [f"a list (elements: {describe(parts[0])})" if len(set(parts) - {...}) == 1 else "a list"]
    return ["keys" if issubclass(dict, kind) or typing.is_typeddict(kind) else OBJECT]
