"""Options with a fixed set of values: those of type ``Literal`` or ``bool``, and options that are never None."""

from __future__ import annotations

import inspect
import types
import typing
from collections.abc import Callable, Mapping
from typing import Any

from nas.utils.errors import NasError, hint_of_choices


def choices_of(function: Callable[..., Any]) -> dict[str, tuple[Any, ...]]:
    """Return the values of each parameter of type ``Literal``, ``bool``, None or a union of them."""
    found = {name: _values(hint) for name, hint in _hints(function).items()}
    return {name: values for name, values in found.items() if values}


def never_none(function: Callable[..., Any]) -> frozenset[str]:
    """Return the parameters that are a number or a text, and never None."""
    return frozenset(name for name, hint in _hints(function).items() if hint in (int, float, str))


def check_choices(name: str, given: Mapping[str, Any], choices: Mapping[str, tuple[Any, ...]]) -> None:
    """Raise NasError for an argument that is none of its choices.

    Args:
        name: name of the class or function, for the message.
        given: arguments by name.
        choices: the values of some of them.
    """
    for option in choices.keys() & given.keys():
        if not _is_one_of(given[option], choices[option]):
            hint = hint_of_choices(str(given[option]), map(str, choices[option]))
            raise NasError(f"{name}: {option}={given[option]}: unknown. {hint}")


def _is_one_of(value: Any, choices: tuple[Any, ...]) -> bool:
    try:
        return value in choices
    except (ValueError, RuntimeError):  # an array or a tensor of several elements
        return False


def _values(hint: Any) -> tuple[Any, ...]:
    """Return the values of a type with a fixed set of them, empty for any other type."""
    if hint is type(None):
        return (None,)
    if hint is bool:
        return (True, False)
    if typing.get_origin(hint) is typing.Literal:
        return typing.get_args(hint)
    if typing.get_origin(hint) not in (typing.Union, types.UnionType):
        return ()
    parts = [_values(part) for part in typing.get_args(hint)]
    return tuple(value for part in parts for value in part) if all(parts) else ()


def _hints(function: Callable[..., Any]) -> dict[str, Any]:
    """Return the types of the single parameters, empty if some are imported only for type checkers."""
    try:
        hints = typing.get_type_hints(function)
    except (NameError, TypeError, AttributeError):
        return {}
    parameters = inspect.signature(function).parameters.values()
    several = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return {part.name: hints[part.name] for part in parameters if part.name in hints and part.kind not in several}
