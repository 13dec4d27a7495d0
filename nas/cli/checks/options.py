"""Check of options against the signatures of the classes and functions that they configure."""

from __future__ import annotations

import functools
import inspect
import re
import types
import typing
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from nas.cli.checks.foreign_ranges import foreign_ranges
from nas.cli.checks.hints import SCALARS, accepts, describe, is_text
from nas.cli.checks.keywords import check_keywords
from nas.cli.overrides.hydra_internals import set_by_file
from nas.cli.overrides.parse import key_of, value_of
from nas.cli.overrides.renamed import renamed
from nas.cli.overrides.value_type import AUTO, AUTOMATIC
from nas.cli.run_dir.task_overrides import task_overrides
from nas.utils.errors import NasError, unknown
from nas.utils.import_name import import_name
from nas.utils.ranges import check, ranges_of

if TYPE_CHECKING:  # other mistakes are reported before torch is imported
    from nas.spaces.base import Space

ELSEWHERE = (
    *("method.epochs", "method.requires", "method.space", "method.warmup_ratio"),
    *("ranking.report", "dataset.global_batch_size"),
)
"""Keys that a node holds for another part than its target."""
LARGEST = 2**63
"""Bound of the whole numbers of PyTorch."""


def check_options(cfg: DictConfig) -> None:
    """Raise NasError for an option that its target does not accept, or a value outside its type or range."""
    check_keywords(cfg)
    for key, node in _targets(OmegaConf.to_container(cfg, resolve=False), ""):
        target: Any = import_name(f"{key}._target_={node['_target_']}", node["_target_"])
        given = {name: value for name, value in node.items() if not name.startswith("_")}
        given = {name: value for name, value in given.items() if not _is_elsewhere(f"{key}.{name}", value)}
        check_arguments(key, target, given)
        _convert_whole(OmegaConf.select(cfg, key), parameters(target) or {})
        limits = {**foreign_ranges(node["_target_"]), **ranges_of(target)}
        for name in (name for name in given if name in limits):
            source, value = _source(cfg, f"{key}.{name}", given[name])
            written = isinstance(value, float) and value.is_integer() and limits[name].whole  # 1e3 is a whole number
            check(source, int(value) if written else value, limits[name])
        for name in (name for name, value in given.items() if type(value) is int and abs(value) >= LARGEST):
            raise NasError(
                f"{key}.{name}={given[name]}: PyTorch supports whole numbers below 2^63. Use 1e21 for 10^21."
            )


def _is_elsewhere(option: str, value: Any) -> bool:
    """Return whether an option is not passed to its target, or is replaced before that."""
    return option in ELSEWHERE or (option in AUTOMATIC and value in (AUTO, None))


def check_arguments(key: str, target: Callable[..., Any], given: Mapping[str, Any]) -> None:
    """Raise NasError for a name that ``target`` does not accept, or a value outside its type or Literal."""
    accepted = parameters(target)
    for name, value in given.items() if accepted is not None else ():
        assert accepted is not None
        option = f"{key}.{name}"
        if name not in accepted and _accepts_any_name(target):
            continue
        if name not in accepted:
            choices = [f"{key}.{other}" for other in accepted]
            raise renamed(option) or _of_experiment(option) or unknown("option", option, choices)
        if value is not None:
            _check_value(option, accepted[name], value)
        elif _refuses_null(target, name, accepted[name]):
            raise NasError(f"{option}=null: it takes {describe(accepted[name])}.")


def _of_experiment(option: str) -> NasError | None:
    """Return the error for an option that an experiment sets for another choice of its group, None for any other."""
    lines = task_overrides() if HydraConfig.initialized() else []
    choices = {key_of(line): line for line in lines}
    chosen = choices.get(option.partition(".")[0])
    if chosen is None or any(f"{option}.".startswith(f"{key}.") for key in choices if "." in key):
        return None
    source = next((choices[group] for group in ("experiment", "protocol") if _sets(group, option, lines)), None)
    fault = f"{source}: it sets {option}, which {chosen} does not have. Leave out one of the two."
    return None if source is None else NasError(fault)


def _sets(group: str, option: str, lines: Sequence[str]) -> bool:
    """Return whether the file that a command line chooses for a group sets an option, or a key below it."""
    name = value_of(lines, group)
    keys = () if name is None else set_by_file(str(HydraConfig.get().job.config_name), f"{group}/{name}", lines)
    return any(f"{key}.".startswith(f"{option}.") for key, _ in keys)


def _check_value(option: str, declared: Any, value: Any) -> None:
    """Raise NasError for a value that does not fit the declared type of its option."""
    if accepts(declared, value):
        return
    hint = _plain(declared)
    if typing.get_origin(hint) is typing.Literal:
        raise unknown(option, str(value), map(str, typing.get_args(hint)))
    if typing.get_origin(hint) is Mapping:
        raise NasError(f"{option}={value}: it takes keys. Use {option}={{NAME: VALUE}}.")
    if typing.get_origin(hint) is Sequence and not isinstance(value, list | tuple):
        raise NasError(f"{option}={value}: it takes a list. Use {option}=[{value}].")
    if hint in SCALARS:
        raise NasError(f"{option}={value}: it takes {SCALARS[hint]}.")
    if is_text(declared) and isinstance(value, int | float):
        raise NasError(f"{option}={value}: it takes text. Put quotes within quotes: \"{option}='{value}'\"")
    raise NasError(f"{option}={value}: it takes {describe(declared)}.")


