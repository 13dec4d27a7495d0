"""Options compared with the signatures of what they configure."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Iterator, Mapping
from typing import Any

from hydra.utils import get_object
from omegaconf import DictConfig, OmegaConf

from nas.errors import NasError, one_line, unknown

Parameters = dict[str, tuple[Any, ...]]


def check_options(cfg: DictConfig) -> None:
    """Raises NasError for an option that its target does not take, or a word that is not among its choices."""
    for key, node in _targets(OmegaConf.to_container(cfg, resolve=False), ""):
        try:
            accepted = parameters(get_object(node["_target_"]))
        except Exception as error:  # whatever importing foreign code raises
            raise NasError(f"{key}._target_: cannot import {node['_target_']} ({one_line(error)})") from error
        if accepted is None:
            continue
        for name, value in node.items():
            option = f"{key}.{name}"
            if name.startswith("_") or option in ("method.epochs", "method.needs"):  # the app's own
                continue
            if name not in accepted:
                raise unknown("option", option, [f"{key}.{other}" for other in accepted])
            choices = accepted[name]
            if choices and isinstance(value, str) and "${" not in value and value not in choices:
                raise unknown(option, value, choices)


def parameters(target: Any) -> Parameters | None:
    """The names that a callable takes, each with its choices where its type is a Literal; None if it takes any."""
    function = target.__init__ if inspect.isclass(target) else target
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        return None
    try:
        hints = typing.get_type_hints(function)
    except (NameError, TypeError, AttributeError):
        hints = {}
    found: Parameters = {}
    for name, parameter in signature.parameters.items():
        if parameter.kind == parameter.VAR_KEYWORD:
            table = next(iter(typing.get_args(hints.get(name))), None)
            if not typing.is_typeddict(table):
                return None
            found |= {option: _words(hint) for option, hint in typing.get_type_hints(table).items()}
        elif parameter.kind != parameter.VAR_POSITIONAL and name != "self":
            found[name] = _words(hints.get(name))
    return found


def _words(hint: Any) -> tuple[Any, ...]:
    """The values of a Literal, or of a union of a Literal and None."""
    if typing.get_origin(hint) is typing.Literal:
        return typing.get_args(hint)
    parts = [part for part in typing.get_args(hint) if part is not type(None)]
    return _words(parts[0]) if len(parts) == 1 else ()


def _targets(node: Any, key: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    if isinstance(node, dict):
        if isinstance(node.get("_target_"), str):
            yield key, node
        for name, value in node.items():
            yield from _targets(value, f"{key}.{name}" if key else str(name))
    elif isinstance(node, list):
        for position, value in enumerate(node):
            yield from _targets(value, f"{key}.{position}")
