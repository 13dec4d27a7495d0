"""Choices of installed packages: entry points of the groups ``nas.spaces``, ``nas.datasets`` and ``nas.methods``."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

from hydra.core.config_store import ConfigStore

from nas.cli.overrides.conf_dir import CONF
from nas.cli.overrides.parse import key_of
from nas.utils.errors import NasError
from nas.utils.own_parts import installed, load_entry_point, target_of

GROUPS = {"space": "nas.spaces", "dataset": "nas.datasets", "method": "nas.methods"}
"""Group of entry points of each configuration group."""
PASSED = ("self", "shape", "classes", "space")
"""Arguments that the program passes to a part."""
PLAIN = (bool, int, float, str, list, tuple, dict)
DEFAULTS: Mapping[str, Mapping[str, Any]] = {
    "dataset": {"seed": "${seed}", "batch_size": 64, "eval_batch_size": 512, "split": "halves", "bilevel": True}
}
"""Options of every part of a group; those that a class does not accept are left out."""


def installed_choices(group: str) -> list[str]:
    """Return the names that installed packages add to a configuration group; nothing is imported."""
    return sorted(installed(GROUPS[group])) if group in GROUPS else []


def provide_choices(arguments: Sequence[str]) -> None:
    """Give Hydra the configuration of each choice on a command line that an installed package provides.

    An entry point names a mapping, which is the configuration, or a class or function. The options of a class are its
    arguments with their defaults. Files of conf/ and of the user's directories take precedence.

    Raises:
        NasError: if the package cannot be imported.
    """
    for argument in arguments:
        group, name = key_of(argument), argument.partition("=")[2].strip("'\"")
        if group not in GROUPS or (CONF / group / f"{name}.yaml").is_file():
            continue
        for part in name.split(","):
            point = installed(GROUPS[group]).get(part) if part else None
            if point is not None:
                node = configuration(group, part, load_entry_point(point))
                ConfigStore.instance().store(name=part, node=node, group=group)


def configuration(group: str, name: str, part: Any) -> dict[str, Any]:
    """Return the configuration of a part.

    Args:
        group: configuration group.
        name: name of the choice.
        part: a mapping, a class or a function.

    Raises:
        NasError: if it is none of these.
    """
    if isinstance(part, Mapping):
        return dict(part)
    if not callable(part):
        raise NasError(f"{GROUPS[group]}: '{name}' is a {type(part).__name__}. Name a class, a function or a mapping.")
    parameters = inspect.signature(part).parameters
    open_ended = any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters.values())
    options: dict[str, Any] = {"_target_": target_of(part)}
    options |= {key: value for key, value in DEFAULTS.get(group, {}).items() if open_ended or key in parameters}
    for key, parameter in parameters.items():
        default = parameter.default
        if key not in PASSED and (default is None or isinstance(default, PLAIN)):
            options.setdefault(key, list(default) if isinstance(default, tuple) else default)
    if group == "dataset":
        return options
    if "name" not in parameters and not open_ended:
        raise NasError(f"{group}={name}: {target_of(part)} takes no argument 'name'. Add it, and pass it to its base.")
    return options | {"name": name}