def check_network(key: str, space: Space, options: Mapping[str, Any]) -> None:
    """Raise NasError for options that the networks of a space do not have, or values that they do not accept."""
    accepted = space.network_options()
    for name in options:
        if name not in accepted:
            raise NasError(
                f"{key}.{name}: the networks of space={space.name} do not have it. Their options: "
                f"{', '.join(accepted) or 'none'}."
            )
    check_arguments(key, space.network, options)
    for name, allowed in ranges_of(space.network).items():
        check(f"{key}.{name}", options.get(name), allowed)


def check_network_choice(space: Space, options: Iterable[str]) -> None:
    """Raise NasError if ``network=NAME`` chooses a file with options of other networks, which would have no effect.

    ``network=auto`` has the options of all networks. A file of a space may have those of several kinds of networks.

    Args:
        space: the space of the genotype.
        options: the options in the chosen file.
    """
    chosen = HydraConfig.get().runtime.choices.get("network") if HydraConfig.initialized() else None
    accepted, given = space.network_options(), list(map(str, options))
    foreign = [name for name in given if name not in accepted]
    if chosen in (None, "auto") or not foreign or (accepted and set(accepted) <= set(given)):
        return
    raise NasError(
        f"network={chosen}: the networks of space={space.name} do not have {', '.join(foreign)}. Leave it out, or use "
        "network=auto."
    )


def _refuses_null(target: Callable[..., Any], name: str, hint: Any) -> bool:
    """Return whether an option is never None by its type; other packages also have None as an undeclared default."""
    if accepts(hint, None):
        return False
    ours = str(getattr(target, "__module__", "")).startswith("nas.")
    return ours or hint in SCALARS or inspect.signature(_function_of(target)).parameters[name].default is not None


@functools.cache
def parameters(target: Callable[..., Any]) -> dict[str, Any] | None:
    """Return the names that a callable declares with their types (None if unknown); None if it has no signature."""
    function = _function_of(target)
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        return None
    hints = _type_hints(function)
    annotations: dict[str, Any] = {}
    for name, parameter in signature.parameters.items():
        if parameter.kind == parameter.VAR_KEYWORD:
            table = _table(hints.get(name))
            annotations |= {} if table is None else typing.get_type_hints(table)
        elif parameter.kind != parameter.VAR_POSITIONAL and name != "self":
            annotations[name] = hints.get(name)
    return annotations


def _accepts_any_name(target: Callable[..., Any]) -> bool:
    """Return whether a callable with a signature takes further keyword arguments that it does not declare."""
    function = _function_of(target)
    further = [p for p in inspect.signature(function).parameters.values() if p.kind == p.VAR_KEYWORD]
    return bool(further) and _table(_type_hints(function).get(further[0].name)) is None


def _function_of(target: Callable[..., Any]) -> Callable[..., Any]:
    return target.__init__ if inspect.isclass(target) else target


def _table(hint: Any) -> Any:
    """Return the TypedDict of a hint ``Unpack[TypedDict]``, None for any other hint."""
    table = next(iter(typing.get_args(hint)), None)
    return table if table is not None and typing.is_typeddict(table) else None


def _type_hints(function: Callable[..., Any]) -> dict[str, Any]:
    """Return the types of the parameters of a function, without those that only a type checker can resolve."""
    try:
        return typing.get_type_hints(function)
    except (NameError, TypeError, AttributeError):
        hints = {}
    for name, hint in getattr(function, "__annotations__", {}).items():
        with suppress(NameError, TypeError, AttributeError):
            single = types.SimpleNamespace(__annotations__={name: hint})
            hints[name] = typing.get_type_hints(single, getattr(function, "__globals__", {}))[name]
    return hints


def _source(cfg: DictConfig, option: str, value: Any) -> tuple[str, Any]:
    """Return the key and the value of an option; those of the referenced key if the value is a plain reference."""
    reference = re.fullmatch(r"\$\{([\w.]+)\}", value) if isinstance(value, str) else None
    if reference is None:
        return option, None if isinstance(value, str) and "${" in value else value
    if reference[1].startswith("."):
        return option, OmegaConf.select(cfg, option, throw_on_missing=False)
    return reference[1], OmegaConf.select(cfg, reference[1], throw_on_missing=False)


def _convert_whole(node: DictConfig, accepted: Mapping[str, Any]) -> None:
    """Replace whole numbers written as 1e3 by integers where the target takes integers."""
    for name in (str(name) for name in node if _plain(accepted.get(str(name))) is int):
        value = None if OmegaConf.is_interpolation(node, name) or OmegaConf.is_missing(node, name) else node[name]
        if isinstance(value, float):
            node[name] = int(value)


def _plain(hint: Any) -> Any:
    """Return ``X`` of a hint ``X | None``; a plain type, Literal, list or mapping as it is; None for other hints."""
    parts = [part for part in typing.get_args(hint) if part is not type(None)]
    if typing.get_origin(hint) in (typing.Literal, Sequence, Mapping) or not parts:
        return hint
    return parts[0] if len(parts) == 1 and type(None) in typing.get_args(hint) else None


def _targets(node: Any, key: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    if isinstance(node, dict):
        if isinstance(node.get("_target_"), str):
            yield key, node
        for name, value in node.items():
            yield from _targets(value, f"{key}.{name}" if key else str(name))
    elif isinstance(node, list):
        for position, value in enumerate(node):
            yield from _targets(value, f"{key}.{position}")
